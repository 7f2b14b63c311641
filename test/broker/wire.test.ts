/** The client's socket on Bun: what Bun's own one does not take at once is kept, in order, until it does. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { listenWires, openWire, type Wire, type WireEvents } from '../../src/broker/wire.ts';

interface FakeSocket {
  /** What it took so far. */
  readonly taken: string[];
  readonly calls: string[];
  /** How many bytes it takes from now on; less than 0: it is closed. */
  room: number;
  drain(): void;
  receive(text: string): void;
  close(): void;
}

/** A wire over a socket with the interface of Bun.connect (bun.sh/docs/api/tcp) whose fullness a test decides. */
async function open(t: TestContext): Promise<{ wire: Wire; socket: FakeSocket; events: string[] }> {
  const events: string[] = [];
  const hear: WireEvents = {
    onData: (chunk) => events.push(`data ${chunk.toString()}`),
    onDrain: () => events.push('drain'),
    onClose: () => events.push('close'),
  };
  const taken: string[] = [];
  const calls: string[] = [];
  const note = (name: string) => (): void => void calls.push(name);
  const own = {
    write: (bytes: Buffer) => {
      if (socket.room < 0) return -1;
      const part = bytes.subarray(0, socket.room);
      socket.room -= part.length;
      if (part.length > 0) taken.push(part.toString());
      return part.length;
    },
    pause: note('pause'),
    resume: note('resume'),
    end: note('end'),
    terminate: note('terminate'),
  };
  let handlers: Record<string, (socket: unknown, chunk?: Buffer) => void> = {};
  const socket: FakeSocket = {
    taken,
    calls,
    room: Number.MAX_SAFE_INTEGER,
    drain: () => handlers['drain']?.(own),
    receive: (text) => handlers['data']?.(own, Buffer.from(text)),
    close: () => handlers['close']?.(own),
  };
  const before = Reflect.get(globalThis, 'Bun');
  t.after(() => Reflect.set(globalThis, 'Bun', before));
  Reflect.set(globalThis, 'Bun', {
    connect: async (options: { unix: string; socket: typeof handlers }) => {
      assert.equal(options.unix, '/run/b');
      handlers = options.socket;
      handlers['open']?.(own);
      return own;
    },
  });
  return { wire: await openWire('/run/b', hear), socket, events };
}

test('what the socket does not take is written in order once it drains, and only then is more wanted', async (t) => {
  const { wire, socket, events } = await open(t);
  assert.equal(wire.write(Buffer.from('whole')), true);
  socket.room = 3;
  assert.equal(wire.write(Buffer.from('first')), false);
  assert.equal(wire.write(Buffer.from('second')), false);
  socket.room = 4;
  socket.drain();
  assert.deepEqual(socket.taken, ['whole', 'fir', 'st', 'se']);
  assert.deepEqual(events, []);
  socket.room = 100;
  socket.drain();
  assert.equal(socket.taken.join(''), 'wholefirstsecond');
  assert.deepEqual(events, ['drain']);
  assert.equal(wire.write(Buffer.from('!')), true);
});

test('the end waits for what was written, and nothing is written behind it', async (t) => {
  const { wire, socket, events } = await open(t);
  socket.room = 0;
  wire.write(Buffer.from('last'));
  wire.end();
  wire.end();
  assert.equal(wire.write(Buffer.from('too late')), true);
  assert.deepEqual(socket.calls, []);
  socket.room = 100;
  socket.drain();
  assert.deepEqual([socket.taken, socket.calls, events], [['last'], ['end'], []]);
});

test('the end comes at once where all has been taken', async (t) => {
  const { wire, socket } = await open(t);
  wire.write(Buffer.from('all'));
  wire.end();
  assert.deepEqual(socket.calls, ['end']);
});

test('data, pausing and resuming pass until the other end closes, which is told once', async (t) => {
  const { wire, socket, events } = await open(t);
  socket.receive('hello');
  wire.pause();
  wire.resume();
  socket.room = -1;
  assert.equal(wire.write(Buffer.from('lost')), false);
  socket.close();
  socket.close();
  wire.pause();
  wire.resume();
  wire.destroy();
  wire.end();
  assert.equal(wire.write(Buffer.from('lost')), true);
  assert.deepEqual(
    [events, socket.calls],
    [
      ['data hello', 'close'],
      ['pause', 'resume'],
    ],
  );
});

test('destroying tells the socket and whoever listens, once', async (t) => {
  const { wire, socket, events } = await open(t);
  socket.room = 0;
  wire.write(Buffer.from('kept'));
  wire.destroy();
  wire.destroy();
  socket.room = 100;
  socket.drain();
  assert.deepEqual([events.filter((each) => each === 'close'), socket.calls], [['close'], ['terminate']]);
  assert.deepEqual(socket.taken, []);
});

test('a server ends its direction alone, and the rest when its client has ended, too', async (t) => {
  const calls: string[] = [];
  const own = {
    data: undefined,
    write: (bytes: Uint8Array) => bytes.length,
    shutdown: () => void calls.push('shutdown'),
    end: () => void calls.push('end'),
  };
  let listening: { allowHalfOpen?: boolean; socket: Record<string, (socket: unknown) => void> } | undefined;
  const before = Reflect.get(globalThis, 'Bun');
  t.after(() => Reflect.set(globalThis, 'Bun', before));
  Reflect.set(globalThis, 'Bun', {
    listen: (options: typeof listening) => {
      listening = options;
      return { stop: () => {} };
    },
  });
  const events: string[] = [];
  let wire: Wire | undefined;
  await listenWires('/run/b', (accept) => {
    wire = accept({ onData: () => {}, onDrain: () => {}, onClose: () => events.push('close') });
  });
  assert.equal(listening?.allowHalfOpen, true);
  listening?.socket['open']?.(own);
  wire?.write(Buffer.from('EXIT'));
  wire?.end();
  assert.deepEqual([calls, events], [['shutdown'], []]);
  listening?.socket['end']?.(own);
  assert.deepEqual(calls, ['shutdown', 'end']);
  listening?.socket['close']?.(own);
  assert.deepEqual(events, ['close']);
});
