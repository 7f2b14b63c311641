/**
 * A Unix stream socket with flow control, as little of one as frames need. On Bun its own socket: loading and building
 * node:net's takes 3 ms, a quarter of what it takes to open a folder.
 */
import type { Socket } from 'node:net';

export interface WireEvents {
  onData(chunk: Buffer): void;
  /** All that was written has been taken. */
  onDrain(): void;
  /** Once, when nothing more will come: the other end closed, or the connection broke. */
  onClose(): void;
}

export interface Wire {
  /** False when the socket is full; `onDrain` follows. What is written after the end is dropped. */
  write(bytes: Buffer): boolean;
  pause(): void;
  resume(): void;
  /** Closes after what was written has gone out. */
  end(): void;
  destroy(): void;
}

/** Connects to a socket's path. @throws a system error with `code` */
export function openWire(path: string, events: WireEvents): Promise<Wire> {
  const bun = (globalThis as { Bun?: BunRuntime }).Bun;
  return bun === undefined ? openNodeWire(path, events) : openBunWire(bun, path, events);
}

/** A socket that a server accepted. */
export function wrapSocket(socket: Socket, events: WireEvents): Wire {
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    events.onClose();
  };
  socket.on('data', (chunk: Buffer) => events.onData(chunk));
  socket.on('drain', () => events.onDrain());
  // Neither side half-closes: input that has ended is said in a frame.
  socket.on('end', () => {
    socket.end();
    close();
  });
  socket.on('close', close);
  socket.on('error', () => {});
  return {
    write: (bytes) => !socket.writable || socket.write(bytes),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

async function openNodeWire(path: string, events: WireEvents): Promise<Wire> {
  const { connect } = await import('node:net');
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(wrapSocket(socket, events));
    });
  });
}

/** The part of Bun.connect that is used (bun.sh/docs/api/tcp). */
interface BunSocket {
  /** Takes what fits and says how much that was; less than 0 once closed. */
  write(bytes: Buffer): number;
  pause(): void;
  resume(): void;
  end(): void;
  terminate(): void;
}

interface BunRuntime {
  connect(options: {
    unix: string;
    socket: {
      open(socket: BunSocket): void;
      data(socket: BunSocket, chunk: Buffer): void;
      drain(socket: BunSocket): void;
      close(socket: BunSocket): void;
      error(socket: BunSocket, error: Error): void;
    };
  }): Promise<BunSocket>;
}

async function openBunWire(bun: BunRuntime, path: string, events: WireEvents): Promise<Wire> {
  let wire: BunWire | undefined;
  const socket = await bun.connect({
    unix: path,
    socket: {
      open: () => {},
      data: (_, chunk) => events.onData(chunk),
      drain: () => wire?.flush(),
      close: () => wire?.closed(),
      error: () => {},
    },
  });
  wire = new BunWire(socket, events);
  return wire;
}

/** Bun's socket takes part of a write and forgets the rest: it is kept here. */
class BunWire implements Wire {
  readonly #socket: BunSocket;
  readonly #events: WireEvents;
  #waiting: Buffer[] = [];
  #state: 'open' | 'ending' | 'closed' = 'open';

  constructor(socket: BunSocket, events: WireEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== 'open') return true;
    if (this.#waiting.length > 0) this.#waiting.push(bytes);
    else {
      const taken = Math.max(0, this.#socket.write(bytes));
      if (taken < bytes.length) this.#waiting.push(bytes.subarray(taken));
    }
    return this.#waiting.length === 0;
  }

  flush(): void {
    while (this.#waiting.length > 0) {
      const bytes = this.#waiting[0] as Buffer;
      const taken = Math.max(0, this.#socket.write(bytes));
      if (taken < bytes.length) {
        this.#waiting[0] = bytes.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#state === 'ending') this.#socket.end();
    else this.#events.onDrain();
  }

  closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#waiting = [];
    this.#events.onClose();
  }

  pause(): void {
    if (this.#state !== 'closed') this.#socket.pause();
  }

  resume(): void {
    if (this.#state !== 'closed') this.#socket.resume();
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    if (this.#waiting.length === 0) this.#socket.end();
  }

  destroy(): void {
    if (this.#state === 'closed') return;
    this.#socket.terminate();
    this.closed();
  }
}
