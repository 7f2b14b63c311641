/** Messages in a queue's folder, put there as a caller's message is. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { Envelope } from '../../src/mail/envelope.ts';
import type { MailEntry, MailState, QueueFolder } from '../../src/mail/queue-folder.ts';
import { spoolMail } from '../../src/mail/spool.ts';

export const ENVELOPE: Envelope = {
  host: 'work',
  user: undefined,
  port: undefined,
  family: 0,
  overrides: {},
  args: ['-oi', '-t'],
  written: 1_800_000_000_000,
};

/** Keeps `text` for an alias and gives it a state. */
export async function keepMail(
  folder: QueueFolder,
  text: string | Buffer,
  { alias = 'work', state = 'wait' as MailState, note = '' } = {},
): Promise<MailEntry> {
  const mail = await spoolMail(Readable.from([Buffer.from(text)]), {
    folder,
    envelope: { ...ENVELOPE, host: alias },
    keepFor: alias,
    signal: new AbortController().signal,
  });
  const id = mail.keep(note);
  mail.close();
  const entry = folder.list().find((each) => each.id === id);
  assert.ok(entry);
  if (state === 'wait') return entry;
  const moved = folder.move(entry, state);
  assert.ok(moved);
  return moved;
}
