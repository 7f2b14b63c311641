/** Many sessions, much data, slow readers, and servers that allow little: what a broker must bear. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type OpenedSession, openThroughBroker } from '../../src/broker/client.ts';
import type { ByteSource } from '../../src/byte-flow.ts';
import { openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { peakMemoryOf, signalProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { waitUntil, within } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap');
const MIB = 1024 * 1024;
const STREAM_BYTES = 300 * MIB;
const BROKER_MEMORY_MAX = 256 * MIB;
const CLIENT_MEMORY_MAX = 256 * MIB;

const MANY = 200;
const BATCH = 20;

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A session of this process, which is a client as any other. */
async function openHere({ broker, settings }: Sharing, command: string): Promise<OpenedSession> {
  const { socket } = await broker();
  const session = await openThroughBroker(
    socket,
    settings.uid,
    { kind: 'exec', command },
    AbortSignal.timeout(30_000),
    () => {},
  );
  assert.ok(session);
  return session;
}

async function readAll(stream: ByteSource): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve) => stream.once('end', resolve));
  return Buffer.concat(chunks);
}

/** Data of any length goes to a remote cat and comes back. */
async function echo(sharing: Sharing): Promise<void> {
  const { stream } = await openHere(sharing, 'cat');
  const sent = randomBytes(1 + Math.floor(Math.random() * 300_000));
  const received = readAll(stream.stdout);
  stream.stderr.resume();
  for (let at = 0; at < sent.length; at += 40_000) stream.stdin.write(sent.subarray(at, at + 40_000));
  stream.stdin.end();
  assert.equal(sha256(await received), sha256(sent));
  assert.deepEqual(await stream.exit, { kind: 'status', status: 0 });
}

interface SlowReader {
  readonly pid: number;
  /** Reads on; gives how much came altogether and the exit status. */
  finish(): Promise<{ bytes: number; code: number | null }>;
}

/** pine-rsh with a reader that takes `first` bytes and then nothing for a while. */
async function openSlowReader(
  scope: Scope,
  build: Build,
  { home }: Sharing,
  command: string,
  first: number,
): Promise<SlowReader> {
  const child = spawn(build.rshPath, ['work', command], {
    env: home.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { pid } = child;
  assert.ok(pid !== undefined);
  defer(scope, () => signalProcess(pid, 'SIGKILL'));
  let bytes = 0;
  let limit = first;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes >= limit) child.stdout.pause();
  });
  await waitUntil('the first bytes', () => bytes >= first);
  const closed = once(child, 'close');
  return {
    pid,
    finish: async () => {
      limit = Number.POSITIVE_INFINITY;
      child.stdout.resume();
      const [code] = await within('the end of the stream', closed, { timeout: 60_000 });
      return { bytes, code };
    },
  };
}

