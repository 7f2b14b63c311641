/** Behind a control socket may be a master that breaks the protocol, or refuses, or goes away: nothing waits for ever. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { CHANNEL_WINDOW } from '../../src/limits.ts';
import type { Channel } from '../../src/transport/openssh-channel.ts';
import { type Mux, openMux } from '../../src/transport/openssh-mux.ts';
import {
  encodeFrame,
  encodeMessage,
  type Field,
  FrameReader,
  MESSAGE,
  MUX,
} from '../../src/transport/openssh-packet.ts';
import { WireReader } from '../../src/transport/ssh-wire.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { waitUntil } from '../helpers/wait.ts';

const ALWAYS = new AbortController().signal;
/** The channel's number at the peer's end. */
const PEER = 7;

interface Master {
  readonly path: string;
  /** What it was sent, behind padding and type. */
  messages(type: number): WireReader[];
  send(frame: Buffer): void;
  /** About the first channel. */
  say(type: number, ...fields: readonly Field[]): void;
  /** Waits until so many have connected. */
  connection(count: number): Promise<unknown>;
  /** Of the last one. */
  hangUp(): void;
}

/** A control socket that answers the hello with these frames, one to each of ours; then a test speaks for it. */
async function openMaster(t: TestContext, answers: readonly Buffer[]): Promise<Master> {
  const path = join(makeTempDir(t, 'mux'), 's');
  const left = [...answers];
  const received: Buffer[] = [];
  let socket: Socket | undefined;
  let connections = 0;
  const server = createServer((client) => {
    socket = client;
    connections += 1;
    const frames = new FrameReader();
    client.on('error', () => {});
    client.on('data', (chunk) => {
      for (const frame of frames.push(chunk)) {
        const answer = left.shift();
        if (answer === undefined) received.push(frame);
        else client.write(answer);
      }
    });
  });
  server.listen(path);
  await once(server, 'listening');
  t.after(() => {
    socket?.destroy();
    server.close();
  });
  const send = (frame: Buffer): void => void socket?.write(frame);
  return {
    path,
    messages: (type) =>
      received.filter((frame) => frame[1] === type).map((frame) => new WireReader(frame, 2)),
    send,
    say: (type, ...fields) => send(encodeMessage(type, 0, ...fields)),
    connection: (count) => waitUntil('the connection', () => connections === count),
    hangUp: () => void socket?.destroy(),
  };
}

const HELLO = encodeFrame(MUX.HELLO, MUX.VERSION);
const STARTED = encodeFrame(MUX.PROXY_STARTED, 0);

async function openProxy(t: TestContext): Promise<{ master: Master; mux: Mux }> {
  const master = await openMaster(t, [HELLO, STARTED]);
  return { master, mux: await openMux(master.path, ALWAYS) };
}

/** A channel that the peer has opened, with a window of so many bytes. */
async function openChannel(t: TestContext, window = CHANNEL_WINDOW) {
  const { master, mux } = await openProxy(t);
  const channel = mux.openChannel('session');
  master.say(MESSAGE.CHANNEL_OPEN_CONFIRMATION, PEER, window, 32_768);
  assert.equal(await channel.opening, 'opened');
  return { master, mux, channel };
}

async function readAll(stream: Channel['stdout']): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

describe('A control socket', { concurrency: 4 }, () => {
  for (const [what, answers, why] of [
    ['without proxy mode', [HELLO, encodeFrame(0x80000003, 0, 'unsupported')], /no proxy mode/],
    ['of another version', [encodeFrame(MUX.HELLO, 3)], /no proxy mode/],
    ['that cuts its words short', [encodeFrame()], /a value goes beyond the end/],
    ['of something else', [Buffer.from('HTTP/1.1 400 Bad Request\r\n')], /a frame of \d+ bytes/],
  ] as const) {
    test(`${what} is of no use, and says why`, async (t) => {
      const { path } = await openMaster(t, answers);
      await assert.rejects(openMux(path, ALWAYS), (thrown: Error & { code?: string }) => {
        assert.equal(thrown.code, 'ssh-unusable');
        assert.match(thrown.message, why);
        return true;
      });
    });
  }

  test('that is gone, closes or never answers keeps nobody', async (t) => {
    const gone = join(makeTempDir(t, 'mux'), 'gone');
    await assert.rejects(openMux(gone, ALWAYS), { code: 'ssh-unusable' });
    const silent = await openMaster(t, []);
    await assert.rejects(openMux(silent.path, AbortSignal.timeout(300)), { name: 'TimeoutError' });
    const opening = openMux(silent.path, ALWAYS);
    await silent.connection(2);
    silent.hangUp();
    await assert.rejects(opening, /it closed its control socket/);
  });

  test('that says what nobody asked for is listened to on', async (t) => {
    const { master, channel } = await openChannel(t);
    // A global request, an answer without a question, and a channel that does not exist.
    master.send(encodeMessage(80, 'hostkeys-00@openssh.com', false));
    master.say(MESSAGE.CHANNEL_SUCCESS);
    master.send(encodeMessage(MESSAGE.CHANNEL_DATA, 99, 'lost'));
    master.say(MESSAGE.CHANNEL_DATA, 'found');
    master.say(MESSAGE.CHANNEL_EOF);
    assert.equal(await readAll(channel.stdout), 'found');
  });
});

