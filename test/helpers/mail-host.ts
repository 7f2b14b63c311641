/**
 * A mail host: a real sshd whose user has a Maildir, read by Dovecot's real imap, which greets with PREAUTH because
 * it is started by the user himself. No Dovecot master runs, and nothing of /etc/dovecot is read.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { giveTo } from './login-user.ts';
import { type MailMessage, makeMessages } from './mail-messages.ts';
import { openRealSshd, type RealSshd, type SshdOptions } from './real-sshd.ts';
import { programPath } from './requirements.ts';
import type { Scope } from './scope.ts';

/** A message as the Maildir holds it. */
export interface StoredMessage {
  readonly subject: string;
  /** Maildir's letters, sorted: D draft, F flagged, R replied, S seen, T trashed. */
  readonly flags: string;
  readonly file: string;
}

export interface MailHost extends RealSshd {
  /** An executable to name in IMAPD; it prints `* PREAUTH ...` when run as the login user. */
  readonly rimapd: string;
  readonly maildir: string;
  /** Makes a folder (`INBOX` is the Maildir itself) with these messages. */
  makeMailbox(folder: string, messages?: readonly MailMessage[]): void;
  /** Adds a message as a delivery agent does: it is there at once and whole. */
  deliver(folder: string, message: MailMessage): void;
  /** Sorted by subject. */
  listMessages(folder: string): StoredMessage[];
  listFolders(): string[];
  imapLog(): string;
  /** Writes an executable script of the mail host and gives its path. */
  writeProgram(name: string, lines: string): string;
}

/** Opens a mail host with twenty messages in INBOX and an empty folder `Work`. */
export async function openMailHost(scope: Scope, options: SshdOptions = {}): Promise<MailHost> {
  const server = await openRealSshd(scope, options);
  const maildir = join(server.home, 'Maildir');
  const imapLog = join(server.home, 'dovecot.log');
  const configFile = join(server.home, 'dovecot.conf');
  writeFileSync(configFile, formatDovecotConfig(join(server.home, 'run'), imapLog, maildir), { mode: 0o644 });

  const writeProgram = (name: string, lines: string): string => {
    const file = join(server.dir, name);
    writeFileSync(file, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    return file;
  };
  let delivered = 0;
  const folderDir = (folder: string) => (folder === 'INBOX' ? maildir : join(maildir, `.${folder}`));

  const host: MailHost = {
    ...server,
    rimapd: writeProgram('rimapd', `exec ${programPath('imap')} -c ${configFile}`),
    maildir,
    makeMailbox: (folder, messages = []) => {
      const dir = folderDir(folder);
      for (const sub of ['cur', 'new', 'tmp']) mkdirSync(join(dir, sub), { recursive: true, mode: 0o700 });
      messages.forEach((message, index) => {
        writeFileSync(join(dir, 'new', `${message.date}.M${index}P1.mail`), message.bytes, { mode: 0o600 });
      });
      giveTo(server.login, maildir);
    },
    deliver: (folder, message) => {
      const name = `${message.date}.P${++delivered}.mail`;
      const temporary = join(folderDir(folder), 'tmp', name);
      writeFileSync(temporary, message.bytes, { mode: 0o600 });
      giveTo(server.login, temporary);
      renameSync(temporary, join(folderDir(folder), 'new', name));
    },
    listMessages: (folder) =>
      ['new', 'cur']
        .flatMap((sub) =>
          readdirSync(join(folderDir(folder), sub)).map((name) => join(folderDir(folder), sub, name)),
        )
        .map(readMessage)
        .sort((a, b) => (a.subject < b.subject ? -1 : 1)),
    listFolders: () => [
      'INBOX',
      ...readdirSync(maildir)
        .filter((name) => name.startsWith('.'))
        .map((name) => name.slice(1)),
    ],
    imapLog: () => (existsSync(imapLog) ? readFileSync(imapLog, 'utf8') : ''),
    writeProgram,
  };
  host.makeMailbox('INBOX', makeMessages());
  host.makeMailbox('Work');
  return host;
}

/** The few settings that `imap` needs when nobody hands it a connection (Dovecot 2.3 and 2.4 name them differently). */
function formatDovecotConfig(base: string, log: string, maildir: string): string {
  return [
    `base_dir = ${base}`,
    `state_dir = ${base}`,
    `log_path = ${log}`,
    `mail_location = maildir:${maildir}`,
    'protocols =',
    'ssl = no',
    // There is no stats process to report to.
    'stats_writer_socket_path =',
    '',
  ].join('\n');
}

function readMessage(file: string): StoredMessage {
  const subject = /^Subject: (.*)$/m.exec(readFileSync(file, 'latin1'))?.[1] ?? '';
  const flags = /:2,([A-Z]*)/.exec(file)?.[1] ?? '';
  return { subject, flags: [...flags].sort().join(''), file };
}
