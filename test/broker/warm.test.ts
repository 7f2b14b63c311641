/** Which of the sessions kept ready are handed out, and which are ended before anybody gets one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ReadySession, WarmSessions } from '../../src/broker/warm.ts';
import { WARM_AGE_MS, WARM_LIFE_MS } from '../../src/limits.ts';
import { Log } from '../../src/log.ts';
import type { Connection } from '../../src/transport/transport.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { waitUntil } from '../helpers/wait.ts';
import { type FakeStream, fakeConnection, fakeStream } from './fake-connection.ts';

const connect = (): Connection => fakeConnection({ alive: true, closed: false, heard: 0 });

/** Sessions of which `size` are wanted, each started on what is `connection` then. */
function openWarm(t: TestContext) {
  const state = { size: 1, connection: connect(), start: async (): Promise<void> => {} };
  const streams: FakeStream[] = [];
  const warm = new WarmSessions({
    size: () => state.size,
    alias: 'work',
    log: new Log(join(makeTempDir(t, 'warm'), 'state'), 0),
    start: async () => {
      const { connection } = state;
      const stream = fakeStream();
      streams.push(stream);
      await state.start();
      return {
        stream,
        connection,
        greeting: Buffer.from('* PREAUTH\r\n'),
        setStderr: () => {},
      } as ReadySession;
    },
  });
  t.after(() => warm.close());
  /** Has as many started as there shall be. */
  const fill = async (size: number): Promise<void> => {
    state.size = size;
    warm.refill();
    await waitUntil('the sessions', () => warm.count === size);
  };
  /** Has whatever starts from now on wait for the function that it gives. */
  const hold = (): (() => void) => {
    const waiting: (() => void)[] = [];
    state.start = () => new Promise((resolve) => waiting.push(resolve));
    return () => {
      for (const go of waiting) go();
    };
  };
  return { warm, state, streams, fill, hold };
}

test('the youngest session of the connection that is asked for is handed out, once', async (t) => {
  const { warm, state, streams, fill } = openWarm(t);
  const first = state.connection;
  await fill(2);
  state.connection = connect();
  await fill(3);
  assert.equal(warm.connection, state.connection);
  assert.equal(warm.take(connect()), undefined);
  assert.equal(warm.take(first)?.stream, streams[1]);
  assert.equal(warm.take(state.connection)?.stream, streams[2]);
  assert.equal(warm.take(state.connection), undefined);
  assert.deepEqual([warm.count, warm.connection], [1, first]);
  // Nothing that it says now is taken for a fault.
  streams[2]?.stdout.write('* BYE\r\n');
  assert.equal(streams[2]?.killed, false);
});

test('a session that says something, or ends, is ended before anybody gets it', async (t) => {
  const { warm, streams, fill } = openWarm(t);
  await fill(2);
  streams[0]?.stdout.write('* BYE idle for too long\r\n');
  await waitUntil('it to be dropped', () => warm.count === 1);
  streams[1]?.end();
  await waitUntil('the other one, too', () => warm.count === 0);
  assert.ok(streams[0]?.killed);
});

test('those of a connection that is of no use are ended, and no others', async (t) => {
  const { warm, state, streams, fill } = openWarm(t);
  const first = state.connection;
  await fill(1);
  state.connection = connect();
  await fill(2);
  warm.dropOn(first);
  assert.deepEqual(
    streams.map(({ killed }) => killed),
    [true, false],
  );
});

test('those that grow old are replaced, and those that are too many ended', async (t) => {
  const { warm, state, streams, fill } = openWarm(t);
  await fill(2);
  warm.renew();
  assert.equal(warm.count, 2);
  state.size = 1;
  warm.renew();
  assert.equal(warm.count, 1);
  const { now } = performance;
  t.mock.method(performance, 'now', () => now.call(performance) + WARM_AGE_MS + 1);
  warm.renew();
  assert.ok(streams.every(({ killed }) => killed));
  await waitUntil('a young one', () => warm.count === 1);
  assert.equal(streams.length, 3);
});

test('a server that refuses one is left alone until it is known to have room', async (t) => {
  const { warm, state, streams, fill } = openWarm(t);
  state.start = () => Promise.reject(new Error('no more sessions'));
  warm.refill();
  await waitUntil('the refusal', () => streams.length === 1);
  state.start = async () => {};
  warm.refill();
  warm.refill();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([warm.count, streams.length], [0, 1]);
  warm.resume();
  await fill(1);
  const left = warm.yield();
  assert.ok(streams[1]?.killed);
  await left;
  assert.equal(warm.yield(), undefined);
});

test('one that is being started goes to whoever waits for it, each to one', async (t) => {
  const { warm, state, streams, hold } = openWarm(t);
  const go = hold();
  assert.equal(warm.claim(), undefined);
  state.size = 2;
  warm.refill();
  await waitUntil('both starts', () => streams.length === 2);
  const [first, second] = [warm.claim(), warm.claim()];
  assert.equal(warm.claim(), undefined);
  go();
  assert.deepEqual([(await first)?.stream, (await second)?.stream], streams);
  assert.deepEqual([warm.count, ...streams.map(({ killed }) => killed)], [0, false, false]);
});

test('who waits for one that does not come up is told so', async (t) => {
  const { warm, state } = openWarm(t);
  const fail: ((reason: Error) => void)[] = [];
  state.start = () => new Promise((_, reject) => fail.push(reject));
  warm.refill();
  await waitUntil('the start', () => fail.length === 1);
  const claimed = warm.claim();
  fail[0]?.(new Error('no more sessions'));
  assert.equal(await claimed, undefined);
});

test('one that gives way is for nobody', async (t) => {
  const { warm, streams, hold } = openWarm(t);
  const go = hold();
  warm.refill();
  await waitUntil('the start', () => streams.length === 1);
  const claimed = warm.claim();
  void warm.yield();
  go();
  assert.equal(await claimed, undefined);
  assert.ok(streams[0]?.killed);
});

test('one that ended is replaced, unless the server ended it soon', async (t) => {
  const { warm, state, streams, fill } = openWarm(t);
  await fill(1);
  const { now } = performance;
  const clock = t.mock.method(performance, 'now', () => now.call(performance) + WARM_LIFE_MS + 1);
  streams[0]?.end();
  await waitUntil('its end', () => warm.count === 0);
  clock.mock.restore();
  await fill(1);
  streams[1]?.end();
  await waitUntil('its end', () => warm.count === 0);
  warm.refill();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([warm.count, streams.length, state.size], [0, 2, 1]);
});

test('one that is only just being started gives way, too', async (t) => {
  const { warm, streams, hold } = openWarm(t);
  const go = hold();
  warm.refill();
  await waitUntil('the start', () => streams.length === 1);
  const left = warm.yield();
  go();
  await left;
  assert.deepEqual([streams[0]?.killed, warm.count], [true, 0]);
});

test('a session that is started when nobody wants one any more is ended', async (t) => {
  const { warm, streams, hold } = openWarm(t);
  const go = hold();
  warm.refill();
  await waitUntil('the start', () => streams.length === 1);
  warm.close();
  go();
  await waitUntil('its end', () => streams[0]?.killed === true);
  warm.refill();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(streams.length, 1);
});
