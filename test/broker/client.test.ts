/** A client and its broker: what the client makes of answers, of none, and of those that no broker of ours would give. */
import assert from 'node:assert/strict';
import { utimesSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUseless, openThroughBroker, takeThroughBroker } from '../../src/broker/client.ts';
import { connectThroughBroker } from '../../src/broker/connect-client.ts';
import {
  encodeControl,
  encodeFrame,
  FRAME,
  type FrameType,
  PROTOCOL_VERSION,
} from '../../src/broker/frame.ts';
import type { OpenRequest } from '../../src/broker/open-request.ts';
import { retireOlder } from '../../src/broker/retire.ts';
import { listBrokers, stopBroker } from '../../src/broker/status.ts';
import { BROKER_TAKE_MS } from '../../src/limits.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { openFakeBroker } from './fake-broker.ts';

const UID = process.getuid?.() ?? 0;
const ALWAYS = new AbortController().signal;
const MAIL: OpenRequest = { kind: 'mail' };
const EXEC: OpenRequest = { kind: 'exec', command: 'cat' };
const HELLO = encodeControl(FRAME.HELLO, { version: PROTOCOL_VERSION });
const OPENED = encodeControl(FRAME.OPENED, { route: 'warm', steps: {}, greeting: '* PREAUTH\r\n' });

/** What a broker says to a frame of one type, or does. */
type Answers = Partial<Record<FrameType, Uint8Array | ((socket: Socket) => void)>>;

async function openBroker(t: TestContext, answers: Answers): Promise<string> {
  const path = join(makeTempDir(t, 'client'), 'b');
  await answer(t, path, answers);
  return path;
}

async function answer(t: TestContext, path: string, answers: Answers): Promise<void> {
  await openFakeBroker(t, path, ({ type }, socket) => {
    const say = answers[type];
    if (typeof say === 'function') say(socket);
    else if (say !== undefined) socket.write(say);
  });
}

function open(path: string, request = MAIL, signal = ALWAYS, onGreeting = (_: Uint8Array): void => {}) {
  return openThroughBroker(path, UID, request, signal, onGreeting);
}

const CALL = { args: ['work', '-l', 'pat', 'exec', '/etc/rimapd'], env: { HOME: '/home/pat' } };
const TOLD = {
  name: 'work',
  queue: true,
  fallback: 'allow',
  serverAliveInterval: 15,
  serverAliveCountMax: 3,
};
const taken = (alias: unknown, greeting: unknown = '* PREAUTH \xe9\r\n'): Uint8Array =>
  encodeControl(FRAME.OPENED, { route: 'warm', steps: {}, greeting, alias });
const TAKEN = taken(TOLD);
const NONE = encodeControl(FRAME.NONE, {});
const STARTING = encodeControl(FRAME.STARTING, { alias: TOLD });

/** What a client that takes hears: its session, its greeting, and what it did in the meantime. */
async function take(path: string) {
  const heard: string[] = [];
  const taken = await takeThroughBroker(path, UID, CALL, {
    onAsked: () => heard.push('asked'),
    onGreeting: (greeting) => heard.push(Buffer.from(greeting).toString('latin1')),
  });
  return { taken, heard };
}

const noGreeting = (): void => assert.fail('a greeting');
const fail = (code: string, facts?: object) => encodeControl(FRAME.FAIL, { code, facts });
const together = (...frames: Uint8Array[]): Buffer => Buffer.concat(frames);

