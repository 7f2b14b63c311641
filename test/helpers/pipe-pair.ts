/**
 * A pipe(2) whose ends can be handed to any descriptor of a child. Node's own `pipe` for children is a socket pair:
 * other buffer sizes, other errors, and never one end for two descriptors.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Both ends are the caller's to close. */
export interface PipePair {
  readonly readFd: number;
  readonly writeFd: number;
}

/** Opens a FIFO from both sides and unlinks it: what is left is a pipe. */
export function openPipePair(): PipePair {
  const dir = mkdtempSync(join(realpathSync(tmpdir()), 'pine-rsh-pipe-'));
  const path = join(dir, 'fifo');
  try {
    const made = spawnSync('mkfifo', ['-m', '600', path], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`mkfifo: ${made.stderr}`);
    // Opened for both directions it does not wait for the other side, and neither do the ones after it.
    const both = openSync(path, constants.O_RDWR);
    const readFd = openSync(path, constants.O_RDONLY);
    const writeFd = openSync(path, constants.O_WRONLY);
    closeSync(both);
    return { readFd, writeFd };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
