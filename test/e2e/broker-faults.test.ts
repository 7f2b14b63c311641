/** Whatever is wrong with the broker or its socket, the session opens; whatever one client does, the others go on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encodeControl,
  encodeFrame,
  encodeHeader,
  FRAME,
  type Frame,
  PROTOCOL_VERSION,
} from '../../src/broker/frame.ts';
import { stopBroker } from '../../src/broker/status.ts';
import { STDIN_WINDOW } from '../../src/limits.ts';
import { openFakeBroker, openRawClient } from '../broker/fake-broker.ts';
import { openSharing, openSuiteScope, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { isRunning, signalProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap');
const AS_ROOT = process.getuid?.() === 0 ? false : 'only root can make files of another user';
const NOBODY = 65_534;
const PROMPT = { timeout: 5_000 };

/** HELLO within 1 s, then another sign each 2 s; the rest is a login on a busy machine. */
const SILENT_MS = 4_000;

/** Time for a broker to tell of an end that has come. */
const LATE_MS = 300;
const HUNG_MS = 8_000;

const HELLO = encodeControl(FRAME.HELLO, { version: PROTOCOL_VERSION });

/** A session opens, past the broker, within `withinMs`, and works. */
async function opensDirectly(
  sharing: Sharing,
  why: string | RegExp,
  { env = {}, withinMs = SILENT_MS } = {},
): Promise<void> {
  const start = performance.now();
  const session = await sharing.open(undefined, env);
  const ms = performance.now() - start;
  assert.ok(ms < withinMs, `${ms} ms`);
  assert.equal((await session.imap.ask('SELECT INBOX')).status, 'OK');
  await sharing.leave(session);
  const log = sharing.home.log();
  assert.equal(sharing.routes().at(-1), 'direct', log);
  const line = log.split('\n').filter((each) => each.includes(' broker-useless '));
  assert.match(line.at(-1) ?? '', new RegExp(why), log);
}

/** Where the broker's socket belongs, with no broker there any more. */
async function emptyPlace(sharing: Sharing): Promise<string> {
  await sharing.leave(await sharing.open());
  const { socket, pid } = await sharing.broker();
  assert.equal(await stopBroker(socket, sharing.settings, true), true);
  await waitUntil('the broker ends', () => !isRunning(pid), PROMPT);
  assert.deepEqual(await sharing.brokers(), []);
  return socket;
}

const FAKES: readonly {
  readonly what: string;
  readonly onFrame: (frame: Frame, socket: Socket) => void;
  readonly why: string;
  readonly withinMs: number;
}[] = [
  {
    what: 'says nothing',
    onFrame: () => {},
    why: 'the broker does not answer',
    withinMs: SILENT_MS,
  },
  {
    what: 'says hello and then nothing',
    onFrame: ({ type }, socket) => {
      if (type === FRAME.HELLO) socket.write(HELLO);
    },
    why: 'the broker does not answer',
    withinMs: HUNG_MS,
  },
  {
    what: 'speaks another version',
    onFrame: ({ type }, socket) => {
      if (type === FRAME.HELLO) socket.write(encodeControl(FRAME.HELLO, { version: 99, pid: 1 }));
    },
    why: 'the broker speaks another version',
    withinMs: SILENT_MS,
  },
  {
    what: 'dies while it opens a session',
    onFrame: ({ type }, socket) => {
      if (type === FRAME.OPEN) socket.end(HELLO);
    },
    why: 'the broker closed the connection',
    withinMs: SILENT_MS,
  },
  {
    what: 'does not keep to the protocol',
    onFrame: (_, socket) => void socket.write('220 mail.example.org ESMTP\r\n'),
    why: 'the broker closed the connection',
    withinMs: SILENT_MS,
  },
  {
    what: 'has no descriptors left',
    onFrame: ({ type }, socket) => {
      if (type !== FRAME.OPEN) return;
      socket.write(
        Buffer.concat([HELLO, encodeControl(FRAME.FAIL, { code: 'out-of-resources', facts: {} })]),
      );
    },
    why: 'the broker failed',
    withinMs: SILENT_MS,
  },
  {
    what: 'fails for a reason that this version does not know',
    onFrame: ({ type }, socket) => {
      if (type !== FRAME.OPEN) return;
      socket.write(Buffer.concat([HELLO, encodeControl(FRAME.FAIL, { code: 'constructor', facts: {} })]));
    },
    why: 'the broker failed',
    withinMs: SILENT_MS,
  },
];

