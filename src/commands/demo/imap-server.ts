/**
 * The built-in IMAP server: IMAP4rev1 (RFC 3501), logged in from the start as an imapd started over rsh or SSH is.
 * Enough for Alpine, mutt or mbsync to read, flag, move and save mail in the demo; the demo prefers Dovecot.
 */
import type { Duplex } from 'node:stream';
import { MAILBOX_COMMANDS } from './imap-mailbox-commands.ts';
import { MESSAGE_COMMANDS } from './imap-message-commands.ts';
import { CAPABILITIES, ImapSession } from './imap-session.ts';
import { CommandReader, parseTokens, SyntaxFault, textOf } from './imap-syntax.ts';
import type { MailStore } from './mail-store.ts';

const COMMANDS = new Map([...MAILBOX_COMMANDS, ...MESSAGE_COMMANDS]);

/**
 * Serves `store` until the client logs out, its input ends or its line breaks. Never rejects; leaves it to the caller
 * to end `line`.
 */
export function serveImap(line: Duplex, store: MailStore): Promise<void> {
  const session = new ImapSession(store, line);
  const reader = new CommandReader(() => session.send('+ go ahead'));
  return new Promise((resolve) => {
    const finish = (): void => {
      session.ended = true;
      session.onLine?.('DONE');
      resolve();
    };
    const read = (chunk: Buffer): void => {
      try {
        for (const command of reader.push(chunk)) runCommand(session, command);
      } catch (thrown) {
        if (!(thrown instanceof SyntaxFault)) throw thrown;
        session.send(`* BYE ${thrown.message}`);
        session.ended = true;
      }
      if (session.ended) finish();
    };
    line.on('data', read).on('end', finish).on('close', finish).on('error', finish);
    session.send(`* PREAUTH [CAPABILITY ${CAPABILITIES}] the mailbox of the demo is ready`);
  });
}

function runCommand(session: ImapSession, command: Buffer): void {
  if (session.ended || command.length === 0) return;
  if (session.onLine !== undefined) {
    session.onLine(command.toString('latin1'));
    return;
  }
  let tag = '*';
  try {
    const [tagToken, verbToken, ...rest] = parseTokens(command);
    tag = textOf(tagToken);
    const verb = textOf(verbToken).toUpperCase();
    const byUid = verb === 'UID';
    const name = byUid ? `UID ${textOf(rest.shift()).toUpperCase()}` : verb;
    const run = COMMANDS.get(name);
    if (run === undefined) throw new SyntaxFault(`unknown command ${name}`);
    const answer = run({ session, tag, byUid }, rest);
    if (answer !== undefined) session.finish(tag, answer);
  } catch (thrown) {
    if (!(thrown instanceof SyntaxFault)) throw thrown;
    session.send(`${tag} BAD ${thrown.message.replace(/[^ -~]/g, '?')}`);
  }
}
