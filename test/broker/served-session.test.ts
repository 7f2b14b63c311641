/** What a broker does with clients that do not keep to the protocol, or leave while something is under way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import {
  encodeControl,
  encodeFrame,
  FRAME,
  type FrameType,
  PROTOCOL_VERSION,
} from '../../src/broker/frame.ts';
import { type Served, ServedSession, type SessionHost } from '../../src/broker/served-session.ts';
import type { ToldAlias } from '../../src/broker/told-alias.ts';
import { wrapSocket } from '../../src/broker/wire.ts';
import { Failure } from '../../src/errors.ts';
import { STDIN_WINDOW } from '../../src/limits.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { waitUntil } from '../helpers/wait.ts';
import { openRawClient, type RawClient } from './fake-broker.ts';
import { type FakeStream, fakeStream } from './fake-connection.ts';

const OPENED = { greeting: Buffer.alloc(0), route: 'shared', steps: {}, alive: async () => true } as const;

const TOLD: ToldAlias = {
  name: 'work',
  queue: true,
  fallback: 'allow',
  serverAliveInterval: 15,
  serverAliveCountMax: 3,
};

/** A broker whose sessions are opened in this way; `host` hears what it is told. */
async function openBroker(t: TestContext, open: SessionHost['open'], more: Partial<SessionHost> = {}) {
  const path = join(makeTempDir(t, 'served'), 'b');
  const sessions: ServedSession[] = [];
  const failures: unknown[] = [];
  const host: SessionHost = {
    open,
    take: () => undefined,
    connect: async () => false,
    status: () => ({ alias: 'work' }),
    stop: () => {},
    failed: (thrown) => failures.push(thrown),
    count: () => {},
    ...more,
  };
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    sessions.push(new ServedSession((events) => wrapSocket(socket, events), host));
  });
  server.listen(path);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { client: await openRawClient(t, path), sessions, failures };
}

/** Gives these sessions out, one for each client. */
const serve =
  (stream: FakeStream, more: Partial<Served> = {}) =>
  async (): Promise<Served> => ({
    ...OPENED,
    stream,
    ...more,
  });

const HELLO = encodeControl(FRAME.HELLO, { version: PROTOCOL_VERSION });
const EXEC = encodeControl(FRAME.OPEN, { kind: 'exec', command: 'cat' });
const CALL = { args: ['work', '-l', 'pat', 'exec', '/etc/rimapd'], env: { HOME: '/home/pat' } };
const TAKE = encodeControl(FRAME.TAKE, CALL);
const never = (): Promise<never> => new Promise(() => {});

function send(client: RawClient, ...frames: readonly Uint8Array[]): void {
  client.write(Buffer.concat(frames));
}

async function frameOf(client: RawClient, type: FrameType): Promise<Record<string, unknown>> {
  const frame = await waitUntil('the frame', () => client.frames.find((each) => each.type === type));
  return JSON.parse(frame.payload.toString());
}

