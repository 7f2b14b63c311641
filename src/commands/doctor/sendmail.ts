/**
 * Would mail go out through the host? Asked without sending any: the command that takes a message is started, and the
 * message announced as longer than it is, which it must notice.
 */
import { basename } from 'node:path';
import type { Alias } from '../../alias/alias.ts';
import { toFailure } from '../../errors.ts';
import { SENDMAIL_PLACES, SENDMAIL_WRAPPER, STATUS_INCOMPLETE } from '../../mail/sendmail-command.ts';
import type { Connection } from '../../transport/transport.ts';
import { findSetting, type PinercEntry } from '../pinerc-file.ts';
import { findRemoteProgram, runRemote } from '../remote-program.ts';
import { elapsed, type Finding, passed, warned } from './finding.ts';

/** A size, a mark and a command that does nothing; then one byte, where two are announced. */
const HALF_A_MESSAGE = Buffer.from('2\nprobe\nexit 1\nx');

/** Whether Alpine's sendmail-path is pine-rsh with this alias. */
export function sendsThrough(host: string, entries: readonly PinercEntry[]): boolean {
  const [program = '', name] = findSetting(entries, 'sendmail-path')?.value.split(/\s+/) ?? [];
  return basename(program).startsWith('pine-rsh') && name?.toLowerCase() === host.toLowerCase();
}

/** A mailbox opens without it, so that nothing here is more than a warning. */
export async function examineSendmail(connection: Connection, { sendmail }: Alias): Promise<Finding> {
  const began = performance.now();
  try {
    const { exit, stderr } = await runRemote(connection, SENDMAIL_WRAPPER, HALF_A_MESSAGE);
    if (exit.kind !== 'status' || exit.status !== STATUS_INCOMPLETE) {
      const said = stderr.trim().split(/\s*[\r\n]+/, 1)[0] || 'it did not say why';
      const hint = 'a key may be limited to imapd: see examples/pine-rsh-commands, or pine-rshctl setup';
      return warned('sendmail', `no mail can be sent through the host: ${said}`, hint, elapsed(began));
    }
    const places = sendmail === 'auto' ? SENDMAIL_PLACES : /^\/\S+$/.test(sendmail) ? [sendmail] : [];
    const found = places.length === 0 ? sendmail : await findRemoteProgram(connection, places);
    if (found !== undefined) return passed('sendmail', found, elapsed(began));
    // A key for imapd and sendmail only answers no other question.
    if ((await findRemoteProgram(connection, ['/bin/sh'])) === undefined) {
      return passed('sendmail', "the key's own", elapsed(began));
    }
    const what = sendmail === 'auto' ? 'in the usual places' : `at ${sendmail}`;
    return warned('sendmail', `no sendmail ${what}`, 'set SENDMAIL to its path there', elapsed(began));
  } catch (thrown) {
    const { message, hint } = toFailure(thrown);
    return warned('sendmail', message, hint, elapsed(began));
  }
}
