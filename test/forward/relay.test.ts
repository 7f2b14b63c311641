/** One connection to a forward that cannot be served: what its client reads, and what the person who forwards does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import type { Alias } from '../../src/alias/alias.ts';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { Failure } from '../../src/errors.ts';
import { ClientInput } from '../../src/forward/client-input.ts';
import { parseForwardSpec } from '../../src/forward/forward-spec.ts';
import { relay } from '../../src/forward/relay.ts';
import { Log } from '../../src/log.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { forwardFailure } from '../../src/transport/forward-failure.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

interface Relayed {
  readonly client: Socket;
  /** What the client read so far. */
  read(): string;
  readonly refusals: readonly string[];
  /** Settles when the connection is done with. */
  readonly done: Promise<void>;
  log(): string;
}

/** A client's connection that is served as a forward of `spec` would. */
async function openRelay(
  t: TestContext,
  spec: string,
  findAlias: (settings: Settings, home: TempHome) => Alias,
  { signal = new AbortController().signal, uid }: { signal?: AbortSignal; uid?: number } = {},
): Promise<Relayed> {
  const home = openTempHome(t);
  const settings = readSettings(home.env);
  const refusals: string[] = [];
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const incoming = once(server, 'connection');
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  t.after(() => client.destroy());
  let text = '';
  client.on('data', (chunk) => {
    text += chunk.toString();
  });
  client.on('error', () => {});
  const [socket] = (await incoming) as [Socket];
  const context = {
    settings: { ...settings, uid: uid ?? settings.uid },
    log: new Log(settings.stateDir, 0),
    name: 'work',
    findAlias: () => findAlias(settings, home),
    checkPeer: true,
    onRefused: (why: string) => void refusals.push(why),
  };
  const done = relay(socket, parseForwardSpec(spec), context, signal);
  return { client, read: () => text, refusals, done, log: home.log };
}

const failing = (failure: unknown) => (): never => {
  throw failure;
};
const PASSING = new Failure('tcp-refused', { address: 'mail:22' });
const NOTHING = forwardFailure({ address: 'mail:22', target: 'smtp:25', why: 'Connection refused' }, 2);
const PROHIBITED = forwardFailure({ address: 'mail:22', target: 'smtp:25', why: 'open failed' }, 1);
const LASTING = new Failure('no-identity', { user: 'pat', tried: 'none', alias: 'work' });

