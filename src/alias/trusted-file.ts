/**
 * Reads the files that decide which host is logged in to and what runs there: alias files, known_hosts, keys. Refuses
 * what somebody else could have written, before a byte of it is used.
 *
 * Free of races: the folders are checked first, the file is opened by its real path without following a link, and
 * owner, mode and kind are taken from the open descriptor that is then read.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoOf, Failure } from '../errors.ts';
import {
  childPath,
  distrustEntry,
  distrustPrivacy,
  explainSystemError,
  findEntry,
  findFolder,
  followLink,
  type PathFolder,
  statLink,
} from './trusted-path.ts';

export { forgetFolders } from './trusted-path.ts';

export interface TrustedFileOptions {
  /** Files may belong to this user or to root. */
  readonly uid: number;
  readonly maxBytes: number;
  /** What may name the file: a key of an alias, an option. */
  readonly namedBy?: string;
}

export interface PrivateFileOptions extends TrustedFileOptions {
  /** Tells from the content whether it must be private (default: always); a public key need not. */
  readonly isSecret?: (bytes: Buffer) => boolean;
}

/** O_NONBLOCK: opening a FIFO must not wait for a writer. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** What open(2) says about a link under O_NOFOLLOW: Linux and macOS, FreeBSD. */
const LINK_ERRORS = ['ELOOP', 'EMLINK'];

/**
 * Reads a file that nobody else can write to.
 *
 * @param path absolute
 * @throws {Failure} `file-untrusted`, `file-unreadable`, `file-unusable`
 * @throws an error with code `ENOENT` if there is no such file; a link that points to nothing is a failure
 */
export function readTrustedFile(path: string, options: TrustedFileOptions): Buffer {
  return findTrustedFile(path, options) ?? throwMissing(path);
}

/** `readTrustedFile`, undefined if there is no such file. */
export function findTrustedFile(path: string, options: TrustedFileOptions): Buffer | undefined {
  return readFile(path, options, distrustEntry)?.bytes;
}

/** `readTrustedFile` for a file that nobody else can read either. */
export function readPrivateFile(path: string, options: PrivateFileOptions): Buffer {
  const file = readFile(path, { ...options, isPrivate: true }, distrustEntry) ?? throwMissing(path);
  if (options.isSecret?.(file.bytes) !== false) {
    throwIfAny(distrustPrivacy(file.real, file.stats, options.uid));
  }
  return file.bytes;
}

/**
 * Checks that nobody else can change this file, folder or socket (or what is in it), or replace it.
 *
 * @returns its real path
 * @throws as `readTrustedFile` does
 */
export function checkTrusted(path: string, uid: number): string {
  const entry = findEntry(path, uid) ?? throwMissing(path);
  throwIfAny(entry.distrust ?? distrustEntry(entry.real, entry.stats, uid));
  return entry.real;
}

/** `checkTrusted`, and nobody else can look into it. */
export function checkPrivate(path: string, uid: number): string {
  const entry = findEntry(path, uid) ?? throwMissing(path);
  throwIfAny(entry.distrust ?? distrustPrivacy(entry.real, entry.stats, uid));
  return entry.real;
}

/**
 * The real path of a folder that only we or root can change; undefined if there is none.
 *
 * @throws {Failure} `file-untrusted`, `file-unreadable`, `file-unusable` (not a folder)
 */
export function findTrustedFolder(path: string, uid: number): string | undefined {
  const folder = findFolder(path, uid);
  if (folder !== undefined) {
    throwIfAny(folder.distrust);
    return folder.real;
  }
  if (findEntry(path, uid) === undefined) return undefined;
  throw new Failure('file-unusable', { file: path, why: 'is not a folder', remedy: 'move it away' });
}

interface OpenedFile {
  readonly real: string;
  readonly stats: Stats;
  readonly bytes: Buffer;
}

interface ReadOptions extends TrustedFileOptions {
  /** Nobody else is to be let in. */
  readonly isPrivate?: boolean;
}

type Distrust = (file: string, stats: Stats, uid: number) => Failure | undefined;

function readFile(path: string, options: ReadOptions, distrust: Distrust): OpenedFile | undefined {
  const folder = findFolder(dirname(path), options.uid);
  if (folder === undefined) return undefined;
  throwIfAny(folder.distrust);
  return openInFolder(folder, basename(path), options, distrust);
}

function openInFolder(
  folder: PathFolder,
  name: string,
  options: ReadOptions,
  distrust: Distrust,
): OpenedFile | undefined {
  const real = childPath(folder.real, name);
  // Most names that are looked for are not there, and an error thrown for each is what takes the time.
  if (statLink(real) === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(real, OPEN_FLAGS);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') return undefined;
    if (code !== undefined && LINK_ERRORS.includes(code)) return openLink(folder, real, options, distrust);
    // A socket, or a device without a driver (open(2)).
    if (code === 'ENXIO' || code === 'ENODEV') throw notRegular(real, options);
    throw explainOpenError(error, real, options);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw notRegular(real, options);
    throwIfAny(distrust(real, stats, options.uid));
    return { real, stats, bytes: readAll(fd, real, stats.size, options.maxBytes) };
  } finally {
    closeSync(fd);
  }
}

function openLink(
  folder: PathFolder,
  link: string,
  options: ReadOptions,
  distrust: Distrust,
): OpenedFile | undefined {
  const stats = statLink(link);
  if (stats === undefined) return undefined;
  const entry = followLink(link, stats, folder, options.uid);
  if (entry === undefined) return undefined;
  throwIfAny(entry.distrust);
  return readFile(entry.real, options, distrust);
}

function readAll(fd: number, file: string, size: number, maxBytes: number): Buffer {
  const checkSize = (bytes: number): void => {
    if (bytes <= maxBytes) return;
    const why = `is larger than ${maxBytes} bytes`;
    throw new Failure('file-unusable', { file, why, remedy: 'check that it is the right file' });
  };
  checkSize(size);
  let bytes: Buffer;
  try {
    bytes = readFileSync(fd);
  } catch (error) {
    throw explainSystemError(error, file, 'u+r');
  }
  // It may have grown meanwhile.
  checkSize(bytes.length);
  return bytes;
}

function explainOpenError(error: unknown, file: string, { uid, isPrivate }: ReadOptions): Failure {
  // Throws its own failure when the folder, not the file, is what keeps us out.
  const stats = statLink(file);
  const failure = explainSystemError(error, file, 'u+r');
  if (isPrivate !== true || stats === undefined || stats.uid === uid) return failure;
  if (failure.code !== 'file-unreadable') return failure;
  const remedy = 'choose a file of your own, with mode 600';
  return new Failure('file-unusable', { file, why: 'permission denied', remedy }, { cause: error });
}

function notRegular(file: string, { namedBy }: ReadOptions): Failure {
  const remedy = namedBy === undefined ? 'move it away' : `check ${namedBy}, or move it away`;
  return new Failure('file-unusable', { file, why: 'is not a regular file', remedy });
}

function throwIfAny(failure: Failure | undefined): void {
  if (failure !== undefined) throw failure;
}

function throwMissing(path: string): never {
  throw Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT', path });
}
