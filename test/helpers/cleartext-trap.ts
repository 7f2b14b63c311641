/**
 * A listener on TCP port 143 of this machine that records who comes: Pine's fallback is a login in the clear there.
 * It answers as an IMAP server that wants a password, so that Pine goes on to ask for one.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { defer, type Scope } from './scope.ts';

export interface CleartextTrap {
  /** How many connections were made. */
  connections(): number;
}

const IMAP_PORT = 143;
const ADDRESSES = ['127.0.0.1', '::1'];

/** Listens, or gives undefined where port 143 cannot be had (an ordinary user, another server, another test run). */
export async function openCleartextTrap(scope: Scope): Promise<CleartextTrap | undefined> {
  let count = 0;
  const sockets = new Set<Socket>();
  const greet = (socket: Socket): void => {
    count++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const tag = data.toString('latin1').split(' ', 1)[0];
      socket.write(`* CAPABILITY IMAP4rev1\r\n${tag} OK done\r\n`);
    });
    socket.write('* OK IMAP4rev1 ready\r\n');
  };
  const servers = (await Promise.all(ADDRESSES.map((address) => listen(address, greet)))).filter(
    (server) => server !== undefined,
  );
  defer(scope, () => {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
  });
  const first = servers[0]?.address();
  return typeof first === 'object' && first?.address === ADDRESSES[0]
    ? { connections: () => count }
    : undefined;
}

async function listen(address: string, greet: (socket: Socket) => void): Promise<Server | undefined> {
  return await new Promise((resolve) => {
    const server = createServer(greet);
    server.once('error', () => resolve(undefined));
    server.listen(IMAP_PORT, address, () => resolve(server));
  });
}
