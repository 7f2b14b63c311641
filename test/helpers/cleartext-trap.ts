/**
 * A listener on TCP port 143 of this machine that records who comes: Pine's fallback is a login in the clear there.
 * It answers as an IMAP server that wants a password, so that Pine goes on to ask for one.
 */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { defer, type Scope } from './scope.ts';
import { waitUntil } from './wait.ts';

export interface CleartextTrap {
  /** How many connections were made. */
  connections(): number;
}

const IMAP_PORT = 143;
const ADDRESSES = ['127.0.0.1', '::1'];

/** More than one test file asks for. */
const ADDRESSES_EACH = 64;

/** Another test file may hold the port, for as long as it runs. */
const BUSY_PATIENCE_MS = 120_000;

/** Listens, or gives undefined where port 143 cannot be had (an ordinary user, another server). */
export async function openCleartextTrap(
  scope: Scope,
  addresses = ADDRESSES,
): Promise<CleartextTrap | undefined> {
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
  const servers: Server[] = [];
  defer(scope, () => {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
  });
  for (const address of addresses) {
    const server = await listen(address, greet);
    if (server !== undefined) servers.push(server);
    // A machine without IPv6 has no second address; without the first there is no trap.
    else if (servers.length === 0) return undefined;
  }
  return { connections: () => count };
}

/** The test fails if anybody came. */
export function assertNoCleartext(t: TestContext, trap: CleartextTrap | undefined): void {
  if (trap === undefined)
    t.diagnostic('port 143 cannot be bound here: cleartext connections were not watched');
  else assert.equal(trap.connections(), 0, 'connections to port 143');
}

let addresses = 0;

/**
 * An address of this machine (RFC 1122 section 3.2.1.3: all of 127.0.0.0/8 is) that no other test uses: as a host's
 * name it resolves, and its port 143 can be had whoever else has that of localhost.
 */
export function findOwnAddress(): string {
  const number = process.pid * ADDRESSES_EACH + addresses++;
  return `127.${1 + ((number >> 16) & 0x7f)}.${(number >> 8) & 0xff}.${number & 0xff}`;
}

async function listen(address: string, greet: (socket: Socket) => void): Promise<Server | undefined> {
  const attempt = () =>
    new Promise<Server | string>((resolve) => {
      const server = createServer(greet);
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      server.listen(IMAP_PORT, address, () => resolve(server));
    });
  try {
    const got = await waitUntil(
      `port ${IMAP_PORT}`,
      async () => {
        const outcome = await attempt();
        return outcome === 'EADDRINUSE' ? undefined : outcome;
      },
      { timeout: BUSY_PATIENCE_MS },
    );
    return typeof got === 'string' ? undefined : got;
  } catch {
    return undefined;
  }
}