describe('A connection to a forward that cannot be served', { concurrency: 4 }, () => {
  for (const [spec, failure, says] of [
    ['2025:mail:25', PASSING, /^421 pine-rsh: work: mail:22 refused the connection; .*\r\n$/],
    ['2025:mail:25', LASTING, /^554 pine-rsh: work: .*\r\n$/],
    ['2025:mail:25', NOTHING, /^421 pine-rsh: work: .* \(Connection refused\); nothing listens there.*\r\n$/],
    ['2025:mail:25', PROHIBITED, /^554 pine-rsh: work: .* \(open failed\); check AllowTcpForwarding .*\r\n$/],
    ['2119:news:119', NOTHING, /^400 pine-rsh: work: .*\r\n$/],
    ['2119:news:119', PROHIBITED, /^502 pine-rsh: work: .*\r\n$/],
    ['2119:news:119', PASSING, /^400 pine-rsh: work: .*\r\n$/],
    ['2119:news:119', LASTING, /^502 pine-rsh: work: .*\r\n$/],
    ['2465:mail:465', PASSING, /^$/],
  ] as const) {
    test(`reads the reason in its own language: ${spec}, ${failure.code}`, async (t) => {
      const relayed = await openRelay(t, spec, failing(failure));
      await once(relayed.client, 'end');
      assert.match(relayed.read(), says);
      relayed.client.end();
      await relayed.done;
      assert.equal(relayed.refusals.length, 1);
      assert.match(relayed.refusals[0] ?? '', /^(mail|news):\d+: .*; /);
      assert.match(relayed.log(), new RegExp(`failure .*code=${failure.code}`));
      assert.doesNotMatch(relayed.log(), / stack=/);
    });
  }

  test('for a fault of ours leaves its stack in the log, not with the client', async (t) => {
    const relayed = await openRelay(t, '2025:mail:25', failing(new TypeError('x is not a function')));
    await once(relayed.client, 'end');
    assert.match(relayed.log(), /code=internal .*stack=.*relay\.test/);
    assert.doesNotMatch(relayed.read(), /relay\.test/);
  });

  test('of another user is closed without a word', async (t) => {
    const never = failing(new Error('the alias is not looked for'));
    const relayed = await openRelay(t, '2025:mail:25', never, { uid: 4_242 });
    await once(relayed.client, 'close');
    await relayed.done;
    assert.equal(relayed.read(), '');
    assert.match(relayed.refusals.join(), /^mail:25: connection closed: it belongs to uid \d+$/);
    assert.match(relayed.log(), /forward-refused .*uid=\d+/);
  });

  test('ends with the forward', async (t) => {
    const over = new AbortController();
    const relayed = await openRelay(
      t,
      '2025:mail:25',
      () => {
        over.abort();
        throw PASSING;
      },
      { signal: over.signal },
    );
    await relayed.done;
    assert.deepEqual([relayed.read(), relayed.refusals], ['', []]);
  });

  for (const [what, act, why] of [
    ['talks first', (client: Socket) => void client.write('EHLO here\r\n'), /it talked before the server/],
    ['leaves without a word', (client: Socket) => void client.end(), undefined],
    ['breaks off', (client: Socket) => void client.resetAndDestroy(), undefined],
  ] as const) {
    test(`is given up while the host does not answer, when its client ${what}`, async (t) => {
      // A host that says nothing, so that the server has not spoken either.
      const host = createServer((socket) => void socket.on('error', () => {}).resume());
      host.listen(0, '127.0.0.1');
      await once(host, 'listening');
      let asked = false;
      host.once('connection', (socket) => {
        asked = true;
        t.after(() => socket.destroy());
      });
      t.after(() => host.close());
      const { port } = host.address() as { port: number };
      const relayed = await openRelay(t, '2025:mail:25', (settings, home) => {
        home.writeAlias('work', { HOSTNAME: '127.0.0.1', PORT: port, SHARE: 'no', SSH_CONFIG: 'no' });
        const query = { host: 'work', user: undefined, port: undefined, options: new Map() };
        const found = lookupAlias(settings, query);
        assert.ok(found.kind === 'managed');
        return found.alias;
      });
      await waitUntil('the login', () => asked);
      act(relayed.client);
      await relayed.done;
      assert.equal(relayed.read(), '');
      if (why === undefined) assert.deepEqual(relayed.refusals, []);
      else assert.match(relayed.refusals.join(), why);
    });
  }
});

describe('What a client sends to a server that speaks first', () => {
  /** What passes, and why the client is closed. */
  async function pass(serverFirst: boolean, greeted: boolean, ...chunks: string[]) {
    const closed: (string | undefined)[] = [];
    const input = new ClientInput({ serverFirst, onMisbehaviour: (why) => closed.push(why) });
    let passed = '';
    input.on('data', (chunk) => {
      passed += chunk;
    });
    if (greeted) input.greeted();
    for (const chunk of chunks) input.write(chunk);
    input.end();
    await once(input, 'end');
    return { passed, closed };
  }

  for (const [what, chunks, closed] of [
    ['a browser that waits', ['GET / HTTP/1.1\r\n', 'MAIL FROM:<x>\r\n'], 'it speaks HTTP'],
    ['a browser that asks for a way through', ['CONNECT mail:25 HTTP/1.1\r\n'], 'it speaks HTTP'],
    ['a TLS hello', ['\x16\x03\x01', 'MAIL FROM:<x>\r\n'], 'its first line is no command'],
  ] as const) {
    test(`does not pass from ${what}, nor what comes behind it`, async () => {
      assert.deepEqual(await pass(true, true, ...chunks), { passed: '', closed: [closed] });
    });
  }

  test('passes once the server has spoken, and only then', async () => {
    const talk = ['EHLO here\r\n', 'GET / HTTP/1.1\r\n'];
    assert.deepEqual(await pass(true, true, ...talk), { passed: talk.join(''), closed: [] });
    assert.deepEqual(await pass(true, false, ...talk), {
      passed: '',
      closed: ['it talked before the server'],
    });
    assert.deepEqual(await pass(true, false), { passed: '', closed: [undefined] });
    assert.deepEqual(await pass(true, true), { passed: '', closed: [] });
  });

  test('passes at any time where nobody knows who speaks first', async () => {
    assert.deepEqual(await pass(false, false, 'GET / HTTP/1.1\r\n'), {
      passed: 'GET / HTTP/1.1\r\n',
      closed: [],
    });
    assert.deepEqual(await pass(false, false), { passed: '', closed: [] });
  });
});
