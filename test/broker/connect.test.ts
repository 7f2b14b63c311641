/** CONNECT: questions go one way and answers the other, and whoever leaves ends it. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUseless } from '../../src/broker/client.ts';
import { connectThroughBroker } from '../../src/broker/connect-client.ts';
import { ConnectionPool } from '../../src/broker/connection-pool.ts';
import { FRAME, type FrameType, PROTOCOL_VERSION } from '../../src/broker/frame.ts';
import { ServedSession, type SessionHost } from '../../src/broker/served-session.ts';
import { connectFrames } from '../../src/broker/socket-path.ts';
import { wrapSocket } from '../../src/broker/wire.ts';
import { Failure } from '../../src/errors.ts';
import type { PromptRequest } from '../../src/transport/prompt.ts';
import type { Connection } from '../../src/transport/transport.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { waitUntil } from '../helpers/wait.ts';
import { fakeConnection } from './fake-connection.ts';

const UID = process.getuid?.() ?? 0;
const ALWAYS = new AbortController().signal;
const REQUEST: PromptRequest = {
  kind: 'keyboard-interactive',
  title: 'pat@mail:22',
  instructions: 'two steps',
  prompts: [
    { text: 'Password: ', echo: false },
    { text: 'Code: ', echo: true },
  ],
  again: false,
};

/** A socket whose clients `serve` gets. */
async function listen(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const path = join(makeTempDir(t, 'connect'), 'b');
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

/** A broker that connects in this way and does nothing else. */
async function openBroker(t: TestContext, connect: SessionHost['connect']): Promise<string> {
  const no = (): never => assert.fail('not asked for');
  const host = { open: no, take: no, status: no, stop: no, failed: () => {}, count: () => {}, connect };
  return await listen(t, (socket) => new ServedSession((events) => wrapSocket(socket, events), host));
}

test('questions and answers pass, and the outcome', async (t) => {
  const answered: unknown[] = [];
  const path = await openBroker(t, async (prompt) => {
    answered.push(await prompt(REQUEST));
    answered.push(await prompt({ ...REQUEST, again: true }));
    return false;
  });
  const asked: PromptRequest[] = [];
  const prompt = async (request: PromptRequest) => {
    asked.push(request);
    return request.again ? undefined : ['pass\0word', 'ключ'];
  };
  assert.deepEqual(await connectThroughBroker(path, UID, prompt, ALWAYS), { existed: false });
  assert.deepEqual(asked, [REQUEST, { ...REQUEST, again: true }]);
  assert.deepEqual(answered, [['pass\0word', 'ключ'], undefined]);
});

test('a connection that was there is told apart', async (t) => {
  const path = await openBroker(t, async () => true);
  assert.deepEqual(await connectThroughBroker(path, UID, async () => [], ALWAYS), { existed: true });
});

test('a failure is the one that the broker met', async (t) => {
  const path = await openBroker(t, async () => {
    throw new Failure('tcp-refused', { address: 'mail:22' });
  });
  await assert.rejects(
    connectThroughBroker(path, UID, async () => [], ALWAYS),
    (thrown) => thrown instanceof Failure && thrown.message === 'mail:22 refused the connection',
  );
});

test('a client that leaves ends the login', async (t) => {
  let gone = false;
  let answers: unknown = 'none yet';
  const path = await openBroker(t, async (prompt, signal) => {
    signal.addEventListener('abort', () => {
      gone = true;
    });
    answers = await prompt(REQUEST);
    throw new Failure('interrupted', { signal: 'test' });
  });
  const leave = new AbortController();
  const connecting = connectThroughBroker(path, UID, () => sleep(60_000, [], { ref: false }), leave.signal);
  await sleep(100);
  leave.abort(new Error('left'));
  await assert.rejects(connecting, /left/);
  await waitUntil('the broker to know', () => gone && answers === undefined);
});

test('what a question throws ends it, too', async (t) => {
  const path = await openBroker(t, async (prompt) => (await prompt(REQUEST)) !== undefined);
  const asking = connectThroughBroker(path, UID, async () => Promise.reject(new Error('no more')), ALWAYS);
  await assert.rejects(asking, /no more/);
});

for (const [title, answer] of [
  ['no list', { answers: 'text' }],
  ['no text', { answers: [1] }],
  ['nothing', {}],
] as const) {
  test(`an answer that is ${title} costs the connection`, async (t) => {
    const path = await openBroker(t, async (prompt) => (await prompt(REQUEST)) === undefined);
    assert.equal(await talk(path, [FRAME.CONNECT, {}], [FRAME.ANSWER, answer]), 'closed');
  });
}

test('an answer without a question costs the connection', async (t) => {
  const path = await openBroker(t, () => new Promise(() => {}));
  assert.equal(await talk(path, [FRAME.CONNECT, {}], [FRAME.ANSWER, { answers: [] }]), 'closed');
});

/** Says all of this at once; 'closed' when the broker hangs up without CONNECTED. */
async function talk(path: string, ...frames: readonly (readonly [FrameType, object])[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    connectFrames(path, UID, {
      onFrame: ({ type }) => {
        if (type === FRAME.CONNECTED) resolve('connected');
      },
      onClose: () => resolve('closed'),
    }).then((socket) => {
      socket?.controls([FRAME.HELLO, { version: PROTOCOL_VERSION }], ...frames);
    }, reject);
  });
}

test('nobody, a hung broker and one of another version are told apart from a refusal', async (t) => {
  const ask = (path: string) => connectThroughBroker(path, UID, async () => [], ALWAYS);
  assert.equal(await ask(join(makeTempDir(t, 'none'), 'b')), undefined);
  await assert.rejects(ask(await listen(t, () => {})), BrokerUseless);
  await assert.rejects(ask(await listen(t, (socket) => socket.end())), BrokerUseless);
});

test('a connection that a person made is not given up for silence, and is gone when it dies', async () => {
  const state = { alive: true, closed: false, heard: 0 };
  const connection = fakeConnection(state);
  const suspects: Connection[] = [];
  const pool = new ConnectionPool({
    dial: () => Promise.reject(new Failure('no-identity', { user: 'pat', tried: 'none', alias: 'work' })),
    freshMs: 1,
    onRefused: () => {},
    onRoom: () => {},
    onSuspect: (suspect) => suspects.push(suspect),
    onClockJump: () => {},
  });
  assert.equal(pool.keeps, false);
  assert.equal(await pool.keep(async () => connection), false);
  assert.equal(pool.keeps, true);
  const other = async (): Promise<Connection> => assert.fail('one is there');
  assert.equal(await pool.keep(other), true);

  state.alive = false;
  const open = () => pool.open('plain', () => assert.fail('it does not answer'));
  await assert.rejects(open(), (thrown) => thrown instanceof Failure && thrown.code === 'no-identity');
  assert.deepEqual([suspects, state.closed, pool.keeps], [[connection], false, true]);

  state.alive = true;
  assert.equal(await pool.keep(other), true);
  connection.die();
  await waitUntil('it to be gone', () => !pool.keeps);
});
