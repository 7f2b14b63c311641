/** Writes new host keys down: for STRICT_HOST_KEY_CHECKING=accept-new, and for people who trust a key by hand. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { checkTrusted } from '../alias/trusted-file.ts';
import { errnoOf, Failure } from '../errors.ts';
import {
  formatAppended,
  formatKnownHostsLine,
  type HostNames,
  hidesNames,
  judgeHostKey,
} from './known-hosts.ts';
import { type KnownHostsFile, parseKnownHosts } from './known-hosts-file.ts';

/**
 * Adds a key for a host that the file does not know, hashed if the file hides names already. Creates file (0600) and
 * folder (0700; one level, as ssh makes ~/.ssh). The line goes out in one write at the file's end, so lines of several
 * writers do not mix; two that write the same key in the same instant leave it there twice, which is harmless.
 *
 * @param names of `nameHost`
 * @returns false if by now the file holds a key for the host
 * @throws {Failure} `file-untrusted` (the folder), `file-unusable` (cannot be written)
 */
export function recordHostKey(file: string, names: HostNames, blob: Buffer, uid: number): boolean {
  return recordHostKeys(file, names, [blob], uid);
}

/** `recordHostKey` for all keys of a host at once. */
export function recordHostKeys(
  file: string,
  names: HostNames,
  blobs: readonly Buffer[],
  uid: number,
): boolean {
  try {
    makeFolder(dirname(file));
    checkTrusted(dirname(file), uid);
    const { O_RDWR, O_APPEND, O_CREAT, O_NOCTTY } = constants;
    const fd = openSync(file, O_RDWR | O_APPEND | O_CREAT | O_NOCTTY, 0o600);
    try {
      // A device may have no end.
      if (!fstatSync(fd).isFile()) throw Object.assign(new Error('not a file'), { code: 'ENODEV' });
      const known = parseKnownHosts(readFileSync(fd), file);
      if (blobs.some((blob) => judgeHostKey([known], names, blob).kind !== 'unknown')) return false;
      appendWhole(fd, formatAppended(known.text, formatLines(known, names, blobs)));
      if (known.text === '') syncFolder(dirname(file));
    } finally {
      closeSync(fd);
    }
    return true;
  } catch (error) {
    throw explainWriteError(error, file);
  }
}

/** Entries for these keys as the file has its others, without the last newline. */
export function formatLines(known: KnownHostsFile, [name]: HostNames, blobs: readonly Buffer[]): string {
  const hashed = hidesNames(known);
  return blobs.map((blob) => formatKnownHostsLine(name, blob, { hashed })).join('\n');
}

/** A failure as it is; a system error as `file-unusable`. */
export function explainWriteError(error: unknown, file: string): Failure {
  if (error instanceof Failure) return error;
  const why = `cannot be written (${errnoOf(error) ?? 'unknown'})`;
  const remedy = 'check its permissions and the free space';
  return new Failure('file-unusable', { file, why, remedy }, { cause: error });
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

function appendWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  // What is left of a line that did not fit is no entry, and the next one starts on a line of its own.
  if (writeSync(fd, bytes) !== bytes.length)
    throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
  fsyncSync(fd);
}

/** A new file survives a crash only with its folder. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