describe('A client', { concurrency: 4 }, () => {
  test('hears the greeting before the session is its own, and nothing is lost in between', async (t) => {
    const path = await openBroker(t, {
      [FRAME.OPEN]: together(
        HELLO,
        OPENED,
        encodeFrame(FRAME.DATA, Buffer.from('* 1 EXISTS\r\n')),
        encodeControl(FRAME.EOF),
        encodeControl(FRAME.EXIT, { status: 0 }),
      ),
    });
    const greetings: string[] = [];
    const opened = await open(path, MAIL, ALWAYS, (greeting) =>
      greetings.push(Buffer.from(greeting).toString()),
    );
    assert.ok(opened !== undefined);
    let read = '';
    opened.stream.stderr.resume();
    opened.stream.stdout.on('data', (chunk) => {
      read += chunk;
    });
    assert.deepEqual(await opened.stream.exit, { kind: 'status', status: 0 });
    assert.deepEqual([read, greetings, opened.route], ['* 1 EXISTS\r\n', ['* PREAUTH\r\n'], 'warm']);
  });

  test('takes what is ready for its call', async (t) => {
    const path = await openBroker(t, {
      [FRAME.TAKE]: together(
        HELLO,
        TAKEN,
        encodeFrame(FRAME.DATA, Buffer.from('* 1 EXISTS\r\n')),
        encodeControl(FRAME.EOF),
        encodeControl(FRAME.EXIT, { status: 0 }),
      ),
    });
    const { taken, heard } = await take(path);
    assert.deepEqual(heard, ['asked', '* PREAUTH \xe9\r\n']);
    assert.deepEqual([taken?.alias, taken?.ready], [TOLD, true]);
    const { stream, route } = await (taken as NonNullable<typeof taken>).open(ALWAYS, noGreeting);
    let read = '';
    stream.stderr.resume();
    stream.stdout.on('data', (chunk) => {
      read += chunk;
    });
    assert.deepEqual(await stream.exit, { kind: 'status', status: 0 });
    assert.deepEqual([read, route], ['* 1 EXISTS\r\n', 'warm']);
  });

  for (const when of ['before', 'after'] as const) {
    test(`waits for what is being started, and hears of it ${when} it is ready for it`, async (t) => {
      let say: () => void = () => {};
      const path = await openBroker(t, {
        [FRAME.TAKE]: (socket) => {
          socket.write(together(HELLO, STARTING));
          say = () => void socket.write(OPENED);
        },
      });
      const { taken, heard } = await take(path);
      assert.deepEqual([taken?.alias, taken?.ready, heard], [TOLD, false, ['asked']]);
      if (when === 'before') {
        say();
        await sleep(50);
      }
      const greetings: string[] = [];
      const opening = taken?.open(ALWAYS, (greeting) => greetings.push(Buffer.from(greeting).toString()));
      say();
      assert.equal((await opening)?.route, 'warm');
      assert.deepEqual([heard, greetings], [['asked'], ['* PREAUTH\r\n']]);
    });
  }

  for (const [what, then, expected] of [
    ['a reason', fail('tcp-refused', { address: 'mail:22' }), { code: 'tcp-refused' }],
    ['trouble of the broker', fail('internal'), BrokerUseless],
    ['the broker hanging up', (socket: Socket) => void socket.end(), BrokerUseless],
    ['the broker hanging', () => {}, BrokerUseless],
  ] as const) {
    test(`is told that what was being started ended in ${what}`, async (t) => {
      const path = await openBroker(t, {
        [FRAME.TAKE]: (socket) => {
          socket.write(together(HELLO, STARTING));
          if (typeof then === 'function') then(socket);
          else socket.write(then);
        },
      });
      const { taken } = await take(path);
      assert.equal(taken?.ready, false);
      // Nobody waits yet.
      await sleep(50);
      const opening = taken?.open(ALWAYS, noGreeting);
      await assert.rejects(opening as Promise<unknown>, expected);
    });
  }

  test('that leaves does not wait for what is being started', async (t) => {
    const path = await openBroker(t, { [FRAME.TAKE]: together(HELLO, STARTING) });
    const { taken } = await take(path);
    const gone = new AbortController();
    const opening = taken?.open(gone.signal, noGreeting);
    gone.abort(new Error('gone'));
    await assert.rejects(opening as Promise<unknown>, /gone/);
  });

  for (const [what, answers] of [
    ['that has nothing ready', { [FRAME.TAKE]: together(HELLO, NONE) }],
    ['that has nothing ready, and then has', { [FRAME.TAKE]: together(HELLO, NONE, TAKEN) }],
    ['of another version', { [FRAME.HELLO]: encodeControl(FRAME.HELLO, { version: 0 }) }],
    ['that says nothing', {}],
    ['that says hello and nothing more', { [FRAME.HELLO]: HELLO }],
    ['that hangs up', { [FRAME.TAKE]: (socket: Socket) => void socket.end(HELLO) }],
    ['with trouble of its own', { [FRAME.TAKE]: together(HELLO, fail('out-of-resources')) }],
    ['that breaks the protocol', { [FRAME.HELLO]: Buffer.from('HTTP/1.1 400 Bad Request\r\n') }],
    ['that does not say whose session it is', { [FRAME.TAKE]: together(HELLO, OPENED) }],
    [
      'that does not say whose it starts',
      { [FRAME.TAKE]: together(HELLO, encodeControl(FRAME.STARTING, {})) },
    ],
    ['that says too little of it', { [FRAME.TAKE]: together(HELLO, taken({ name: 'work' })) }],
    ['whose greeting is none', { [FRAME.TAKE]: together(HELLO, taken(TOLD, { toString: 1 })) }],
  ] as const) {
    test(`takes nothing from a broker ${what}`, async (t) => {
      const path = await openBroker(t, answers);
      const started = performance.now();
      const { taken, heard } = await take(path);
      const ms = performance.now() - started;
      assert.deepEqual([taken, heard], [undefined, ['asked']]);
      // Pine waits for its greeting meanwhile, and the long way is still to come.
      assert.ok(ms < 10 * BROKER_TAKE_MS, `${ms} ms`);
    });
  }

  test('takes nothing where no broker is', async (t) => {
    const { taken, heard } = await take(join(makeTempDir(t, 'client'), 'b'));
    assert.deepEqual([taken, heard], [undefined, []]);
  });

  for (const [what, exit, expected] of [
    ['a signal', encodeControl(FRAME.EXIT, { signal: 'KILL' }), { kind: 'signal', signal: 'KILL' }],
    ['a lost line', fail('tcp-refused', { address: 'mail:22' }), 'mail:22 refused the connection'],
    ['a reason that nobody knows', fail('toString'), 'connection to the broker lost (its process ended)'],
    ['the broker hanging up', undefined, 'connection to the broker lost (its process ended)'],
  ] as const) {
    test(`is told that its session ended by ${what}`, async (t) => {
      const path = await openBroker(t, {
        [FRAME.HELLO]: HELLO,
        [FRAME.OPEN]: (socket) => {
          const opened = encodeControl(FRAME.OPENED, { route: 'shared', steps: {} });
          if (exit === undefined) socket.end(opened);
          else socket.write(together(opened, encodeControl(FRAME.PONG, { alive: true }), exit));
        },
      });
      const opened = await open(path, EXEC);
      assert.ok(opened !== undefined);
      opened.stream.stdout.resume();
      opened.stream.stderr.resume();
      const outcome = await opened.stream.exit;
      if (typeof expected === 'string') {
        assert.equal(outcome.kind === 'lost' && outcome.failure.message, expected);
      } else assert.deepEqual(outcome, expected);
    });
  }

  for (const [what, answers, useless] of [
    ['of another version', { [FRAME.HELLO]: encodeControl(FRAME.HELLO, { version: 0 }) }, true],
    ['with trouble of its own', { [FRAME.HELLO]: together(HELLO, fail('out-of-resources')) }, true],
    ['whose reason nobody knows', { [FRAME.HELLO]: together(HELLO, fail('hasOwnProperty')) }, true],
    ['that breaks the protocol', { [FRAME.HELLO]: Buffer.from('HTTP/1.1 400 Bad Request\r\n') }, true],
    ['that hangs up', { [FRAME.HELLO]: (socket: Socket) => void socket.end() }, true],
    [
      'that cannot open it',
      { [FRAME.HELLO]: together(HELLO, fail('tcp-refused', { address: 'mail:22' })) },
      false,
    ],
  ] as const) {
    const outcome = useless ? 'goes on without' : 'has the reason of';
    test(`${outcome} a broker ${what}`, async (t) => {
      const path = await openBroker(t, answers);
      for (const ask of [
        () => open(path),
        () => open(path, EXEC),
        () => connectThroughBroker(path, UID, async () => [], ALWAYS),
      ]) {
        await assert.rejects(ask, (thrown: Error & { code?: string }) => {
          if (useless) assert.ok(thrown instanceof BrokerUseless, String(thrown));
          else assert.equal(thrown.code, 'tcp-refused');
          return true;
        });
      }
    });
  }

  test('does not start a command again that a broker may have started', async (t) => {
    const path = await openBroker(t, { [FRAME.HELLO]: HELLO, [FRAME.OPEN]: (socket) => void socket.end() });
    await assert.rejects(open(path, EXEC), { code: 'connection-lost' });
    await assert.rejects(open(path), BrokerUseless);
  });

  test('that has gone asks for nothing', async (t) => {
    const path = await openBroker(t, {});
    const gone = AbortSignal.abort(new Error('gone'));
    await assert.rejects(open(path, MAIL, gone), /gone/);
    await assert.rejects(
      connectThroughBroker(path, UID, async () => [], gone),
      /gone/,
    );
  });

  test('does not speak to what is no socket, or not ours', async (t) => {
    const path = join(makeTempDir(t, 'client'), 'b');
    assert.equal(await open(path), undefined);
    writeFileSync(path, '');
    await assert.rejects(open(path), BrokerUseless);
    const broker = await openBroker(t, {});
    await assert.rejects(
      openThroughBroker(broker, UID + 1, MAIL, ALWAYS, () => {}),
      BrokerUseless,
    );
  });
});

