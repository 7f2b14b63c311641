/**
 * A message on disk: read whole from the caller before anything is done with it, since a caller whose message is not
 * read loses the reason of a failure (Alpine shows "Error posting" and nothing else).
 */

import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { errnoOf, Failure } from '../errors.ts';
import { MAIL_HEAD_MAX } from '../limits.ts';
import {
  type Envelope,
  formatFirstLine,
  formatHead,
  formatNote,
  type Head,
  NOTE_OFFSET,
  parseHead,
} from './envelope.ts';
import { inState, MACHINE, type MailEntry, type QueueFolder } from './queue-folder.ts';

/** A whole message in an open file. */
export interface StoredMail {
  readonly envelope: Envelope;
  readonly note: string;
  /** Bytes of the message. */
  readonly size: number;
  /** Reads at `position` of the message; fewer bytes than fit only at its end. @throws a system error */
  read(buffer: Buffer, position: number): number;
  /** Notes for people what happened; what cannot be noted is in the log. */
  setNote(text: string): void;
  close(): void;
}

/** A message that has just been read. Closing it forgets it, unless it was kept: whoever is not told so still has it. */
export interface SpooledMail extends StoredMail {
  /**
   * Makes it wait, for good: from here on it is ours. Gives its id.
   *
   * @throws {Failure} `mail-not-kept`
   */
  keep(note: string): string;
}

export interface SpoolOptions {
  readonly folder: QueueFolder;
  readonly envelope: Envelope;
  /** The alias's name, if the message may have to wait; undefined: its file loses its name at once. */
  readonly keepFor: string | undefined;
  /** Ends the reading. */
  readonly signal: AbortSignal;
}

/**
 * Reads `input` to its end, even where the message cannot be stored.
 *
 * @throws {Failure} `mail-not-kept`, `mail-unread`
 */
export async function spoolMail(
  input: Readable,
  { folder, envelope, keepFor, signal }: SpoolOptions,
): Promise<SpooledMail> {
  let file: OpenSpool | undefined;
  let trouble: unknown;
  try {
    folder.make();
    file = openSpool(folder, envelope, keepFor);
  } catch (error) {
    trouble = error;
  }
  const broken = await readAll(input, signal, (chunk) => {
    if (trouble !== undefined || file === undefined) return;
    try {
      file.append(chunk);
    } catch (error) {
      trouble = error;
    }
  });
  try {
    if (broken !== undefined) throw new Failure('mail-unread', { why: broken });
    if (trouble !== undefined || file === undefined) throw folder.explain(trouble);
    return file.finish();
  } catch (error) {
    file?.discard();
    throw folder.explain(error);
  }
}

/** Reads to the end. Gives what kept it from doing so. */
function readAll(
  input: Readable,
  signal: AbortSignal,
  onChunk: (chunk: Buffer) => void,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const onAbort = (): void => resolve(`ended by ${String(signal.reason)}`);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    input.on('data', onChunk);
    input.once('end', () => resolve(undefined));
    input.once('error', (error) => resolve(errnoOf(error) ?? error.message));
  });
}

/** Opens a waiting message; undefined if it is gone. @throws {Failure} `mail-damaged`, `mail-unreadable` */
export function openMail(folder: QueueFolder, entry: MailEntry): StoredMail | undefined {
  const { id } = entry;
  const file = folder.file(entry);
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    const why = errnoOf(error) ?? 'unknown';
    if (why === 'ENOENT') return undefined;
    throw new Failure('mail-unreadable', { id, why, file }, { cause: error });
  }
  try {
    const start = Buffer.alloc(MAIL_HEAD_MAX);
    const head = parseHead(start.subarray(0, readSync(fd, start, 0, start.length, 0)));
    const stat = fstatSync(fd);
    if (head === undefined || stat.uid !== process.getuid?.() || stat.size !== head.offset + head.size) {
      throw new Failure('mail-damaged', { id, file });
    }
    return storedMail(fd, head);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Puts a message aside for a person, and notes why. @throws {Failure} `queue-unusable` */
export function holdMail(
  folder: QueueFolder,
  entry: MailEntry,
  state: 'unknown' | 'refused',
  note: string,
): void {
  const held = folder.move(entry, state);
  if (held === undefined) return;
  try {
    const mail = openMail(folder, held);
    mail?.setNote(note);
    mail?.close();
  } catch {
    // A damaged one: the list says so.
  }
}

interface OpenSpool {
  append(chunk: Buffer): void;
  finish(): SpooledMail;
  discard(): void;
}

function openSpool(folder: QueueFolder, envelope: Envelope, keepFor: string | undefined): OpenSpool {
  const id = randomBytes(3).toString('hex');
  const entry: MailEntry = {
    state: 'new',
    machine: MACHINE,
    pid: process.pid,
    time: nextTime(folder),
    id,
    alias: keepFor ?? 'x',
  };
  const path = folder.file(entry);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  const discard = (): void => {
    closeSync(fd);
    if (keepFor !== undefined) rmSync(path, { force: true });
  };
  const head = formatHead(envelope);
  let size = 0;
  const write = (bytes: Buffer, position: number): void => {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(fd, bytes, done, bytes.length - done, position + done);
    }
  };
  try {
    if (keepFor === undefined) rmSync(path);
    if (head.length > MAIL_HEAD_MAX) throw new Failure('usage', { problem: 'too many recipients at once' });
    write(head, 0);
  } catch (error) {
    discard();
    throw error;
  }
  return {
    append(chunk) {
      write(chunk, head.length + size);
      size += chunk.length;
    },
    finish() {
      write(Buffer.from(formatFirstLine(size)), 0);
      const mail = storedMail(fd, { envelope, note: '', size, offset: head.length });
      let kept = false;
      return {
        ...mail,
        keep(note) {
          try {
            mail.setNote(note);
            fsyncSync(fd);
            kept = folder.move(entry, 'wait') !== undefined;
          } catch (error) {
            // Whoever is told that it was not kept sends it again.
            rmSync(folder.file(inState(entry, 'wait')), { force: true });
            throw folder.explain(error);
          }
          if (!kept)
            throw new Failure('mail-not-kept', { dir: folder.path, why: 'it was removed meanwhile' });
          return id;
        },
        close: () => (kept ? mail.close() : discard()),
      };
    },
    discard,
  };
}

function storedMail(fd: number, { envelope, note, size, offset }: Head): StoredMail {
  return {
    envelope,
    note,
    size,
    read: (buffer, position) =>
      readSync(fd, buffer, 0, Math.min(buffer.length, size - position), offset + position),
    setNote(text) {
      try {
        writeSync(fd, formatNote(text), NOTE_OFFSET);
      } catch {
        // The state is in the file's name; only the reason would be missing.
      }
    },
    close: () => closeSync(fd),
  };
}

/** Behind all that is there, even if the clock was set back. */
function nextTime(folder: QueueFolder): number {
  const last = folder.list().at(-1)?.time ?? 0;
  return Math.max(Date.now(), last + 1);
}
