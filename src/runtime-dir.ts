/**
 * The private folder for sockets and short notes between our own processes. Nothing in it is worth keeping; whoever
 * else could write to it could speak for us, so one that is not ours alone is not used at all.
 */
import { lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { checkTrusted } from './alias/trusted-file.ts';
import { errnoOf, Failure } from './errors.ts';
import type { Settings } from './settings.ts';

/** The first usable runtime folder, made if it is missing; undefined if none is safe. */
export function openRuntimeDir(settings: Pick<Settings, 'uid' | 'runtimeDirs'>): string | undefined {
  for (const dir of settings.runtimeDirs) if (preparePrivateDir(dir, settings.uid)) return dir;
  return undefined;
}

/** The paths of what is in the runtime folder under such names. @throws {Failure} `file-unusable` */
export function listRuntimeDir(
  settings: Pick<Settings, 'uid' | 'runtimeDirs'>,
  isOne: (name: string) => boolean,
): string[] {
  const dir = openRuntimeDir(settings);
  if (dir === undefined) return [];
  try {
    return readdirSync(dir)
      .filter(isOne)
      .map((name) => join(dir, name));
  } catch (error) {
    const why = `cannot be read (${errnoOf(error)})`;
    throw new Failure('file-unusable', { file: dir, why, remedy: `run: chmod 700 ${dir}` }, { cause: error });
  }
}

function makeDir(dir: string): Stats {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch {
    // Another process may have been faster; what there is now is checked.
  }
  return lstatSync(dir);
}

function preparePrivateDir(dir: string, uid: number): boolean {
  try {
    checkTrusted(dirname(dir), uid);
    // Not stat: a link could be turned to another folder between two uses.
    const stat = lstatSync(dir, { throwIfNoEntry: false }) ?? makeDir(dir);
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0;
  } catch {
    return false;
  }
}