describe('A client of a broker', { concurrency: 4 }, () => {
  for (const [what, frames] of [
    ['that asks before it says hello', [EXEC]],
    ['that takes without a call', [HELLO, encodeControl(FRAME.TAKE, {})]],
    ['that takes what it has', [HELLO, EXEC, TAKE]],
    ['that asks for nothing there is', [HELLO, encodeControl(FRAME.HELLO, {})]],
    ['that asks for a session of no kind', [HELLO, encodeControl(FRAME.OPEN, { kind: 'shell' })]],
    ['that sends input before its session', [HELLO, EXEC, encodeFrame(FRAME.STDIN, Buffer.from('too soon'))]],
    ['that ends its input before its session', [HELLO, EXEC, encodeControl(FRAME.EOF, {})]],
    ['that says hello again', [HELLO, EXEC, HELLO]],
    ['that kills what has not begun', [HELLO, EXEC, encodeControl(FRAME.KILL, {})]],
  ] as const) {
    test(`${what} loses its connection`, async (t) => {
      let left = false;
      const { client } = await openBroker(t, (_, _onStderr, signal) => {
        signal.addEventListener('abort', () => {
          left = true;
        });
        return never();
      });
      send(client, ...frames);
      await client.closed();
      assert.equal(left, frames.includes(EXEC as never) && frames[0] === HELLO);
    });
  }

  test('that takes what is ready gets the alias, the greeting and what comes then', async (t) => {
    const stream = fakeStream();
    const calls: unknown[] = [];
    const { client, sessions } = await openBroker(t, never, {
      take(call) {
        calls.push(call);
        const greeting = Buffer.from('* PREAUTH \xe9\r\n', 'latin1');
        return { alias: TOLD, served: { ...OPENED, stream, route: 'warm', greeting } };
      },
    });
    send(client, HELLO, TAKE);
    const { route, greeting, alias: told } = await frameOf(client, FRAME.OPENED);
    assert.deepEqual(
      { route, greeting, told },
      { route: 'warm', greeting: '* PREAUTH \xe9\r\n', told: TOLD },
    );
    assert.deepEqual(calls, [CALL]);
    assert.equal(sessions[0]?.isSession, true);
    send(client, encodeFrame(FRAME.STDIN, Buffer.from('a LOGOUT\r\n')));
    await frameOf(client, FRAME.TAKEN);
    client.destroy();
    await waitUntil('its end', () => !sessions[0]?.isSession);
  });

  test('that takes before anything is ready is told whose session is coming, and gets it', async (t) => {
    const stream = fakeStream();
    let start: () => void = () => {};
    const started = new Promise<void>((resolve) => (start = resolve));
    const requests: unknown[] = [];
    const serveLater: SessionHost['open'] = async (request) => {
      requests.push(request);
      await started;
      return { ...OPENED, stream, greeting: Buffer.from('* PREAUTH\r\n') };
    };
    const take = () => ({ alias: TOLD, served: undefined });
    const { client, sessions } = await openBroker(t, serveLater, { take });
    send(client, HELLO, TAKE);
    assert.deepEqual(await frameOf(client, FRAME.STARTING), { alias: TOLD });
    assert.equal(sessions[0]?.isSession, true);
    send(client, encodeControl(FRAME.PING, { ms: 0 }));
    assert.deepEqual(await frameOf(client, FRAME.PONG), { alive: true });
    start();
    assert.equal((await frameOf(client, FRAME.OPENED))['greeting'], '* PREAUTH\r\n');
    assert.deepEqual(requests, [{ kind: 'mail' }]);
  });

  test('whose session does not come up after all hears why', async (t) => {
    const fail = () => Promise.reject(new Failure('tcp-refused', { address: 'mail:22' }));
    const { client } = await openBroker(t, fail, { take: () => ({ alias: TOLD, served: undefined }) });
    send(client, HELLO, TAKE);
    await client.closed();
    assert.deepEqual(await frameOf(client, FRAME.FAIL), {
      code: 'tcp-refused',
      facts: { address: 'mail:22' },
    });
  });

  test('whose call leads elsewhere is told so, and has no session', async (t) => {
    const { client, sessions } = await openBroker(t, never, { take: () => undefined });
    send(client, HELLO, TAKE);
    await client.closed();
    assert.deepEqual(await frameOf(client, FRAME.NONE), {});
    assert.equal(client.frames.length, 2);
    assert.equal(sessions[0]?.isSession, false);
  });

  test('of another version is told the version, and no more', async (t) => {
    const { client } = await openBroker(t, never);
    send(client, encodeControl(FRAME.HELLO, { version: PROTOCOL_VERSION + 1 }), EXEC);
    await client.closed();
    assert.equal((await frameOf(client, FRAME.HELLO))['version'], PROTOCOL_VERSION);
    assert.equal(client.frames.length, 1);
  });

  test('that leaves while its session opens leaves no session behind', async (t) => {
    const stream = fakeStream();
    let opened: () => void = () => {};
    const { client, sessions } = await openBroker(t, async () => {
      await new Promise<void>((resolve) => (opened = resolve));
      return { ...OPENED, stream };
    });
    send(client, HELLO, EXEC);
    await waitUntil('the opening', () => sessions[0]?.isSession);
    client.destroy();
    await waitUntil('its end', () => !sessions[0]?.isSession);
    opened();
    await waitUntil('the end of the session', () => stream.killed);
  });

  test('that leaves with its session open ends it', async (t) => {
    const stream = fakeStream();
    const { client } = await openBroker(t, serve(stream));
    send(client, HELLO, EXEC);
    await frameOf(client, FRAME.OPENED);
    client.destroy();
    await waitUntil('the end of the session', () => stream.killed);
  });

  test('that sends more than may be under way loses its connection', async (t) => {
    const stream = fakeStream();
    // A remote command that takes no input.
    stream.stdin._transform = () => {};
    const { client } = await openBroker(t, serve(stream));
    send(client, HELLO, EXEC);
    await frameOf(client, FRAME.OPENED);
    const part = encodeFrame(FRAME.STDIN, Buffer.alloc(32_768));
    for (let sent = 0; sent <= STDIN_WINDOW; sent += 32_768) client.write(part);
    await client.closed();
    await waitUntil('the end of the session', () => stream.killed);
  });

  for (const [exit, type, says] of [
    [{ kind: 'status', status: 3 }, FRAME.EXIT, { status: 3 }],
    [{ kind: 'signal', signal: 'KILL' }, FRAME.EXIT, { signal: 'KILL' }],
    [
      { kind: 'lost', failure: new Failure('connection-lost', { address: 'mail:22', why: 'test' }) },
      FRAME.FAIL,
      { code: 'connection-lost', facts: { address: 'mail:22', why: 'test' } },
    ],
  ] as const) {
    test(`hears how its command ended: ${exit.kind}`, async (t) => {
      const stream = fakeStream();
      const { client } = await openBroker(t, serve(stream));
      send(client, HELLO, EXEC);
      await frameOf(client, FRAME.OPENED);
      stream.end(exit);
      assert.deepEqual(await frameOf(client, type), says);
      await client.closed();
      assert.equal(client.frames.filter((each) => each.type === FRAME.EOF).length, 1);
    });
  }

  test('hears what kept its session from opening, and the broker notes it', async (t) => {
    const failure = new Failure('tcp-refused', { address: 'mail:22' });
    const { client, failures } = await openBroker(t, () => Promise.reject(failure));
    send(client, HELLO, EXEC);
    assert.equal((await frameOf(client, FRAME.FAIL))['code'], 'tcp-refused');
    assert.deepEqual(failures, [failure]);
  });

  test('of a mail stream gets the stderr that comes once it is open', async (t) => {
    const stream = fakeStream();
    let say: (chunk: Buffer) => void = () => {};
    const { client } = await openBroker(t, async (_, onStderr) => {
      onStderr(Buffer.from('motd'));
      say = onStderr;
      return { ...OPENED, stream };
    });
    send(client, HELLO, encodeControl(FRAME.OPEN, { kind: 'mail' }));
    await frameOf(client, FRAME.OPENED);
    say(Buffer.from('imapd: a warning'));
    const said = await waitUntil('it', () => client.frames.find(({ type }) => type === FRAME.STDERR));
    assert.equal(said.payload.toString(), 'imapd: a warning');
  });

  test('is told whether the server answers, or at once that the broker does', async (t) => {
    const asked: number[] = [];
    const alive = async (ms: number): Promise<boolean> => {
      asked.push(ms);
      return false;
    };
    const { client } = await openBroker(t, serve(fakeStream(), { alive }));
    send(client, HELLO, EXEC);
    await frameOf(client, FRAME.OPENED);
    send(client, encodeControl(FRAME.PING, { ms: 0 }), encodeControl(FRAME.PING, { ms: 500 }));
    const pongs = () => client.frames.filter(({ type }) => type === FRAME.PONG);
    await waitUntil('both answers', () => pongs().length === 2);
    assert.deepEqual(
      pongs().map(({ payload }) => JSON.parse(payload.toString())),
      [{ alive: true }, { alive: false }],
    );
    assert.deepEqual(asked, [500]);
  });
});