const UNSAFE_FOLDERS: readonly {
  readonly what: string;
  readonly skip?: string | false;
  readonly spoil: (dir: string) => void;
}[] = [
  { what: 'that others can write to', spoil: (dir) => chmodSync(dir, 0o770) },
  { what: 'of somebody else', skip: AS_ROOT, spoil: (dir) => chownSync(dir, NOBODY, NOBODY) },
  {
    what: 'that is a link',
    spoil: (dir) => {
      rmSync(dir, { recursive: true });
      mkdirSync(`${dir}-elsewhere`, { mode: 0o700 });
      symlinkSync(`${dir}-elsewhere`, dir);
    },
  },
];

const STRANGE_FILES: readonly {
  readonly what: string;
  readonly skip?: string | false;
  readonly make: (path: string, t: TestContext) => void | Promise<void>;
}[] = [
  { what: 'A file', make: (path) => writeFileSync(path, 'precious') },
  { what: 'A link', make: (path) => symlinkSync('/nonexistent', path) },
  {
    what: 'A socket of somebody else',
    skip: AS_ROOT,
    make: async (path, t) => {
      const server = createServer((socket) => socket.destroy());
      server.listen(path);
      await once(server, 'listening');
      defer(t, () => void server.close());
      chownSync(path, NOBODY, NOBODY);
    },
  },
];

/** Each breaks one rule of PROTOCOL.md; nothing of it may reach another client. */
const OFFENCES: readonly { readonly what: string; readonly bytes: Uint8Array }[] = [
  { what: 'other words', bytes: Buffer.from('GET / HTTP/1.0\r\n\r\n') },
  { what: 'a length of 0', bytes: Buffer.alloc(8) },
  { what: 'a frame that is too long', bytes: encodeHeader(FRAME.STDIN, 65_537) },
  { what: 'a frame that is far too long', bytes: Buffer.alloc(64, 0xff) },
  { what: 'an unknown type', bytes: Buffer.concat([HELLO, Buffer.from([0, 0, 0, 1, 255])]) },
  { what: 'no hello', bytes: encodeControl(FRAME.OPEN, { kind: 'mail' }) },
  { what: 'input before hello', bytes: encodeFrame(FRAME.STDIN, Buffer.from('x')) },
  { what: 'an end before hello', bytes: encodeControl(FRAME.EOF) },
  { what: 'an end before a session', bytes: Buffer.concat([HELLO, encodeControl(FRAME.EOF)]) },
  { what: 'a probe before hello', bytes: encodeControl(FRAME.PING, { ms: 0 }) },
  { what: 'hello twice', bytes: Buffer.concat([HELLO, HELLO]) },
  { what: 'no JSON', bytes: encodeFrame(FRAME.HELLO, Buffer.from('{"version":')) },
  { what: 'JSON that is no object', bytes: encodeFrame(FRAME.HELLO, Buffer.from('[1]')) },
  { what: 'a session of no kind', bytes: Buffer.concat([HELLO, encodeControl(FRAME.OPEN, {})]) },
  {
    what: 'a command that is none',
    bytes: Buffer.concat([HELLO, encodeControl(FRAME.OPEN, { kind: 'exec', command: 5 })]),
  },
  {
    what: 'a forwarding to no port',
    bytes: Buffer.concat([HELLO, encodeControl(FRAME.OPEN, { kind: 'forward', host: 'a', port: 70_000 })]),
  },
  {
    what: 'input before its session is open',
    bytes: Buffer.concat([
      HELLO,
      encodeControl(FRAME.OPEN, { kind: 'exec', command: 'sleep 1' }),
      encodeFrame(FRAME.STDIN, Buffer.from('x')),
    ]),
  },
];

/** Kills a starting broker before it has a socket; undefined if it was too fast. */
async function killInStart(t: TestContext, build: Build): Promise<Sharing | undefined> {
  const sharing = await openSharing(t, build);
  const child = sharing.start();
  // Without a pause: it has its socket within 10 ms.
  let broker = sharing.brokerProcesses()[0];
  for (const start = performance.now(); broker === undefined && performance.now() - start < LATE_MS * 10; ) {
    broker = sharing.brokerProcesses()[0];
  }
  if (broker === undefined) return undefined;
  signalProcess(broker.pid, 'SIGSTOP');
  const early = readdirSync(sharing.home.runtimeDir).every((name) => !name.startsWith('b-'));
  signalProcess(broker.pid, 'SIGKILL');
  if (!early) return undefined;
  await child.waitForText('* PREAUTH');
  child.write('a1 LOGOUT\r\n');
  assert.equal((await child.finish()).code, 0);
  return sharing;
}