describe('Brokers', () => {
  const STATUS = { alias: 'work', pid: 1, version: '1', sessions: 0, warm: 0, age_s: 1, bytes: 0 };

  function openFolder(t: TestContext): { settings: Settings; pathOf(whose: string, what: string): string } {
    const home = openTempHome(t);
    // As spec.ts names their sockets.
    const pathOf = (whose: string, what: string): string =>
      join(home.runtimeDir, `b-${whose.repeat(8)}-${what.repeat(16)}`);
    return { settings: readSettings(home.env), pathOf };
  }

  test('are listed if they answer, and stopped if they are there', async (t) => {
    const { settings, pathOf } = openFolder(t);
    const [one, other, gone] = ['1', '2', '3'].map((what) => pathOf('a', what)) as [string, string, string];
    await answer(t, one, { [FRAME.STATUS]: together(HELLO, encodeControl(FRAME.STATUS, STATUS)) });
    const hangUp = (socket: Socket): void => void socket.end();
    await answer(t, other, { [FRAME.STATUS]: hangUp, [FRAME.STOP]: hangUp });
    assert.deepEqual(await listBrokers(settings), [{ ...STATUS, socket: one }]);
    assert.equal(await stopBroker(gone, settings, true), false);
    assert.equal(await stopBroker(other, settings, false), false);
  });

  test('make way for a younger one of the same caller and alias, and for no other', async (t) => {
    const { settings, pathOf } = openFolder(t);
    const stopped: string[] = [];
    const births = {
      older: pathOf('a', '1'),
      mine: pathOf('a', '2'),
      younger: pathOf('a', '3'),
      other: pathOf('b', '1'),
    };
    for (const [name, path] of Object.entries(births)) {
      await answer(t, path, {
        [FRAME.STOP]: (socket) => {
          stopped.push(name);
          socket.write(encodeControl(FRAME.STOP, {}));
        },
      });
      const second = { older: 1, other: 1, mine: 2, younger: 3 }[name] as number;
      utimesSync(path, second, second);
    }
    await retireOlder(births.mine, settings);
    assert.deepEqual(stopped, ['older']);
    // One whose own socket is gone is about to end itself.
    stopped.length = 0;
    await retireOlder(pathOf('a', '4'), settings);
    assert.deepEqual(stopped, []);
  });
});
