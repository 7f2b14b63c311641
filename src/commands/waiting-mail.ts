/** One line about mail that has not been sent, for commands about other things. */
import { type Failure, toFailure } from '../errors.ts';
import { settleOrphans } from '../mail/orphans.ts';
import { type MailEntry, QueueFolder } from '../mail/queue-folder.ts';
import type { Settings } from '../settings.ts';
import { formatCount } from './quantity.ts';

export interface WaitingMail {
  readonly waiting: number;
  /** For a person to decide about. */
  readonly held: number;
}

/** Counts the messages of one alias, or of all; a failure where nobody knows whether some wait. */
export function countMail(settings: Settings, alias?: string): WaitingMail | Failure {
  let entries: MailEntry[];
  try {
    const folder = new QueueFolder(settings);
    settleOrphans(folder);
    entries = folder.list(alias);
  } catch (thrown) {
    return toFailure(thrown);
  }
  const count = (held: boolean): number =>
    entries.filter(({ state }) => state !== 'new' && (state === 'unknown' || state === 'refused') === held)
      .length;
  return { waiting: count(false), held: count(true) };
}

/** `2 messages wait to be sent, 1 is held`; undefined where there are none. */
export function describeMail({ waiting, held }: WaitingMail): string | undefined {
  const parts = [
    ...(waiting > 0
      ? [`${formatCount(waiting, 'message')} ${waiting === 1 ? 'waits' : 'wait'} to be sent`]
      : []),
    ...(held > 0 ? [`${formatCount(held, 'message')} ${held === 1 ? 'is' : 'are'} held`] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}
