/**
 * The demo's mailbox: Dovecot where it is installed and we are a plain user (it refuses mail of root), else the
 * built-in server.
 */
import type { Duplex } from 'node:stream';
import { openDovecot } from './dovecot.ts';
import { serveImap } from './imap-server.ts';
import { MailStore } from './mail-store.ts';
import type { SampleMessage } from './sample-messages.ts';

export interface DemoMailbox {
  /** For people. */
  readonly name: string;
  /** Serves one client on a stream and gives imapd's exit status. Never rejects. */
  runImapd(line: Duplex): Promise<number>;
}

/** Puts `messages` into a fresh INBOX below `dir`, or into memory. */
export async function openDemoMailbox(
  dir: string,
  user: string,
  messages: readonly SampleMessage[],
  uid: number,
): Promise<DemoMailbox> {
  const dovecot = uid === 0 ? undefined : await openDovecot(dir, user, messages);
  if (dovecot !== undefined) return { name: "Dovecot's imap", runImapd: dovecot };
  const store = new MailStore();
  for (const { raw, date } of messages) store.find('INBOX')?.append(raw, [], date);
  return {
    name: 'a small IMAP server of its own',
    runImapd: async (line) => {
      await serveImap(line, store);
      return 0;
    },
  };
}
