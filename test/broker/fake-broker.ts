/** Brokers as they should not be: something else behind the socket, and clients that do not keep to the protocol. */
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { FRAME, type Frame, FrameReader } from '../../src/broker/frame.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { within } from '../helpers/wait.ts';

/** Listens at `path`, where no broker may be any more, and hands each frame that comes to `onFrame`. */
export async function openFakeBroker(
  scope: Scope,
  path: string,
  onFrame: (frame: Frame, socket: Socket) => void,
): Promise<{ connections(): number }> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    const reader = new FrameReader();
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk, (frame) => onFrame(frame, socket));
    });
  });
  server.listen(path);
  await once(server, 'listening');
  chmodSync(path, 0o600);
  defer(scope, () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { connections: () => connections };
}

export interface RawClient {
  write(bytes: Uint8Array): void;
  /** Frames that came so far. */
  readonly frames: readonly Frame[];
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
  /** Waits until the broker closes the connection. */
  closed(): Promise<void>;
  destroy(): void;
}

/** A client of a real broker that sends what it likes. */
export async function openRawClient(scope: Scope, path: string): Promise<RawClient> {
  const socket = connect(path);
  await once(socket, 'connect');
  defer(scope, () => socket.destroy());
  const frames: Frame[] = [];
  const reader = new FrameReader();
  socket.on('data', (chunk: Buffer) => {
    reader.push(chunk, ({ type, payload }) => {
      if (type !== FRAME.DATA) frames.push({ type, payload: Buffer.from(payload) });
    });
  });
  socket.on('error', () => {});
  const end = new Promise<void>((resolve) => {
    for (const event of ['end', 'close']) socket.once(event, () => resolve());
  });
  return {
    write: (bytes) => void socket.write(bytes),
    frames,
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    closed: () => within('the broker closes the connection', end, { timeout: 5_000 }),
    destroy: () => socket.destroy(),
  };
}
