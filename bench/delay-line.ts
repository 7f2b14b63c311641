/** Lines of several lengths to one server, each a relay process of its own; a line of 0 ms is no relay at all. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { defer, type Scope } from '../test/helpers/scope.ts';

const RELAY = fileURLToPath(new URL('delay-relay.ts', import.meta.url));
const ECHOES = 9;

/** Opens a line of `roundTrip` milliseconds to a port of loopback and gives the port of its near end. */
export async function openDelayLine(scope: Scope, port: number, roundTrip: number): Promise<number> {
  if (roundTrip === 0) return port;
  const words = ['--import', 'tsx', RELAY, String(port), String(roundTrip)];
  const relay = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  defer(scope, () => relay.kill());
  const [line] = (await once(relay.stdout, 'data')) as [Buffer];
  return Number(line.toString());
}

/** The median of real round trips over such a line, in milliseconds: timers are late rather than early. */
export async function measureDelayLine(scope: Scope, roundTrip: number): Promise<number> {
  const echo = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  defer(scope, () => echo.close());
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const port = await openDelayLine(scope, address.port, roundTrip);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const times: number[] = [];
  for (let count = 0; count <= ECHOES; count += 1) {
    const start = performance.now();
    socket.write('x');
    await once(socket, 'data');
    // The first one waits for the handshake too.
    if (count > 0) times.push(performance.now() - start);
  }
  socket.destroy();
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}
