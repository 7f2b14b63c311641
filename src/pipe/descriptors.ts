/**
 * What the caller made of fd 0, 1 and 2: c-client joins 1 and 2, mbsync joins 0 and 1, a shell gives a terminal. By
 * fstat(2) alone: loading node:tty takes Bun 3 ms, and every host that is not ours waits for it.
 */
import { fstatSync, type Stats, statSync } from 'node:fs';

export interface Descriptors {
  /** fd 1 and fd 2 are one file: what goes to fd 2 lands in the mail client's IMAP input. */
  readonly sharedOutput: boolean;
  /** That, and all three are pipes or sockets: so c-client starts its rsh (tcp_unix.c, tcp_aopen). */
  readonly likeCClient: boolean;
  /** A person looks at it: both ends are a terminal. */
  readonly terminal: boolean;
}

export function inspectDescriptors(): Descriptors {
  const [input, output, error] = [statDescriptor(0), statDescriptor(1), statDescriptor(2)];
  const sharedOutput = output !== undefined && error !== undefined && isSameFile(output, error);
  return {
    sharedOutput,
    likeCClient: sharedOutput && isPipe(input) && isPipe(output),
    terminal: isTerminal(input) && isTerminal(output),
  };
}

/** Other kinds of files have ways of their own: a terminal is a device, a file has a place in it. */
export function isPipe(stat: Stats | undefined): boolean {
  return stat !== undefined && (stat.isFIFO() || stat.isSocket());
}

/** Undefined for a closed descriptor. */
export function statDescriptor(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch {
    return undefined;
  }
}

function isSameFile(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** A character device other than /dev/null: nothing else that is one is ever given to us as input and output. */
function isTerminal(stat: Stats | undefined): boolean {
  if (stat?.isCharacterDevice() !== true) return false;
  return stat.rdev !== statSync('/dev/null', { throwIfNoEntry: false })?.rdev;
}
