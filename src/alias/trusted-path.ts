/**
 * Who could change what a path leads to. Walks a path folder by folder, through every symbolic link, as the kernel
 * would, and notes the first folder or link that somebody else (neither root nor we) controls.
 *
 * Whoever opens a file by the real path found here, without following a link in its last component, cannot be
 * tricked in between: nobody else can write to any folder on the way. Compare OpenSSH's safe_path (misc.c), which
 * stops at the home directory and takes no links.
 *
 * A sticky folder (/tmp) passes: others can add to it but not replace what is ours, and what is theirs fails by its
 * owner.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoOf, Failure, toFailure } from '../errors.ts';
import { shellWord } from '../shell-word.ts';

/** What a path leads to. `distrust` is the reason to refuse it; it may still turn out to matter to nobody. */
export interface PathEntry {
  /** Absolute, without links. */
  readonly real: string;
  readonly stats: Stats;
  /** Why the way to it (not the entry itself) cannot be trusted. */
  readonly distrust: Failure | undefined;
}

/** A folder and whether all on the way to it and it itself can be trusted. */
export interface PathFolder {
  readonly real: string;
  readonly distrust: Failure | undefined;
}

/** Others may write (group and world). */
const OTHERS_WRITE = 0o022;
/** Others may do anything at all. */
const OTHERS_ANY = 0o077;
const STICKY = 0o1000;
/** As many links as Linux follows in one path. */
const LINKS_MAX = 40;

/** Folders already walked: a session reads several files below the same few folders. */
const walked = new Map<string, PathFolder>();

/** Forgets what is known about folders; for processes that live long, before they look again. */
export function forgetFolders(): void {
  walked.clear();
}

/**
 * The folder that `path` (absolute) leads to, or undefined if there is none.
 *
 * @throws {Failure} `file-unreadable`, `file-unusable` (a link that points to nothing, or in a circle)
 */
export function findFolder(path: string, uid: number, links = 0): PathFolder | undefined {
  const key = `${uid}:${path}`;
  const cached = walked.get(key);
  if (cached !== undefined) return cached;
  const entry = findEntry(path, uid, links);
  if (entry?.stats.isDirectory() !== true) return undefined;
  const { real, stats } = entry;
  const folder = { real, distrust: entry.distrust ?? distrustEntry(real, stats, uid) };
  walked.set(key, folder);
  return folder;
}

/**
 * What `path` (absolute) leads to, or undefined if there is nothing.
 *
 * @throws {Failure} `file-unreadable`, `file-unusable` (a link that points to nothing, or in a circle)
 */
export function findEntry(path: string, uid: number, links = 0): PathEntry | undefined {
  if (!path.startsWith('/')) throw new TypeError('path is not absolute');
  const name = basename(path);
  if (name === '') return { real: '/', stats: lstatSync('/'), distrust: undefined };
  if (name === '.') return findEntry(dirname(path), uid, links);
  const folder = findFolder(dirname(path), uid, links);
  if (folder === undefined) return undefined;
  // Not joined by text: `link/..` is the parent of what the link leads to.
  if (name === '..') return findEntry(dirname(folder.real), uid, links);
  const real = childPath(folder.real, name);
  const stats = statLink(real);
  if (stats === undefined) return undefined;
  if (!stats.isSymbolicLink()) return { real, stats, distrust: folder.distrust };
  return followLink(real, stats, folder, uid, links);
}

/** The same as `findEntry` for a path whose last component is known to be a link. */
export function followLink(
  link: string,
  stats: Stats,
  folder: PathFolder,
  uid: number,
  links = 0,
): PathEntry | undefined {
  if (links >= LINKS_MAX) {
    throw new Failure('file-unusable', { file: link, why: 'links in a circle', remedy: 'mend the link' });
  }
  const target = readlinkSync(link);
  const entry = findEntry(target.startsWith('/') ? target : `${folder.real}/${target}`, uid, links + 1);
  if (entry === undefined) {
    throw new Failure('file-unusable', {
      file: link,
      why: 'is a link to something that does not exist',
      remedy: `restore ${target} or remove the link`,
    });
  }
  const distrust = folder.distrust ?? distrustOwner(link, stats, uid) ?? entry.distrust;
  return { ...entry, distrust };
}

