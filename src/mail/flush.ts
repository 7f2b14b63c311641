/**
 * Sending what waits for an alias, in order. Each step is a rename before it is an act, so that whatever ends this
 * process, its successor knows what is certain:
 *
 *     wait -> send -> last -> removed      delivered
 *             send -> wait                 not delivered: again, later
 *             last -> wait                 not now, said the host
 *             last -> unknown, refused     held, for a person
 */
import type { Alias } from '../alias/alias.ts';
import { lookupAlias } from '../alias/lookup.ts';
import { Failure, toFailure } from '../errors.ts';
import { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import type { Envelope } from './envelope.ts';
import { MACHINE, type MailEntry, QueueFolder } from './queue-folder.ts';
import { lockQueue } from './queue-lock.ts';
import { holdMail, openMail, type StoredMail } from './spool.ts';
import { type Outcome, transmit } from './transmit.ts';

/** What happens to a message in the queue; `docs/sending-mail.md` says so too. */
export const FATES = {
  delivered: 'removed',
  'put-off': 'waits',
  refused: 'held',
  unsent: 'waits',
  unreached: 'waits',
  unknown: 'held',
} as const satisfies Record<Outcome['kind'], string>;

/** What became of one message. */
export interface FlushedMail {
  readonly id: string;
  readonly alias: string;
  readonly outcome: Outcome['kind'];
  /** Untrusted: may hold what a host said. Empty when there is nothing to tell. */
  readonly note: string;
}

export interface FlushOptions {
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly onMail: (mail: FlushedMail) => void;
  /** How long to wait for another process that is at it. */
  readonly waitMs: number;
}

/**
 * Sends the waiting mail of one alias until all is sent or the host cannot be reached. False if another process is at
 * it.
 *
 * @throws {Failure} `queue-unusable`
 */
export async function flushQueue(alias: string, options: FlushOptions): Promise<boolean> {
  const folder = new QueueFolder(options.settings);
  // Not found through a link, and not ours to make: where there is no folder nothing waits.
  if (folder.list(alias).length === 0) return true;
  for (;;) {
    const release = await lockQueue(folder, alias, options.settings.uid, options.waitMs);
    if (release === undefined) return false;
    let allSent: boolean;
    try {
      recover(folder, alias);
      allSent = await sendWaiting(folder, alias, options);
    } finally {
      release();
    }
    // Who put a message behind the last one while we had the lock relies on us.
    const left = allSent && folder.list(alias).some(({ state }) => state === 'wait');
    if (!left || options.signal.aborted) return true;
  }
}

/** What a flusher of this machine left when it died. Called with the lock, so it did. */
function recover(folder: QueueFolder, alias: string): void {
  for (const entry of folder.list(alias)) {
    if (entry.machine !== MACHINE) continue;
    if (entry.state === 'send') folder.move(entry, 'wait');
    if (entry.state === 'last')
      holdMail(folder, entry, 'unknown', 'pine-rsh was ended while it sent the last bytes');
  }
}

/** True if none is left to be tried now. */
async function sendWaiting(folder: QueueFolder, alias: string, options: FlushOptions): Promise<boolean> {
  const tried = new Set<string>();
  for (;;) {
    const next = folder.list(alias).find(({ state, id }) => state === 'wait' && !tried.has(id));
    if (next === undefined) return tried.size === 0;
    const outcome = await sendNext(folder, next, options);
    // The host can be reached, but not now for this one; it must not hold up the others for ever.
    if (outcome === 'put-off') tried.add(next.id);
    else if (outcome === 'unreached' || outcome === 'unsent') return false;
  }
}

/** Undefined: somebody else removed it, or it is damaged and held. */
async function sendNext(
  folder: QueueFolder,
  waiting: MailEntry,
  options: FlushOptions,
): Promise<Outcome['kind'] | undefined> {
  let mail: StoredMail | undefined;
  try {
    mail = openMail(folder, waiting);
  } catch (error) {
    const { code, message: note } = toFailure(error);
    const damaged = code === 'mail-damaged';
    const outcome = damaged ? 'refused' : 'put-off';
    if (damaged) holdMail(folder, waiting, 'refused', note);
    options.onMail({ id: waiting.id, alias: waiting.alias, outcome, note });
    return damaged ? undefined : outcome;
  }
  if (mail === undefined) return undefined;
  try {
    const sending = folder.move(waiting, 'send');
    if (sending === undefined) return undefined;
    const { outcome, entry } = await sendMail(folder, sending, mail, options);
    const note = noteOf(outcome);
    settle(folder, entry, mail, outcome, note);
    options.onMail({ id: waiting.id, alias: waiting.alias, outcome: outcome.kind, note });
    return outcome.kind;
  } finally {
    mail.close();
  }
}

async function sendMail(
  folder: QueueFolder,
  sending: MailEntry,
  mail: StoredMail,
  { settings, signal }: FlushOptions,
): Promise<{ outcome: Outcome; entry: MailEntry }> {
  let entry = sending;
  let alias: Alias;
  try {
    alias = findAlias(settings, mail.envelope);
  } catch (error) {
    return { outcome: { kind: 'unreached', failure: toFailure(error) }, entry };
  }
  const outcome = await transmit(mail, {
    alias,
    settings,
    verbosity: 0,
    log: new Log(settings.stateDir, 0),
    signal,
    onLastBytes() {
      const moved = folder.move(sending, 'last');
      if (moved === undefined) throw new Failure('mail-missing', { id: sending.id });
      entry = moved;
    },
    onOutput: () => {},
  });
  return { outcome, entry };
}

function findAlias(settings: Settings, { host, user, port, overrides }: Envelope): Alias {
  const options = new Map(Object.entries(overrides));
  const found = lookupAlias(settings, { host, user, port, options });
  if (found.kind === 'managed') return found.alias;
  throw new Failure('alias-missing', { host, remedy: `create ${found.file}` });
}

function settle(
  folder: QueueFolder,
  entry: MailEntry,
  mail: StoredMail,
  { kind }: Outcome,
  note: string,
): void {
  if (FATES[kind] === 'removed') {
    folder.remove(entry);
    return;
  }
  mail.setNote(note);
  folder.move(entry, kind === 'unknown' || kind === 'refused' ? kind : 'wait');
}

function noteOf(outcome: Outcome): string {
  if (outcome.kind === 'delivered') return '';
  const said = 'said' in outcome ? outcome.said.trim() : '';
  if (outcome.kind === 'put-off') return `not now${said === '' ? '' : `: ${said}`}`;
  const { failure } = outcome;
  if (failure !== undefined) return failure.message;
  return `status ${'status' in outcome ? outcome.status : ''}${said === '' ? '' : `: ${said}`}`;
}
