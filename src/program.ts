/** Where this program lies, and how it starts itself again. */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** True in the standalone executable. */
const STANDALONE = process.versions['bun'] !== undefined;

/** Where a package links to its launcher: the name that stays when files move, and that people know. */
const PUBLIC_NAMES = ['/usr/bin/pine-rsh', '/usr/local/bin/pine-rsh'];

/** The name it was called by: the standalone sees it in argv[0]; under Node that is `node`, and the script's counts. */
export function calledAs(): string {
  return basename((STANDALONE ? process.argv0 : process.argv[1]) ?? '');
}

/** What belongs into rsh-path: the launcher bin/pine-rsh beside dist/, else the program itself. Absolute. */
export function programPath(): string {
  const own = ownFile();
  const launcher = join(dirname(dirname(own)), 'bin', 'pine-rsh');
  if (existsSync(launcher)) return PUBLIC_NAMES.find((name) => leadsTo(name, launcher)) ?? launcher;
  return join(dirname(own), basename(own).replace('pine-rshctl', 'pine-rsh'));
}

function leadsTo(name: string, file: string): boolean {
  try {
    return realpathSync(name) === realpathSync(file);
  } catch {
    return false;
  }
}

/** The command that runs pine-rsh in a process of its own. */
export function selfCommand(): readonly [file: string, ...args: string[]] {
  if (STANDALONE) return [process.execPath];
  return [process.execPath, join(dirname(ownFile()), basename(ownFile()).replace('pine-rshctl', 'pine-rsh'))];
}

function ownFile(): string {
  return STANDALONE ? process.execPath : realpathSync(process.argv[1] ?? '');
}