/** Why this file or folder cannot be trusted: its owner or its mode. */
export function distrustEntry(file: string, stats: Stats, uid: number): Failure | undefined {
  const owner = distrustOwner(file, stats, uid);
  if (owner !== undefined) return owner;
  if ((stats.mode & OTHERS_WRITE) === 0) return undefined;
  if (stats.isDirectory() && (stats.mode & STICKY) !== 0) return undefined;
  return new Failure('file-untrusted', {
    file,
    why: 'others can write to it',
    remedy: `chmod go-w ${shellWord(file)}`,
  });
}

/** Why this file or folder is not private: what `distrustEntry` says, or others can look into it. */
export function distrustPrivacy(file: string, stats: Stats, uid: number): Failure | undefined {
  const owner = distrustOwner(file, stats, uid);
  if (owner !== undefined) return owner;
  if ((stats.mode & OTHERS_ANY) === 0) return undefined;
  const why = (stats.mode & OTHERS_WRITE) !== 0 ? 'others can write to it' : 'others can read it';
  const [kind, mode] = stats.isDirectory() ? ['folder', '700'] : ['file', '600'];
  // What everybody uses is not to be closed to the others, even by those who could.
  if (stats.uid !== uid || (stats.mode & STICKY) !== 0) {
    const remedy = `choose a ${kind} of your own, with mode ${mode}`;
    return new Failure('file-unusable', { file, why, remedy });
  }
  return new Failure('file-untrusted', { file, why, remedy: `chmod ${mode} ${shellWord(file)}` });
}

function distrustOwner(file: string, stats: Stats, uid: number): Failure | undefined {
  if (stats.uid === uid || stats.uid === 0) return undefined;
  // A link's own owner: chown would follow it.
  const flag = stats.isSymbolicLink() ? '-h ' : '';
  return new Failure('file-untrusted', {
    file,
    why: `belongs to uid ${stats.uid}`,
    remedy: `chown ${flag}${uid === 0 ? 'root' : uid} ${shellWord(file)}`,
  });
}

/** `folder` is real and absolute. */
export function childPath(folder: string, name: string): string {
  return folder === '/' ? `/${name}` : `${folder}/${name}`;
}

/** lstat; undefined when there is nothing. @throws {Failure} `file-unreadable` */
export function statLink(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return undefined;
    throw explainSystemError(error, dirname(path), 'u+rx');
  }
}

/** Turns a system error about `file` into a failure; `mode` is what chmod would have to add for its owner. */
export function explainSystemError(error: unknown, file: string, mode: 'u+r' | 'u+rx'): Failure {
  const code = errnoOf(error);
  const known = toFailure(error);
  if (code === undefined || known.code !== 'internal') return known;
  const denied = code === 'EACCES' || code === 'EPERM';
  if (denied) {
    const remedy = describeAccess(file, mode);
    return new Failure('file-unreadable', { file, why: 'permission denied', remedy }, { cause: error });
  }
  const facts =
    code === 'EISDIR'
      ? { file, why: 'is a folder', remedy: 'a file belongs there' }
      : { file, why: `cannot be read (${code})`, remedy: 'check the disk or the network' };
  return new Failure('file-unusable', facts, { cause: error });
}

/** Only its owner can let us in, and then by letting everybody in. */
function describeAccess(file: string, mode: string): string {
  const owner = ownerOf(file);
  const command = (who: string): string => `chmod ${who}${mode.slice(1)} ${shellWord(file)}`;
  if (owner === undefined || owner === process.geteuid?.()) return command('u');
  return `have ${owner === 0 ? 'root' : `uid ${owner}`} run: ${command('a')}`;
}

/** Undefined where not even that can be told. */
function ownerOf(file: string): number | undefined {
  try {
    return lstatSync(file).uid;
  } catch {
    return undefined;
  }
}
