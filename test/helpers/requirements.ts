/**
 * The real programs a test drives. A machine that lacks one skips the test and says which; with CI=true nothing is
 * skipped: there a missing program is a hole in the test run, and fails it.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where distributions keep daemons and Dovecot's imap, beside what PATH has. */
const MORE_DIRS = ['/usr/sbin', '/usr/local/sbin', '/usr/lib/dovecot', '/usr/libexec/dovecot'];

/** The absolute path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  const dirs = (process.env['PATH'] ?? '').split(delimiter).filter((dir) => dir.startsWith('/'));
  return [...dirs, ...MORE_DIRS].map((dir) => join(dir, name)).find(isExecutable);
}

/** The absolute path of a program that the caller required beforehand. */
export function programPath(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** For `{ skip }` of node:test: false when all programs are there. @throws with CI=true when one is missing */
export function requirePrograms(...names: string[]): string | false {
  const reason = missing(names);
  if (reason !== false && process.env['CI'] === 'true') throw new Error(`${reason} (CI=true)`);
  return reason;
}

/** As `requirePrograms`, for programs that even CI may lack. */
export function optionalPrograms(...names: string[]): string | false {
  return missing(names);
}

function missing(names: string[]): string | false {
  const absent = names.filter((name) => findProgram(name) === undefined);
  return absent.length === 0 ? false : `not installed: ${absent.join(', ')}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
