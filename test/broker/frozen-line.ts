/** A line to a server whose connections can be made to go dead, as a network does that went away: no answer, no end. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { defer, type Scope } from '../helpers/scope.ts';

export interface FrozenLine {
  readonly port: number;
  /** Nothing gets through the connections that there are now; those made later work. */
  freeze(): void;
}

const LOOPBACK = '127.0.0.1';

/** TCP to `to` on loopback by way of another port. */
export async function openFrozenLine(scope: Scope, to: number): Promise<FrozenLine> {
  const sockets = new Set<Socket>();
  const frozen = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: to, host: LOOPBACK, allowHalfOpen: true });
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => {
        if (!frozen.has(from)) into.write(data);
      });
      from.on('end', () => {
        if (!frozen.has(from)) into.end();
      });
      from.on('error', () => into.destroy());
      from.on('close', () => sockets.delete(from));
    }
  });
  defer(scope, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    freeze: () => {
      for (const socket of sockets) frozen.add(socket);
    },
  };
}
