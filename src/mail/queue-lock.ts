/**
 * Only one process at a time sends the waiting mail of an alias. The lock is a socket that listens in the queue's
 * folder, because the system takes it away from a process that dies.
 */

import { rmSync } from 'node:fs';
import { chdir, cwd } from 'node:process';
import { listenBroker, ownsSocket } from '../broker/socket.ts';
import { shortHash } from '../hash.ts';
import { MACHINE, type QueueFolder } from './queue-folder.ts';

/** Takes the lock; gives what releases it, or undefined while another process has it. */
export async function lockQueue(
  folder: QueueFolder,
  alias: string,
  uid: number,
): Promise<(() => void) | undefined> {
  // A socket's path must be short, and a home's may be long: so the name is a relative one.
  const before = cwd();
  chdir(folder.path);
  try {
    const name = `lock.${MACHINE}.${shortHash(alias, 8)}`;
    const listener = await listenBroker(name, uid, (socket) => socket.destroy());
    if (listener === undefined) return undefined;
    return () => {
      chdir(folder.path);
      if (ownsSocket(name, listener)) rmSync(name, { force: true });
      listener.server.close();
      chdir(before);
    };
  } finally {
    chdir(before);
  }
}
