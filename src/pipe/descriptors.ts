/** What the caller made of fd 0, 1 and 2: c-client joins 1 and 2, mbsync joins 0 and 1, a shell gives a terminal. */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';

export interface Descriptors {
  /** fd 1 and fd 2 are one file: what goes to fd 2 lands in the mail client's IMAP input. */
  readonly sharedOutput: boolean;
  /** A person looks at it: both ends are a terminal. */
  readonly terminal: boolean;
}

export function inspectDescriptors(): Descriptors {
  return { sharedOutput: isSameFile(1, 2), terminal: isatty(0) && isatty(1) };
}

function isSameFile(one: number, other: number): boolean {
  try {
    const a = fstatSync(one);
    const b = fstatSync(other);
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    // A closed descriptor is nobody's output.
    return false;
  }
}
