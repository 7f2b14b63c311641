/**
 * The private folder for sockets and short notes between our own processes. Nothing in it is worth keeping; whoever
 * else could write to it could speak for us, so one that is not ours alone is not used at all.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { checkTrusted } from './alias/trusted-file.ts';
import type { Settings } from './settings.ts';

/** The first usable runtime folder, made if it is missing; undefined if none is safe. */
export function openRuntimeDir(settings: Settings): string | undefined {
  return settings.runtimeDirs.find((dir) => preparePrivateDir(dir, settings.uid));
}

function preparePrivateDir(dir: string, uid: number): boolean {
  try {
    checkTrusted(dirname(dir), uid);
    try {
      mkdirSync(dir, { mode: 0o700 });
    } catch {
      // Usually it is there already; what it is, is checked below.
    }
    // Not stat: a link could be turned to another folder between two uses.
    const stat = lstatSync(dir);
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0;
  } catch {
    return false;
  }
}
