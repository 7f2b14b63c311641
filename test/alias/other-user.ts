/**
 * Being, or being faced with, another user. Only root can set that up; everyone else skips, with a reason.
 */
import { chownSync, lchownSync } from 'node:fs';

/** A uid that belongs to nobody on ordinary systems, and is neither root nor the one that runs the tests. */
export const OTHER_UID = 54_321;

/** For `{ skip }` of node:test. */
export const needsRoot = process.getuid?.() === 0 ? false : 'only root can give files to another user';

export const UID = process.getuid?.() ?? 0;

/** Gives a file or folder (of a link: the link) to the other user. */
export function giveAway(path: string, link = false): void {
  (link ? lchownSync : chownSync)(path, OTHER_UID, OTHER_UID);
}

/** Runs `act` with the rights of an ordinary user: root may read what nobody may. */
export function asOrdinaryUser<T>(act: (uid: number) => T): T {
  if (UID !== 0) return act(UID);
  process.setegid?.(OTHER_UID);
  process.seteuid?.(OTHER_UID);
  try {
    return act(OTHER_UID);
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}
