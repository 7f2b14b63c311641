/** Which connection a session gets, and what becomes of connections that are full, silent or of no use. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ConnectionPool, type PoolOptions } from '../../src/broker/connection-pool.ts';
import { Failure } from '../../src/errors.ts';
import type { Connection } from '../../src/transport/transport.ts';
import { waitUntil } from '../helpers/wait.ts';
import { type FakeState, type FakeStream, fakeConnection, fakeStream } from './fake-connection.ts';

const FRESH_MS = 60_000;
const refused = (why: string) => new Failure('exec-refused', { address: 'mail:22', why });
const codeIs = (code: string) => (thrown: unknown) => thrown instanceof Failure && thrown.code === code;

/** A pool whose connections are made here; `states` has one for each of them. */
function openPool(options: Partial<PoolOptions> = {}) {
  const states: FakeState[] = [];
  const made: Connection[] = [];
  const heard: string[] = [];
  const pool = new ConnectionPool({
    dial: async () => {
      const state = { alive: true, closed: false, heard: performance.now() };
      const connection = fakeConnection(state);
      states.push(state);
      made.push(connection);
      return connection;
    },
    freshMs: FRESH_MS,
    onRefused: () => void heard.push('refused'),
    onRoom: () => heard.push('room'),
    onSuspect: (connection) => heard.push(`suspect ${made.indexOf(connection)}`),
    onClockJump: () => heard.push('jump'),
    ...options,
  });
  /** Opens a session wherever the pool likes; says on which connection that was. */
  const open = async (purpose: 'plain' | 'mail' | 'spare' = 'mail'): Promise<[number, FakeStream]> => {
    const stream = fakeStream();
    let at = -1;
    await pool.open(purpose, async (connection) => {
      at = made.indexOf(connection);
      return { stream };
    });
    return [at, stream];
  };
  const state = (at: number): FakeState => states[at] as FakeState;
  return { pool, states, made, heard, open, state };
}

/** The machine slept: the wall clock went on without us. */
function sleepMachine(t: TestContext): void {
  const { now } = Date;
  t.mock.method(Date, 'now', () => now() + 3_600_000);
}

