/** A line that holds every answer of the server back for a while and counts how often the client had to wait for one. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { defer, type Scope } from './scope.ts';

export interface TurnCounter {
  readonly port: number;
  /** Times that the client spoke, on all connections so far; all that it says without an answer in between is one. */
  turns(): number;
}

/** Long enough for whatever a client says in one go to be said before the answer comes, on a busy machine too. */
const HOLD_MS = 250;

export async function openTurnCounter(scope: Scope, to: number): Promise<TurnCounter> {
  const sockets = new Set<Socket>();
  let turns = 0;
  const server = createServer((near) => {
    const far = connect({ port: to, host: '127.0.0.1' });
    let spoke = Number.NEGATIVE_INFINITY;
    near.on('data', (data) => {
      const now = performance.now();
      // What came sooner was no answer to an answer, but to its first part.
      if (now - spoke > HOLD_MS / 2) turns += 1;
      spoke = now;
      far.write(data);
    });
    far.on('data', (data) => setTimeout(() => near.write(data), HOLD_MS));
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('end', () => setTimeout(() => into.end(), HOLD_MS));
      from.on('error', () => into.destroy());
    }
  });
  defer(scope, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, turns: () => turns };
}