for (const build of BUILDS) {
  describe(`Trouble with the broker (${build.name})`, { skip: NEEDS || build.skip, concurrency: 2 }, () => {
    test('A stale socket is replaced', async (t) => {
      const sharing = await openSharing(t, build);
      await sharing.leave(await sharing.open());
      const { pid, socket } = await sharing.broker();
      signalProcess(pid, 'SIGKILL');
      await waitUntil('the broker is dead', () => !isRunning(pid));
      assert.ok(lstatSync(socket).isSocket());
      await sharing.leave(await sharing.open());
      const next = await sharing.broker();
      assert.equal(next.socket, socket);
      assert.notEqual(next.pid, pid);
      assert.deepEqual(sharing.routes(), ['shared', 'shared']);
    });

    test('A stopped broker is passed by, and used again when it goes on', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const { pid } = await sharing.broker(({ warm }) => warm >= 1);
      signalProcess(pid, 'SIGSTOP');
      await opensDirectly(sharing, 'the broker does not answer');
      signalProcess(pid, 'SIGCONT');
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      // It may take itself for one that slept, and make its spare anew first.
      await sharing.broker(({ warm }) => warm >= 1);
      await sharing.leave(await sharing.open());
      assert.notEqual(sharing.routes().at(-1), 'direct');
      await sharing.leave(held);
      assert.equal(sharing.brokerProcesses().length, 1);
    });

    test('A command runs once, though a stopped broker goes on later', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const { pid } = await sharing.broker(({ warm }) => warm === 1);
      signalProcess(pid, 'SIGSTOP');
      const words = ['work', 'echo once >>"$HOME/ran"; cat'];
      const { code, stdout } = await runProgram(build.rshPath, words, { env: sharing.home.env, input: 'in' });
      assert.deepEqual([code, stdout.toString()], [0, 'in']);
      assert.equal(sharing.routes().at(-1), 'direct');
      signalProcess(pid, 'SIGCONT');
      // What comes later through the same broker is later than all that it found.
      await sharing.broker(({ warm }) => warm === 1);
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      await runProgram(build.rshPath, ['work', 'true'], { env: sharing.home.env });
      assert.equal(sharing.routes().at(-1), 'shared');
      assert.equal(readFileSync(join(sharing.host.home, 'ran'), 'utf8'), 'once\n');
      await sharing.leave(held);
    });

    test('A broker that stops while it opens a session is passed by', async (t) => {
      const sharing = await openSharing(t, build, {
        alias: (host) => ({
          IMAPD: host.writeProgram('slow', `sleep 1\nexec ${host.rimapd}`),
          WARM: 0,
        }),
      });
      const child = sharing.start();
      await waitUntil('the imapd starts', () => sharing.host.remoteProcesses().length > 0);
      const { pid } = await sharing.broker();
      signalProcess(pid, 'SIGSTOP');
      await child.waitForText('* PREAUTH', { timeout: HUNG_MS });
      child.write('a1 LOGOUT\r\n');
      assert.equal((await child.finish()).code, 0);
      assert.deepEqual(sharing.routes(), ['direct'], sharing.home.log());
      signalProcess(pid, 'SIGCONT');
      await waitUntil('the imapd that nobody wants ends', () => sharing.host.remoteProcesses().length === 0);
    });

    test('A client that waits for its answer does not wait for a stopped broker for ever', async (t) => {
      const sharing = await openSharing(t, build, {
        alias: () => ({ SERVER_ALIVE_INTERVAL: 1, SERVER_ALIVE_COUNT_MAX: 1 }),
      });
      const { child } = await sharing.open();
      const { pid } = await sharing.broker();
      signalProcess(pid, 'SIGSTOP');
      child.write('a1 NOOP\r\n');
      assert.equal((await child.finish({ timeout: HUNG_MS })).code, 255);
      assert.match(sharing.home.log(), / end=stalled status=255 /);
      signalProcess(pid, 'SIGCONT');
    });

    test('A broker that is killed while it starts is done without', async (t) => {
      const sharing = await waitUntil('a broker killed in its start', () => killInStart(t, build));
      assert.deepEqual(sharing.routes(), ['direct'], sharing.home.log());
      assert.match(sharing.home.log(), /broker-useless .*the broker ended at once/);
      await sharing.leave(await sharing.open());
      assert.equal(sharing.routes().at(-1), 'shared');
    });

    test('A client that does not keep to the protocol loses its connection, and nobody else', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const { pid, socket } = await sharing.broker();
      for (const { what, bytes } of OFFENCES) {
        const client = await openRawClient(t, socket);
        client.write(bytes);
        await client.closed().catch((error) => assert.fail(`${what}: ${error}`));
      }
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      assert.equal((await sharing.broker(({ sessions }) => sessions === 1)).pid, pid);
      await sharing.leave(held);
    });

    test('A client that sends more input than it may loses its connection, and nobody else', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const { socket } = await sharing.broker();
      const client = await openRawClient(t, socket);
      client.write(Buffer.concat([HELLO, encodeControl(FRAME.OPEN, { kind: 'exec', command: 'sleep 300' })]));
      await waitUntil('the session opens', () => client.frames.some(({ type }) => type === FRAME.OPENED));
      const chunk = encodeFrame(FRAME.STDIN, Buffer.alloc(65_536));
      // The server's window takes 2 MiB that nobody reads; what is left is under way.
      for (let sent = 0; sent < 5 * STDIN_WINDOW; sent += 65_536) client.write(chunk);
      await client.closed();
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      await waitUntil('its command ends', () =>
        sharing.host.remoteProcesses().every(({ command }) => command !== 'sleep 300'),
      );
      await sharing.leave(held);
    });

    test('A client that is still writing when its session ends hears all that was said, and how it ended', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const { socket } = await sharing.broker();
      const client = await openRawClient(t, socket);
      const command =
        'echo $((6 * 7)) >&2; until [ -e "$HOME/go" ]; do sleep 0.05; done; : >"$HOME/ended"; exit 3';
      client.write(Buffer.concat([HELLO, encodeControl(FRAME.OPEN, { kind: 'exec', command })]));
      await waitUntil('the session opens', () => client.frames.some(({ type }) => type === FRAME.OPENED));
      client.pause();
      writeFileSync(join(sharing.host.home, 'go'), '');
      await waitUntil('its command ends', () => existsSync(join(sharing.host.home, 'ended')));
      await sleep(LATE_MS);
      for (let part = 0; part < 3; part += 1) {
        client.write(encodeFrame(FRAME.STDIN, Buffer.from('too late\n')));
        await sleep(LATE_MS);
      }
      client.resume();
      await client.closed();
      const exit = client.frames.find(({ type }) => type === FRAME.EXIT);
      assert.deepEqual(exit && JSON.parse(exit.payload.toString()), { status: 3 });
      const said = client.frames.filter(({ type }) => type === FRAME.STDERR).map(({ payload }) => payload);
      assert.equal(Buffer.concat(said).toString(), '42\n');
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      await sharing.leave(held);
    });

    test('A client of another version is told so', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const { socket } = await sharing.broker();
      const client = await openRawClient(t, socket);
      client.write(
        Buffer.concat([
          encodeControl(FRAME.HELLO, { version: 99 }),
          encodeControl(FRAME.OPEN, { kind: 'mail' }),
        ]),
      );
      await client.closed();
      assert.deepEqual(
        client.frames.map(({ type, payload }) => [type, JSON.parse(payload.toString()).version]),
        [[FRAME.HELLO, PROTOCOL_VERSION]],
      );
      await sharing.leave(held);
    });

    test('A broker without descriptors sends its clients away, and keeps those it has', {
      skip: requirePrograms('prlimit'),
    }, async (t) => {
      const sharing = await openSharing(t, build, {
        alias: () => ({ WARM: 0 }),
        sshd: { config: ['MaxSessions 100'] },
      });
      const held = await sharing.open();
      const { pid } = await sharing.broker();
      const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
      let limit = 0;
      for (let free = 6; free > 0; limit += 1) if (!used.has(limit)) free -= 1;
      const words = [`--pid=${pid}`, `--nofile=${limit}:${limit}`];
      assert.equal((await runProgram('prlimit', words, { env: sharing.home.env })).code, 0);
      const others = await Promise.all(Array.from({ length: 12 }, () => sharing.open()));
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      await Promise.all(others.map((session) => sharing.leave(session)));
      const routes = sharing.routes();
      assert.equal(routes.length, 12);
      assert.ok(routes.includes('direct') && routes.includes('shared'), sharing.home.log());
      assert.equal((await sharing.broker(({ sessions }) => sessions === 1)).pid, pid);
      await sharing.leave(await sharing.open());
      assert.equal(sharing.routes().at(-1), 'shared');
    });
  });

  describe(`Something else where the broker's socket belongs (${build.name})`, {
    skip: NEEDS || build.skip,
  }, () => {
    let sharing: Sharing;
    let place: string;

    const scope = openSuiteScope();
    before(async () => {
      sharing = await openSharing(scope, build);
      place = await emptyPlace(sharing);
    });

    for (const { what, onFrame, why, withinMs } of FAKES) {
      test(`A broker that ${what} is passed by`, async (t) => {
        const { connections } = await openFakeBroker(t, place, onFrame);
        await opensDirectly(sharing, why, { withinMs });
        assert.equal(connections(), 1);
      });
    }

    test('A command that a broker may have started is not started again', async (t) => {
      await openFakeBroker(t, place, ({ type }, socket) => {
        if (type === FRAME.HELLO) socket.write(HELLO);
        else socket.end();
      });
      const words = ['work', 'echo started'];
      const { code, stdout, stderr } = await runProgram(build.rshPath, words, { env: sharing.home.env });
      assert.deepEqual([code, stdout.toString()], [255, '']);
      assert.match(stderr.toString(), /connection to the background process lost/);
    });

    test('What keeps a broker from opening a session is told as if there were none', async (t) => {
      await openFakeBroker(t, place, ({ type }, socket) => {
        const facts = { host: 'mail.example.org', why: 'ENOTFOUND' };
        if (type === FRAME.OPEN)
          socket.write(Buffer.concat([HELLO, encodeControl(FRAME.FAIL, { code: 'dns-failed', facts })]));
      });
      const child = sharing.start();
      assert.match(
        await child.waitForLine(),
        /^\* PREAUTH \[ALERT\] pine-rsh: work: no address found for mail\.example\.org/,
      );
    });

    for (const { what, skip = false, spoil } of UNSAFE_FOLDERS) {
      test(`A runtime folder ${what} is not used`, { skip }, async () => {
        const folder = `${sharing.home.runtimeDir}/unsafe`;
        mkdirSync(folder, { mode: 0o700 });
        spoil(folder);
        await opensDirectly(sharing, 'no safe runtime folder', { env: { PINE_RSH_RUNTIME_DIR: folder } });
        assert.deepEqual(readdirSync(folder), []);
        rmSync(folder, { recursive: true });
        assert.deepEqual(sharing.brokerProcesses(), []);
      });
    }

    test('A folder that takes no files costs nothing but the sharing', async () => {
      // Ours and private, and nothing can be made in it, not even by root.
      const folder = `/proc/${process.pid}/fd`;
      await opensDirectly(sharing, 'the broker ended at once', { env: { PINE_RSH_RUNTIME_DIR: folder } });
      const session = await sharing.open(undefined, {
        PINE_RSH_RUNTIME_DIR: folder,
        PINE_RSH_STATE_DIR: folder,
      });
      await sharing.leave(session);
      assert.deepEqual(sharing.brokerProcesses(), []);
    });

    test('A path that is too long for a socket costs nothing but the sharing', async () => {
      const folder = `${sharing.home.runtimeDir}/${'long'.repeat(20)}`;
      await opensDirectly(sharing, 'no safe runtime folder', { env: { PINE_RSH_RUNTIME_DIR: folder } });
    });

    for (const { what, skip = false, make } of STRANGE_FILES) {
      test(`${what} in the socket's place stays as it is`, { skip }, async (t) => {
        await make(place, t);
        defer(t, () => rmSync(place));
        const before = lstatSync(place);
        await opensDirectly(sharing, 'the socket cannot be used');
        const after = lstatSync(place);
        assert.deepEqual([after.ino, after.mode, after.uid], [before.ino, before.mode, before.uid]);
        assert.deepEqual(sharing.brokerProcesses(), []);
      });
    }
  });
}