describe('A channel through the system ssh', { concurrency: 4 }, () => {
  test('is refused in the words of the server, or without any', async (t) => {
    for (const [words, refused] of [
      ['open failed', 'open failed'],
      ['', 'no reason given'],
    ] as const) {
      const { master, mux } = await openProxy(t);
      const channel = mux.openChannel('session');
      master.say(MESSAGE.CHANNEL_OPEN_FAILURE, 1, words, '');
      assert.deepEqual(await channel.opening, { refused, reason: 1 });
      assert.equal(await channel.ended, 'closed');
      assert.equal(await channel.request('exec', 'cat'), false);
    }
  });

  test('ends with the connection, and none is opened behind it', async (t) => {
    const { master, mux, channel } = await openChannel(t);
    const asked = channel.request('exec', 'cat');
    master.hangUp();
    assert.deepEqual([await asked, await channel.ended, await readAll(channel.stdout)], [false, 'lost', '']);
    await mux.closed;
    const late = mux.openChannel('session');
    assert.deepEqual(await late.opening, { refused: 'the connection ended' });
    assert.equal(await mux.probe(5_000), false);
  });

  test('tells how its command ended, and answers a keepalive', async (t) => {
    const { master, channel } = await openChannel(t);
    master.say(MESSAGE.CHANNEL_REQUEST, 'keepalive@openssh.com', true);
    master.say(MESSAGE.CHANNEL_REQUEST, 'exit-signal', false, 'KILL', false, '', '');
    master.say(MESSAGE.CHANNEL_CLOSE);
    assert.equal(await channel.ended, 'closed');
    assert.deepEqual(channel.exit, { kind: 'signal', signal: 'KILL' });
    await waitUntil('the close', () => master.messages(MESSAGE.CHANNEL_CLOSE).length === 1);
    assert.equal(master.messages(MESSAGE.CHANNEL_FAILURE).length, 1);
    // Nothing may follow a CLOSE.
    channel.signal('TERM');
    channel.close();
    assert.equal(await channel.request('exec', 'cat'), false);
  });

  test('whose peer sends more than it may costs the connection', async (t) => {
    const { master, mux, channel } = await openChannel(t);
    const part = Buffer.alloc(200_000);
    for (let sent = 0; sent <= CHANNEL_WINDOW; sent += part.length) master.say(MESSAGE.CHANNEL_DATA, part);
    assert.equal(await channel.ended, 'lost');
    assert.equal(mux.fault?.code, 'ssh-unusable');
    assert.match(mux.fault?.message ?? '', /more data than the window allows/);
  });

  test('gives the window back for what nobody reads, and for kinds of data that nobody knows', async (t) => {
    const { master, channel } = await openChannel(t);
    const half = Buffer.alloc(CHANNEL_WINDOW / 16);
    const given = () => master.messages(MESSAGE.CHANNEL_WINDOW_ADJUST);
    for (let i = 0; i < 8; i += 1) master.say(MESSAGE.CHANNEL_EXTENDED_DATA, 2, half);
    await waitUntil('the window', () => given().length === 1);
    channel.stdout.destroy();
    for (let i = 0; i < 8; i += 1) master.say(MESSAGE.CHANNEL_DATA, half);
    await waitUntil('the window', () => given().length === 2);
    for (const fields of given())
      assert.deepEqual([fields.uint32(), fields.uint32()], [PEER, CHANNEL_WINDOW / 2]);
  });

  test('sends no more than the peer has room for', async (t) => {
    const { master, channel } = await openChannel(t, 3);
    channel.stdin.end('input');
    const sent = () => master.messages(MESSAGE.CHANNEL_DATA);
    await waitUntil('the first part', () => sent().length === 1);
    assert.equal(master.messages(MESSAGE.CHANNEL_EOF).length, 0);
    master.say(MESSAGE.CHANNEL_WINDOW_ADJUST, 100);
    await waitUntil('the end', () => master.messages(MESSAGE.CHANNEL_EOF).length === 1);
    const parts = sent().map((fields) => [fields.uint32(), fields.text()]);
    assert.deepEqual(parts, [
      [PEER, 'inp'],
      [PEER, 'ut'],
    ]);
  });

  test('is what a silent connection is asked on, and any answer will do', async (t) => {
    const { master, mux } = await openChannel(t);
    const asked = mux.probe(20_000);
    await waitUntil('the question', () => master.messages(MESSAGE.CHANNEL_REQUEST).length === 1);
    master.say(MESSAGE.CHANNEL_FAILURE);
    assert.equal(await asked, true);
    assert.equal(await mux.probe(10), false);
  });
});