describe('The connections of a broker', { concurrency: 4 }, () => {
  test('are one for all sessions, also for those that come while it is made', async () => {
    const { open, states } = openPool();
    const opened = await Promise.all([open(), open('plain'), open('spare')]);
    assert.deepEqual([opened.map(([at]) => at), states.length], [[0, 0, 0], 1]);
  });

  test('become two when the server refuses a channel, and one again when there is room', async () => {
    const { pool, open, heard, made, state } = openPool();
    const [, first] = await open();
    const second = fakeStream();
    await pool.open('mail', async (connection) => {
      if (connection === made[0]) throw refused('open failed');
      return { stream: second };
    });
    assert.deepEqual([heard, pool.connections], [['refused'], 2]);
    // While it is full nobody is sent there.
    const [at, third] = await open();
    assert.equal(at, 1);
    first.end();
    await waitUntil('the first to be closed', () => state(0).closed);
    assert.deepEqual([heard, pool.connections], [['refused', 'room'], 1]);
    for (const stream of [second, third]) stream.end();
    await waitUntil('the last to be let go', async () => (await open())[0] === 1);
    assert.equal(state(1).closed, false);
  });

  test('stay one where sessions that nobody used give way', async () => {
    const unused = fakeStream();
    const { pool, open, states } = openPool({ onRefused: () => unused.exit.then(() => {}) });
    await pool.open('spare', async () => ({ stream: unused }));
    await open();
    let full = true;
    const opening = pool.open('mail', async () => {
      if (full) throw refused('open failed');
      return { stream: fakeStream() };
    });
    await setImmediate();
    full = false;
    unused.end();
    await opening;
    await open();
    assert.equal(states.length, 1);
  });

  test('become two where what gave way made no room', async () => {
    const { pool, open, states, made } = openPool({ onRefused: async () => {} });
    await open();
    let asked = 0;
    await pool.open('mail', async (connection) => {
      if (connection !== made[0]) return { stream: fakeStream() };
      asked += 1;
      throw refused('open failed');
    });
    assert.deepEqual([asked, states.length], [2, 2]);
  });

  test('become two where what shall give way does not', async (t) => {
    // The wait for room keeps no process; a broker has its listening socket for that.
    const listening = setInterval(() => {}, FRESH_MS);
    t.after(() => clearInterval(listening));
    const { pool, open, states, made } = openPool({ onRefused: () => new Promise(() => {}) });
    await open();
    await pool.open('mail', async (connection) => {
      if (connection === made[0]) throw refused('open failed');
      return { stream: fakeStream() };
    });
    assert.equal(states.length, 2);
  });

  test('are not made for a session that nobody waits for', async () => {
    const { pool, open, states, heard } = openPool();
    const [, stream] = await open('spare');
    const opening = pool.open('spare', () => Promise.reject(refused('open failed')));
    await assert.rejects(opening, codeIs('exec-refused'));
    assert.equal(states.length, 1);
    stream.end();
    await stream.exit;
    assert.deepEqual(heard, ['refused']);
  });

  test('are not made one after the other for a server that allows no session at all', async () => {
    const { pool, states } = openPool();
    const opening = pool.open('mail', () => Promise.reject(refused('administratively prohibited')));
    await assert.rejects(opening, codeIs('exec-refused'));
    assert.equal(states.length, 1);
  });

  test('are not blamed for a command that the server does not run', async () => {
    const { pool, open, heard } = openPool();
    await open();
    await assert.rejects(
      pool.open('mail', () => Promise.reject(refused('Unable to exec'))),
      codeIs('exec-refused'),
    );
    assert.deepEqual([heard, (await open())[0]], [[], 0]);
  });

  test('are asked while a session starts, and another one is made when the answer does not come', async () => {
    const { pool, open, heard, made, state } = openPool();
    const [, old] = await open();
    state(0).alive = false;
    const [late, fresh] = [fakeStream(), fakeStream()];
    let answer: () => void = () => {};
    const opened = await pool.open('mail', (connection) =>
      connection === made[0]
        ? new Promise<{ stream: FakeStream }>((resolve) => {
            answer = () => resolve({ stream: late });
          })
        : Promise.resolve({ stream: fresh }),
    );
    assert.equal(opened.stream, fresh);
    // What has a session keeps it until it ends.
    assert.deepEqual([heard, state(0).closed], [['suspect 0'], false]);
    answer();
    await waitUntil('the session that came too late to be ended', () => late.killed);
    old.end();
    await waitUntil('the silent one to be closed', () => state(0).closed);
  });

  test('are not left for another one by what may be started only once', async () => {
    const { pool, open, states, state } = openPool();
    await open();
    state(0).alive = false;
    const lost = new Failure('connection-lost', { address: 'mail:22', why: 'test' });
    await assert.rejects(
      pool.open('plain', () => Promise.reject(lost)),
      (thrown) => thrown === lost,
    );
    assert.equal(states.length, 1);
  });

  test('are asked from time to time while nobody uses them, and closed when they do not answer', async () => {
    const { pool, open, heard, state } = openPool();
    const [, stream] = await open();
    stream.end();
    await stream.exit;
    pool.keepAlive();
    assert.deepEqual(heard, []);
    state(0).heard = performance.now() - 2 * FRESH_MS;
    pool.keepAlive();
    assert.equal(state(0).closed, false);
    state(0).alive = false;
    pool.keepAlive();
    await waitUntil('it to be closed', () => state(0).closed);
    assert.deepEqual(heard, ['suspect 0']);
  });

  test('are closed with all that is on them', async () => {
    const { pool, open, state } = openPool();
    await open();
    pool.close();
    assert.equal(state(0).closed, true);
  });

  for (const [refusals, outcome] of [
    [2, 'made again'],
    [9, 'given up'],
  ] as const) {
    test(`that sshd drops before it speaks are ${outcome} after ${refusals} times`, async () => {
      let dials = 0;
      const { pool } = openPool({
        dial: async () => {
          dials += 1;
          const why = 'it was closed before the key exchange';
          if (dials <= refusals) throw new Failure('connection-lost', { address: 'mail:22', why });
          return fakeConnection({ alive: true, closed: false, heard: performance.now() });
        },
      });
      const opening = pool.open('mail', async () => ({ stream: fakeStream() }));
      if (outcome === 'given up') await assert.rejects(opening, codeIs('connection-lost'));
      else await opening;
      assert.equal(dials, outcome === 'given up' ? 4 : refusals + 1);
    });
  }

  test('ask one that answers twice at most, however often it loses a session', async () => {
    const { pool, states } = openPool();
    const dial = async () => {
      const state = { alive: true, closed: false, heard: performance.now() };
      states.push(state);
      return fakeConnection(state);
    };
    await pool.keep(dial);
    let starts = 0;
    const start = async (): Promise<never> => {
      starts += 1;
      throw new Failure('connection-lost', { address: 'mail:22', why: 'the command ended without a status' });
    };
    await assert.rejects(pool.open('mail', start), codeIs('connection-lost'));
    assert.deepEqual([starts, states.length], [2, 1]);
  });
});

test('what slept is asked before it is used, once', async (t) => {
  const { pool, open, heard, made, state } = openPool();
  const [, stream] = await open();
  stream.end();
  const [connection] = made as [Connection];
  assert.equal(await pool.vouch(connection), true);
  sleepMachine(t);
  assert.equal(await pool.vouch(connection), true);
  assert.deepEqual(heard, ['jump']);
  // It answered: it is not asked any more.
  state(0).alive = false;
  assert.equal(await pool.vouch(connection), true);
  const stranger = fakeConnection({ alive: true, closed: false, heard: performance.now() });
  assert.equal(await pool.vouch(stranger), false);
});

test('what slept and does not answer is not used any more', async (t) => {
  const { pool, open, heard, made } = openPool();
  const [, stream] = await open();
  const [connection] = made as [Connection];
  sleepMachine(t);
  connection.alive = async () => false;
  assert.equal(await pool.vouch(connection), false);
  assert.deepEqual(heard, ['jump', 'suspect 0']);
  assert.equal((await open())[0], 1);
  stream.end();
});
