/** Which file has a name: a link to a socket is known by its inode. */
import { lstatSync } from 'node:fs';

/** Undefined where nothing is, or nothing can be seen. */
export function inodeOf(path: string): number | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}
