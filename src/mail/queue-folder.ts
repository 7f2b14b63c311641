/**
 * The folder in which messages wait: one file each, whose name says everything that decides what may happen to it, so
 * that each change is one rename(2), which is either done or not.
 *
 *     STATE-TIME-ID-ALIAS      TIME: milliseconds, the order of sending; ID: what people call the message
 *
 *     new       is being written, or is on its way for the first time; its caller waits, unless they were killed
 *     wait      to be sent
 *     send      is being sent, but not all of it: certainly not delivered
 *     last      the last bytes are being sent: may have been delivered
 *     unknown   held: may have been delivered
 *     refused   held: the host did not take it
 *
 * `new`, `send` and `last` carry the machine that sends, because a home may be shared by several; `new` the process, too.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { errnoOf, Failure } from '../errors.ts';
import { shortHash } from '../hash.ts';
import type { Settings } from '../settings.ts';

export type MailState = 'new' | 'wait' | 'send' | 'last' | 'unknown' | 'refused';

/** A message in the folder, as its name tells. */
export interface MailEntry {
  readonly state: MailState;
  /** Of `new`, `send` and `last`: the machine. */
  readonly machine: string | undefined;
  /** Of `new`: the process there. */
  readonly pid?: number | undefined;
  readonly time: number;
  readonly id: string;
  /** The name of the alias. */
  readonly alias: string;
}

const NAME =
  /^(new|wait|send|last|unknown|refused)(?:\.([0-9a-f]{8})(?:\.([1-9]\d{0,9}))?)?-(\d{14})-([0-9a-f]{6})-(.+)$/s;
const TIME_DIGITS = 14;

/** This machine, in names. */
export const MACHINE = shortHash(hostname(), 8);

export class QueueFolder {
  readonly path: string;
  readonly #uid: number;

  constructor({ stateDir, uid }: Pick<Settings, 'stateDir' | 'uid'>) {
    this.path = join(stateDir, 'queue');
    this.#uid = uid;
  }

  /** Makes the folder, for us alone. @throws {Failure} `mail-not-kept` */
  make(): void {
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      const stat = lstatSync(this.path);
      if (!stat.isDirectory() || stat.uid !== this.#uid || (stat.mode & 0o077) !== 0) {
        throw new Failure('mail-not-kept', { dir: this.path, why: 'others can enter it; run: chmod 700' });
      }
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** What an error here means to whoever wants a message kept. */
  explain(error: unknown): Failure {
    const known = error instanceof Failure ? error : this.explainUse('change', error);
    if (known.code !== 'queue-unusable') return known;
    const why = known.facts['why'] ?? '';
    return new Failure('mail-not-kept', { dir: this.path, why }, { cause: error });
  }

  /** What a system error here means to whoever is about the messages that are there. */
  explainUse(what: 'read' | 'change', error: unknown): Failure {
    const why = errnoOf(error) ?? 'unknown';
    return new Failure(
      'queue-unusable',
      { what, dir: this.path, why, remedy: this.#remedyFor(why) },
      { cause: error },
    );
  }

  #remedyFor(why: string): string {
    if (why === 'ENOTDIR') return 'move away what is in the place of a folder';
    if (why !== 'EACCES' && why !== 'EPERM') return 'check the disk';
    try {
      lstatSync(this.path);
      return `run: chmod 700 ${this.path}`;
    } catch {
      return `run: chmod 700 ${dirname(this.path)}`;
    }
  }

  /**
   * All messages in the order of sending; those of one alias if `alias` is given.
   *
   * @throws {Failure} `queue-unusable`
   */
  list(alias?: string): MailEntry[] {
    let names: string[];
    try {
      names = readdirSync(this.path);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw this.explainUse('read', error);
    }
    return names
      .flatMap((name) => parseName(name) ?? [])
      .filter((entry) => alias === undefined || entry.alias === alias)
      .sort((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1));
  }

  /** True if a message of that alias waits or is being sent: later ones go behind it. */
  isBusy(alias: string): boolean {
    return this.list(alias).some(({ state }) => state === 'wait' || state === 'send' || state === 'last');
  }

  file(entry: MailEntry): string {
    return join(this.path, formatName(entry));
  }

  /**
   * Gives a message another state, for good. Undefined if somebody else did before.
   *
   * @throws {Failure} `queue-unusable`
   */
  move(entry: MailEntry, state: MailState): MailEntry | undefined {
    const moved = inState(entry, state);
    try {
      renameSync(this.file(entry), this.file(moved));
      this.sync();
      return moved;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw this.explainUse('change', error);
    }
  }

  /** False if it was not there. @throws {Failure} `queue-unusable` */
  remove(entry: MailEntry): boolean {
    try {
      rmSync(this.file(entry));
      this.sync();
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw this.explainUse('change', error);
    }
  }

  /** A name is on the disk only once its folder is. */
  sync(): void {
    const folder = openSync(this.path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }
}

/** The message once this machine has given it another state than `new`. */
export function inState(entry: MailEntry, state: MailState): MailEntry {
  const machine = state === 'send' || state === 'last' ? MACHINE : undefined;
  return { ...entry, state, machine, pid: undefined };
}

export function formatName({ state, machine, pid, time, id, alias }: MailEntry): string {
  const who = [state, machine, pid].filter((part) => part !== undefined).join('.');
  return `${who}-${String(time).padStart(TIME_DIGITS, '0')}-${id}-${alias}`;
}

export function parseName(name: string): MailEntry | undefined {
  const [, state, machine, pid, time, id, alias] = NAME.exec(name) ?? [];
  if (state === undefined || id === undefined || alias === undefined) return undefined;
  return {
    state: state as MailState,
    machine,
    pid: pid === undefined ? undefined : Number(pid),
    time: Number(time),
    id,
    alias,
  };
}
