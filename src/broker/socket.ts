/**
 * The broker's end of its socket, born private and whole. It lies in a folder that only we can enter;
 * it is made under another name and linked into place, so that nobody ever sees a half-made one, and a live one is
 * never removed.
 */
import { chmodSync, linkSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf } from '../errors.ts';
import { STALE_LOCK_TRIES, STALE_LOCK_WAIT_MS } from '../limits.ts';
import { inodeOf } from './inode.ts';
import { isBrokerLive } from './socket-path.ts';
import { type AcceptWire, listenWires } from './wire.ts';

/** A listening socket in place; `inode` tells later whether the file there is still ours. */
export interface SocketListener {
  readonly server: { close(): void };
  readonly inode: number;
}

/** Listens for frames at `path`; undefined if somebody who lives has it already. */
export function listenFrames(
  path: string,
  uid: number,
  onConnection: (accept: AcceptWire) => void,
): Promise<SocketListener | undefined> {
  return listenPrivately(path, uid, (temp) => listenWires(temp, onConnection));
}

/** Listens at `path`; undefined if somebody who lives has it already. */
export function listenSocket(
  path: string,
  uid: number,
  onConnection: (socket: Socket) => void,
): Promise<SocketListener | undefined> {
  return listenPrivately(path, uid, async (temp) => {
    // Half-open: a client that has sent all its input still wants the output.
    const server = createServer({ allowHalfOpen: true }, onConnection);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(temp, () => resolve());
    });
    // A connection that could not be accepted (out of descriptors) is its client's trouble.
    server.on('error', () => {});
    return server;
  });
}

async function listenPrivately(
  path: string,
  uid: number,
  listen: (path: string) => Promise<{ close(): void }>,
): Promise<SocketListener | undefined> {
  const temp = `${path}.${process.pid}`;
  rmSync(temp, { force: true });
  const server = await listen(temp);
  let inPlace = false;
  try {
    chmodSync(temp, 0o600);
    const { ino } = lstatSync(temp);
    inPlace = await linkIntoPlace(temp, path, uid);
    return inPlace ? { server, inode: ino } : undefined;
  } finally {
    rmSync(temp, { force: true });
    if (!inPlace) server.close();
  }
}

/** False if a live broker has the place. A dead one's socket is removed by whoever holds the lock, and nobody else. */
async function linkIntoPlace(temp: string, path: string, uid: number): Promise<boolean> {
  const lock = `${path}.lock`;
  for (let left = STALE_LOCK_TRIES; left > 0; left -= 1) {
    if (tryLink(temp, path)) return true;
    if (await isBrokerLive(path, uid)) return false;
    if (tryLink(temp, lock)) {
      try {
        if (!(await isBrokerLive(path, uid))) rmSync(path, { force: true });
        return tryLink(temp, path);
      } finally {
        rmSync(lock, { force: true });
      }
    }
    // The lock is its holder's own socket: it tells whether he still lives.
    const held = inodeOf(lock);
    if (await isBrokerLive(lock, uid)) await sleep(STALE_LOCK_WAIT_MS);
    else if (held !== undefined && held === inodeOf(lock)) rmSync(lock, { force: true });
  }
  return false;
}

/** False if something has that name already. */
function tryLink(existing: string, path: string): boolean {
  try {
    linkSync(existing, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** True while the file at `path` is the listener's own. */
export function ownsSocket(path: string, { inode }: SocketListener): boolean {
  return inodeOf(path) === inode;
}
