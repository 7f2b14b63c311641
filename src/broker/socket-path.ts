/** Where brokers' sockets are, and how one is spoken to. Light: the way to a warm session leads through here. */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { utf8Bytes } from '../bytes.ts';
import { errnoOf, Failure } from '../errors.ts';
import { SOCKET_PATH_MAX } from '../limits.ts';
import { listRuntimeDir, openRuntimeDir } from '../runtime-dir.ts';
import type { Settings } from '../settings.ts';
import { type FrameHandler, FrameSocket } from './frame-socket.ts';
import { callerOf, isRetiredFileName } from './spec.ts';

/** A broker makes its socket under a longer name first: `.` and a process id. */
const TEMP_SUFFIX_LENGTH = '.4194304'.length;

/** Where the socket of that name belongs; undefined where no folder is safe or its path is too long. */
export function brokerSocketPath(fileName: string, settings: Settings): string | undefined {
  const dir = openRuntimeDir(settings);
  if (dir === undefined) return undefined;
  const path = join(dir, fileName);
  return utf8Bytes(path).length + TEMP_SUFFIX_LENGTH <= SOCKET_PATH_MAX ? path : undefined;
}

/** All sockets of brokers in the runtime folder that take sessions. @throws {Failure} `file-unusable` */
export function listBrokerSockets(settings: Settings): string[] {
  return listRuntimeDir(settings, (name) => callerOf(name) !== undefined);
}

/** The same of those that end with their last session. @throws {Failure} `file-unusable` */
export function listRetiredSockets(settings: Settings): string[] {
  return listRuntimeDir(settings, isRetiredFileName);
}

/**
 * Connects; undefined if no broker listens there. Only a socket that belongs to us is spoken to.
 *
 * @throws {Failure} `file-unusable` for what is not our socket
 * @throws a system error if the socket cannot be used (out of descriptors)
 */
export async function connectFrames(
  path: string,
  uid: number,
  handler: FrameHandler,
): Promise<FrameSocket | undefined> {
  try {
    const stat = lstatSync(path);
    if (!stat.isSocket() || stat.uid !== uid) {
      throw new Failure('file-unusable', { file: path, why: 'it is not our socket', remedy: 'remove it' });
    }
    return await FrameSocket.connect(path, handler);
  } catch (error) {
    // Reset: it went away with our connection still waiting.
    if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** True if a broker listens at `path`. */
export async function isBrokerLive(path: string, uid: number): Promise<boolean> {
  const frames = await connectFrames(path, uid, { onFrame: () => {}, onClose: () => {} });
  frames?.destroy();
  return frames !== undefined;
}
