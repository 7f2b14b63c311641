/**
 * A process that listens for brokers' clients at one path after the other, each at a given moment, together with its
 * like: `racing-listener.ts T0 PATH...`. Prints a line for each path, `won` or `lost`; then, when its input ends, one
 * for each path it still owns.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { listenSocket, ownsSocket, type SocketListener } from '../../src/broker/socket.ts';

const STEP_MS = 100;

const [start, ...paths] = process.argv.slice(2);
const won = new Map<string, SocketListener>();
for (const [round, path] of paths.entries()) {
  await sleep(Number(start) + round * STEP_MS - Date.now());
  const listener = await listenSocket(path, process.getuid?.() ?? 0, (socket) => socket.resume());
  if (listener !== undefined) won.set(path, listener);
  process.stdout.write(`${listener === undefined ? 'lost' : 'won'} ${path}\n`);
}
process.stdout.write('done\n');
process.stdin.on('data', () => {});
process.stdin.on('end', () => {
  for (const [path, listener] of won) if (ownsSocket(path, listener)) process.stdout.write(`owns ${path}\n`);
  process.exit(0);
});
