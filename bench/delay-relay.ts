/**
 * A long line, as a process of its own so that it takes no time from what is measured: TCP from a port of loopback to
 * another, each byte late by half a round trip. It limits no bandwidth; what is under way is bounded by SSH's windows.
 * Words: PORT MILLISECONDS. Prints its own port, and ends when its stdin does.
 *
 * The kernel accepts a connection at once, which a real line does not: what a client sends before the handshake could
 * be over is therefore kept for as long, and the server sees the connection half a round trip late.
 */
import { connect, createServer, type Socket } from 'node:net';

const LOOPBACK = '127.0.0.1';
const [port, roundTrip] = process.argv.slice(2).map(Number);
if (port === undefined || roundTrip === undefined) throw new Error('words: PORT MILLISECONDS');
const oneWay = roundTrip / 2;

/** Timers count whole milliseconds and are late: what is due so soon goes now, which evens out. */
const TIMER_LATE_MS = 0.7;

interface Parcel {
  readonly due: number;
  /** Undefined: the sender has ended. */
  readonly data: Buffer | undefined;
}

/** Passes on all that `from` sends, `oneWay` after it came and not before `notBefore` plus that. */
function carry(from: Socket, to: Socket, notBefore: number): void {
  const parcels: Parcel[] = [];
  let timer: NodeJS.Timeout | undefined;
  const deliver = (): void => {
    timer = undefined;
    const now = performance.now();
    for (let next = parcels[0]; next !== undefined; next = parcels[0]) {
      if (next.due > now + TIMER_LATE_MS) {
        timer = setTimeout(deliver, next.due - now);
        return;
      }
      parcels.shift();
      if (next.data === undefined) to.end();
      else to.write(next.data);
    }
  };
  const add = (data?: Buffer): void => {
    const due = Math.max(performance.now(), notBefore) + oneWay;
    parcels.push({ due, data });
    if (timer === undefined) timer = setTimeout(deliver, due - performance.now());
  };
  from.on('data', add);
  from.on('end', () => add());
  from.on('error', () => to.destroy());
  // After a whole end both sides close by themselves; what is still under way must arrive.
  from.on('close', (hadError) => {
    if (hadError) to.destroy();
  });
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const acceptedAt = performance.now();
  near.on('error', () => {});
  near.pause();
  setTimeout(() => {
    const far = connect({ port, host: LOOPBACK, allowHalfOpen: true, noDelay: true });
    carry(near, far, acceptedAt + roundTrip);
    carry(far, near, 0);
    near.resume();
  }, oneWay);
});
server.listen(0, LOOPBACK, () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
process.stdin.on('end', () => process.exit());
process.stdin.resume();
