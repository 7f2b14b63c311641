/** SSH servers that do not keep to the protocol: before the key exchange plain sockets, behind it ssh2's server. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { makeKey } from './host-keys.ts';
import { defer, type Scope } from './scope.ts';
import type { TempHome } from './temp-home.ts';

/** A connection on which any payload can be sent. */
export interface HostileConnection {
  /** One SSH packet; the rest of the protocol goes on around it. */
  send(payload: Buffer): void;
  /** Calls back until the other end is gone, and leaves it time to read. */
  repeat(step: () => void): void;
  /** Exchanges keys, and does it again as soon as that is done. */
  rekeyOnAndOn(): void;
}

export type OnExec = (
  channel: ssh2.ServerChannel,
  id: number,
  connection: HostileConnection,
  refuse: () => void,
) => void;

/** What a request to log in gets; ssh2 answers none by itself. */
export type OnLogin = (attempt: ssh2.AuthContext, connection: HostileConnection) => void;

/** Listens on loopback; what it does to a connection is `serve`'s. Its connections end with the test. */
export async function openHostilePort(scope: Scope, serve: (socket: Socket) => void): Promise<number> {
  const listener = createServer((socket) => {
    defer(scope, () => socket.destroy());
    socket.on('error', () => {});
    serve(socket);
  });
  defer(scope, () => void listener.close());
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return (listener.address() as AddressInfo).port;
}

/** Writes the same again and again, as fast as it is taken. */
export function flood(socket: Socket, bytes: Buffer): void {
  const more = (): void => {
    while (socket.writable && socket.write(bytes));
  };
  socket.on('drain', more);
  more();
}

/** A real key exchange, then a login that works where nothing else is said; each command is `onExec`'s. */
export async function openHostileServer(
  scope: Scope,
  home: TempHome,
  onExec: OnExec,
  onLogin: OnLogin = (attempt) => attempt.accept(),
): Promise<number> {
  const hostKey = join(home.dir, 'host');
  makeKey('ed25519', hostKey);
  makeKey('ed25519', join(home.dir, 'id'));
  const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (connection) => {
    connection.on('error', () => {});
    connection.on('authentication', (attempt) => onLogin(attempt, wrapConnection(connection)));
    connection.on('session', (accept) => {
      accept().on('exec', (acceptExec, rejectExec) => {
        let accepted: ssh2.ServerChannel | undefined;
        const channel = new Proxy({} as ssh2.ServerChannel, {
          get: (_, name) => {
            accepted ??= acceptExec();
            const value: unknown = Reflect.get(accepted, name);
            return typeof value === 'function' ? value.bind(accepted) : value;
          },
        });
        onExec(channel, 0, wrapConnection(connection), rejectExec);
      });
    });
  });
  const port = await openHostilePort(scope, (socket) => server.injectSocket(socket));
  home.writeFile('known_hosts', `[127.0.0.1]:${port} ${readFileSync(`${hostKey}.pub`, 'utf8')}`);
  return port;
}

interface Internals {
  readonly _sock: Socket;
  readonly _protocol: {
    readonly _packetRW: {
      readonly write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer };
    };
    readonly _cipher: { encrypt(packet: Buffer): void };
  };
}

function wrapConnection(connection: ssh2.Connection): HostileConnection {
  const { _sock: socket, _protocol: protocol } = connection as unknown as Internals;
  const send = (payload: Buffer): void => {
    if (!socket.writable) return;
    const { write } = protocol._packetRW;
    const packet = write.alloc(payload.length);
    packet.set(payload, write.allocStart);
    protocol._cipher.encrypt(write.finalize(packet));
  };
  const repeat = (step: () => void): void => {
    if (!socket.writable) return;
    step();
    if (socket.writableNeedDrain) socket.once('drain', () => repeat(step));
    else setImmediate(() => repeat(step));
  };
  const rekeyOnAndOn = (): void => {
    if (!socket.writable) return;
    connection.once('rekey', () => setImmediate(rekeyOnAndOn));
    connection.rekey();
  };
  return { send, repeat, rekeyOnAndOn };
}
