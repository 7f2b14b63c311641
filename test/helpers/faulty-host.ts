/**
 * What goes wrong between here and a mail host, made of sockets and processes on loopback: a port where nothing
 * answers, a line that goes dead and comes back, a server that dies.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST_KEY_TYPES } from './host-keys.ts';
import { descendantsOf, listProcesses, signalProcess } from './processes.ts';
import type { RealSshd } from './real-sshd.ts';
import { defer, type Scope } from './scope.ts';

const LOOPBACK = '127.0.0.1';

/** The version line, and no more of what follows than comes with it. */
const DRIBBLED_MAX = 100;

/** A queue of one holds two. */
const MORE_THAN_QUEUED = 8;

export interface BlackHole {
  readonly port: number;
  /** Frees the port. */
  close(): Promise<void>;
}

/** Listens, says where, and sleeps before it could accept. */
const LISTEN_ONLY = `
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '${LOOPBACK}', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

/**
 * A port where connecting takes for ever: once the queue of a listener that does not accept is full, Linux drops
 * every further SYN, as a firewall would.
 */
export async function openBlackHole(scope: Scope): Promise<BlackHole> {
  const child = spawn(process.execPath, ['-e', LISTEN_ONLY], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const sockets: Socket[] = [];
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    for (const socket of sockets) socket.destroy();
  };
  defer(scope, close);
  const [line] = await once(child.stdout, 'data');
  const port = Number(line);
  for (let i = 0; i < MORE_THAN_QUEUED; i++) {
    const socket = connect(port, LOOPBACK);
    socket.on('error', () => {});
    sockets.push(socket);
  }
  // The kernel takes them in order: once the first is connected it has seen them all, and the rest is kept waiting.
  await once(sockets[0] as Socket, 'connect');
  return { port, close };
}

export interface Relay {
  readonly port: number;
  /** From now on nothing gets through, in either direction, and nobody is told. */
  stall(): void;
  resume(): void;
  /** Breaks every line there is; both ends see it closed. */
  breakLines(): void;
  /** The lines from now on break after so many bytes in one direction, go dead, or turn a bit of the next byte over. */
  failAfter(bytes: number, direction: Direction, how: LineFault): void;
  /** On the lines from now on each byte of the first messages comes for itself. */
  dribble(): void;
  /** Bytes that the last line carried. */
  carried(direction: Direction): number;
  /** How many bytes the last line had carried after each read. */
  reads(direction: Direction): readonly number[];
  /** The bytes of the last line. */
  content(direction: Direction): Buffer;
}

export type Direction = 'up' | 'down';
/** `cut`: both ends see it closed. */
export type LineFault = 'cut' | 'stall' | 'flip';

/** A line to a server: TCP to `to` on loopback by way of another port. */
export async function openRelay(scope: Scope, to: number, port = 0): Promise<Relay> {
  const sockets = new Set<Socket>();
  let stalled = false;
  let dribbling = false;
  let fault: { bytes: number; direction: Direction; how: LineFault } | undefined;
  let carried = { up: 0, down: 0 };
  let parts: Record<Direction, Buffer[]> = { up: [], down: [] };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: to, host: LOOPBACK, allowHalfOpen: true });
    const mine = { up: 0, down: 0 };
    const myParts: typeof parts = { up: [], down: [] };
    carried = mine;
    parts = myParts;
    const ours = fault;
    for (const [from, into, direction] of [
      [near, far, 'up'],
      [far, near, 'down'],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (data) => {
        const left = ours?.direction === direction ? ours.bytes - mine[direction] : Number.POSITIVE_INFINITY;
        const flips = ours?.how === 'flip';
        if (flips && left >= 0 && left < data.length) data[left] = (data[left] as number) ^ 1;
        const part = flips ? data : data.subarray(0, left);
        mine[direction] += part.length;
        myParts[direction].push(part);
        const slow = dribbling && mine[direction] <= DRIBBLED_MAX;
        if (slow) void dribble(from, into, part);
        else into.write(part);
        if (part.length === data.length) return;
        from.pause();
        if (ours?.how === 'stall') return void into.pause();
        // Not destroyed: what was let through must arrive.
        near.end();
        far.end();
      });
      from.on('end', () => into.end());
      from.on('error', () => into.destroy());
      from.on('close', () => sockets.delete(from));
      if (stalled) from.pause();
    }
  });
  defer(scope, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(port, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    stall: () => {
      stalled = true;
      for (const socket of sockets) socket.pause();
    },
    resume: () => {
      stalled = false;
      for (const socket of sockets) socket.resume();
    },
    breakLines: () => {
      for (const socket of sockets) socket.destroy();
    },
    failAfter: (bytes, direction, how) => {
      fault = { bytes, direction, how };
    },
    dribble: () => {
      dribbling = true;
    },
    carried: (direction) => carried[direction],
    reads: (direction) => {
      let sum = 0;
      return parts[direction].map((part) => {
        sum += part.length;
        return sum;
      });
    },
    content: (direction) => Buffer.concat(parts[direction]),
  };
}

async function dribble(from: Socket, into: Socket, bytes: Buffer): Promise<void> {
  from.pause();
  for (const byte of bytes) {
    into.write(Buffer.of(byte));
    await sleep(1);
  }
  from.resume();
}

/** A known_hosts file that knows a server by another port of loopback, for aliases that go through a relay. */
export function writeKnownHosts(server: RealSshd, port: number): string {
  const file = join(server.dir, `known_hosts_${port}`);
  writeFileSync(
    file,
    HOST_KEY_TYPES.map((type) => `[${LOOPBACK}]:${port} ${server.hostKeys[type]}\n`).join(''),
  );
  return file;
}

/** Kills the server's ends of all connections, not what runs in the sessions. */
export function killConnections(server: RealSshd): void {
  signalConnections(server, 'SIGKILL');
}

/** Signals the server's ends of all connections, not what runs in the sessions. */
export function signalConnections(server: RealSshd, signal: NodeJS.Signals): void {
  const connections = server.sessionPids();
  const below = new Set(connections.flatMap((pid) => descendantsOf(pid)));
  const daemons = listProcesses().filter(
    ({ pid, command }) => below.has(pid) && /^sshd(-session)?:/.test(command),
  );
  for (const pid of [...connections, ...daemons.map((each) => each.pid)]) signalProcess(pid, signal);
}
