/**
 * The broker's socket: found, connected to, and born private and whole. It lies in a folder that only we can enter;
 * it is made under another name and linked into place, so that nobody ever sees a half-made one, and a live one is
 * never removed.
 */
import { chmodSync, linkSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { SOCKET_PATH_MAX } from '../limits.ts';
import { openRuntimeDir } from '../runtime-dir.ts';
import type { Settings } from '../settings.ts';
import { callerOf } from './spec.ts';

/** Where the socket of that name belongs; undefined where no folder is safe or its path is too long. */
export function brokerSocketPath(fileName: string, settings: Settings): string | undefined {
  const dir = openRuntimeDir(settings);
  if (dir === undefined) return undefined;
  const path = join(dir, fileName);
  return Buffer.byteLength(path) + TEMP_SUFFIX_LENGTH <= SOCKET_PATH_MAX ? path : undefined;
}

/** All sockets of brokers in the runtime folder. */
export function listBrokerSockets(settings: Settings): string[] {
  const dir = openRuntimeDir(settings);
  if (dir === undefined) return [];
  return readdirSync(dir)
    .filter((name) => callerOf(name) !== undefined)
    .map((name) => join(dir, name));
}

/**
 * Connects; undefined if no broker listens there. Only a socket that belongs to us is spoken to.
 *
 * @throws if the socket is there and cannot be used (out of descriptors, not ours)
 */
export function connectBroker(path: string, uid: number): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    let stat: ReturnType<typeof lstatSync>;
    try {
      stat = lstatSync(path);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return resolve(undefined);
      return reject(error);
    }
    if (!stat.isSocket() || stat.uid !== uid) return reject(new Error(`${path} is not our socket`));
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error) => {
      const code = errnoOf(error);
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
  });
}

/** A listening socket in place; `inode` tells later whether the file there is still ours. */
export interface BrokerListener {
  readonly server: Server;
  readonly inode: number;
}

const TEMP_SUFFIX_LENGTH = '.4194304'.length;

/** Listens at `path`; undefined if a live broker has it already. */
export async function listenBroker(
  path: string,
  uid: number,
  onConnection: (socket: Socket) => void,
): Promise<BrokerListener | undefined> {
  const temp = `${path}.${process.pid}`;
  rmSync(temp, { force: true });
  // Half-open: a client that has sent all its input still wants the output.
  const server = createServer({ allowHalfOpen: true }, onConnection);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(temp, () => resolve());
  });
  try {
    chmodSync(temp, 0o600);
    const { ino } = lstatSync(temp);
    if (await linkIntoPlace(temp, path, uid)) return { server, inode: ino };
  } finally {
    rmSync(temp, { force: true });
  }
  server.close();
  return undefined;
}

async function linkIntoPlace(temp: string, path: string, uid: number): Promise<boolean> {
  for (const attempt of ['first', 'after a stale one']) {
    try {
      linkSync(temp, path);
      return true;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    if (attempt === 'first' && !(await removeStale(path, uid))) return false;
  }
  return false;
}

/**
 * Takes a dead socket out of the way. It is moved aside before it is judged: what is moved cannot be replaced under
 * our hands, and a live one that slipped in goes back.
 */
async function removeStale(path: string, uid: number): Promise<boolean> {
  const live = await connectBroker(path, uid);
  live?.destroy();
  if (live !== undefined) return false;
  const aside = `${path}.${process.pid}`.replace('b-', 's-');
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
  const moved = await connectBroker(aside, uid);
  moved?.destroy();
  try {
    if (moved !== undefined) linkSync(aside, path);
  } catch {
    // Yet another one has the place: as good.
  }
  rmSync(aside, { force: true });
  return moved === undefined;
}

/** True while the file at `path` is the listener's own. */
export function ownsSocket(path: string, { inode }: BrokerListener): boolean {
  try {
    return lstatSync(path).ino === inode;
  } catch {
    return false;
  }
}
