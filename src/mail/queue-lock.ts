/**
 * Only one process at a time sends the waiting mail of an alias. The lock is a socket that listens in the queue's
 * folder, because the system takes it away from a process that dies.
 */

import { rmSync } from 'node:fs';
import { chdir, cwd } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenSocket, ownsSocket } from '../broker/socket.ts';
import { errnoOf } from '../errors.ts';
import { shortHash } from '../hash.ts';
import { QUEUE_LOCK_POLL_MS } from '../limits.ts';
import { MACHINE, type QueueFolder } from './queue-folder.ts';

/**
 * Takes the lock; gives what releases it, or undefined if another process has it for longer than `waitMs`.
 *
 * @throws {Failure} `queue-unusable`
 */
export async function lockQueue(
  folder: QueueFolder,
  alias: string,
  uid: number,
  waitMs: number,
): Promise<(() => void) | undefined> {
  for (const end = performance.now() + waitMs; ; await sleep(QUEUE_LOCK_POLL_MS)) {
    const release = await tryLock(folder, alias, uid);
    if (release !== undefined || performance.now() >= end) return release;
  }
}

async function tryLock(folder: QueueFolder, alias: string, uid: number): Promise<(() => void) | undefined> {
  // A socket's path must be short, and a home's may be long: so the name is a relative one.
  const before = cwd();
  try {
    chdir(folder.path);
    const name = `lock.${MACHINE}.${shortHash(alias, 8)}`;
    const listener = await listenSocket(name, uid, (socket) => {
      socket.on('error', () => {});
      // Who asks whether we live goes away by himself.
      socket.on('end', () => socket.end());
      socket.resume();
    });
    if (listener === undefined) return undefined;
    return () => {
      chdir(folder.path);
      if (ownsSocket(name, listener)) rmSync(name, { force: true });
      listener.server.close();
      chdir(before);
    };
  } catch (error) {
    // Its holder left while we asked whether he lives.
    if (errnoOf(error) === 'ECONNRESET') return undefined;
    throw folder.explainUse('change', error);
  } finally {
    chdir(before);
  }
}