for (const build of BUILDS) {
  describe(`A broker under load (${build.name})`, { skip: NEEDS || build.skip }, () => {
    test('Two hundred sessions carry their data unharmed past one that nobody reads', async (t) => {
      const sharing = await openSharing(t, build, { sshd: { config: ['MaxSessions 300'] } });
      const held = await sharing.open();
      const stalled = await openSlowReader(t, build, sharing, `head -c ${20 * MIB} /dev/zero`, 100_000);
      for (let done = 0; done < MANY; done += BATCH) {
        await within('a batch of sessions', Promise.all(Array.from({ length: BATCH }, () => echo(sharing))));
      }
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      assert.deepEqual(await stalled.finish(), { bytes: 20 * MIB, code: 0 });
      const { connections } = await sharing.broker(({ sessions }) => sessions === 1);
      assert.equal(connections, 1);
      assert.equal(sharing.logins(), 1);
    });

    test('A server that allows two sessions on a connection gets as many connections as it takes', async (t) => {
      const sharing = await openSharing(t, build, { sshd: { config: ['MaxSessions 2'] } });
      const sessions = await Promise.all(Array.from({ length: 6 }, () => sharing.open()));
      for (const { imap } of sessions) assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
      const { connections } = await sharing.broker();
      assert.ok(connections >= 3 && connections <= 4, `${connections} connections`);
      for (const session of sessions) await sharing.leave(session);
      await sharing.broker((each) => each.connections === 1 && each.sessions === 0);
      await sharing.leave(await sharing.open());
      assert.ok(!sharing.routes().includes('direct'), sharing.home.log());
    });

    test('A server that drops logins at random is asked again', async (t) => {
      const sharing = await openSharing(t, build, { sshd: { config: ['MaxStartups 2:50:5'] } });
      const { host, home } = sharing;
      const names = Array.from({ length: 6 }, (_, index) => `work${index}`);
      for (const name of names) home.writeAlias(name, { ...host.aliasKeys, IMAPD: host.rimapd, PERSIST: 60 });
      const sessions = await Promise.all(names.map((name) => sharing.open([name, '-l', host.user])));
      for (const session of sessions) await sharing.leave(session);
      assert.deepEqual(new Set(sharing.routes()), new Set(['shared']), home.log());
    });

    test('A stream of 300 MiB past a slow reader takes little memory', async (t) => {
      const sharing = await openSharing(t, build, { alias: () => ({ WARM: 0 }) });
      const reader = await openSlowReader(t, build, sharing, `head -c ${STREAM_BYTES} /dev/zero`, 50 * MIB);
      const { pid } = await sharing.broker();
      await sleep(1_000);
      const half = { broker: peakMemoryOf(pid), client: peakMemoryOf(reader.pid) };
      const start = performance.now();
      // Asked while it lasts: a process that has ended tells nothing.
      const watch = setInterval(() => {
        try {
          half.client = Math.max(half.client, peakMemoryOf(reader.pid));
        } catch {
          // It ended between two looks; what was seen before counts, and is more than nothing.
        }
      }, 200);
      const ended = await reader.finish().finally(() => clearInterval(watch));
      const ms = performance.now() - start;
      assert.deepEqual(ended, { bytes: STREAM_BYTES, code: 0 });
      const peaks = { broker: peakMemoryOf(pid), client: half.client };
      t.diagnostic(
        `peak MiB: broker ${Math.round(peaks.broker / MIB)}, client ${Math.round(peaks.client / MIB)}; ${Math.round(250_000 / ms)} MiB/s`,
      );
      assert.ok(peaks.broker < BROKER_MEMORY_MAX, `broker: ${peaks.broker}`);
      assert.ok(peaks.client < CLIENT_MEMORY_MAX, `client: ${peaks.client}`);
    });
  });

  describe(`A broker with slow clients (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 3,
  }, () => {
    test('A reader that takes its time is not taken for a dead server', async (t) => {
      const sharing = await openSharing(t, build, {
        alias: () => ({ SERVER_ALIVE_INTERVAL: 1, SERVER_ALIVE_COUNT_MAX: 1 }),
      });
      const reader = await openSlowReader(t, build, sharing, `head -c ${20 * MIB} /dev/zero`, 1);
      // One interval, one probe and its answer's delay are 4 s.
      await sleep(5_000);
      assert.deepEqual(await reader.finish(), { bytes: 20 * MIB, code: 0 });
    });

    test('Input that the remote does not read yet waits, and none is lost', async (t) => {
      const sharing = await openSharing(t, build);
      const input = randomBytes(8 * MIB);
      const { code, stdout } = await runProgram(build.rshPath, ['work', 'sleep 1; sha256sum'], {
        env: sharing.home.env,
        input,
      });
      assert.equal(code, 0);
      assert.equal(stdout.toString().split(' ')[0], sha256(input));
    });

    test('A client that is killed takes its remote command along', async (t) => {
      const sharing = await openSharing(t, build);
      const held = await sharing.open();
      const child = runAsPine(t, build.rshPath, ['work', 'echo started; exec sleep 300'], {
        env: sharing.home.env,
      });
      await child.waitForText('started');
      child.kill('SIGKILL');
      await waitUntil('the remote command ends', () =>
        sharing.host.remoteProcesses().every(({ command }) => command !== 'sleep 300'),
      );
      assert.equal((await held.imap.ask('NOOP')).status, 'OK');
      assert.equal((await sharing.broker()).sessions, 1);
      await sharing.leave(held);
    });
  });
}
