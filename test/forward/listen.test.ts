/** The local end of a forward, where it cannot be had; and what status learns of the forwards that run. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, Server, Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Failure } from '../../src/errors.ts';
import { parseForwardSpec } from '../../src/forward/forward-spec.ts';
import { openListener } from '../../src/forward/listen.ts';
import { canTellPeers, readPeerUid } from '../../src/forward/peer.ts';
import { type ForwardRecord, formatForward, listForwards, openRecord } from '../../src/forward/record.ts';
import { FORWARD_RECORD_MAX } from '../../src/limits.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { openTempHome } from '../helpers/temp-home.ts';

const UID = process.getuid?.() ?? 0;
const onPort = (port: number) => openListener(parseForwardSpec(`${port}:mail:25`), UID, () => {});
const onSocket = (path: string) => openListener(parseForwardSpec(`${path}:mail:25`), UID, () => {});

/** listen(2) fails in this way for the addresses that `which` fits. */
function breakListen(t: TestContext, code: string, which: (host: string) => boolean): void {
  const { listen } = Server.prototype;
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: unknown[]): Server {
    const [options] = args as [{ host?: string }];
    if (!which(options.host ?? '')) return Reflect.apply(listen, this, args);
    process.nextTick(() => this.emit('error', Object.assign(new Error(code), { code })));
    return this;
  });
}

test('a machine without IPv6 is listened on over IPv4 alone', async (t) => {
  for (const code of ['EAFNOSUPPORT', 'EADDRNOTAVAIL']) {
    breakListen(t, code, (host) => host === '::1');
    const port = await findFreePort();
    const listening = await onPort(port);
    assert.deepEqual(listening.addresses, [`127.0.0.1:${port}`]);
    listening.close();
    t.mock.reset();
  }
});

for (const [code, says, remedy] of [
  ['EACCES', /not permitted/, /ports below 1024 are for root/],
  ['EADDRINUSE', /another program has it/, /ss -ltnp/],
  ['EADDRNOTAVAIL', /EADDRNOTAVAIL/, /choose another port/],
] as const) {
  test(`a port that cannot be had says why: ${code}`, async (t) => {
    const port = await findFreePort();
    breakListen(t, code, (host) => host === '127.0.0.1');
    await assert.rejects(onPort(port), (thrown) => {
      assert.ok(thrown instanceof Failure);
      assert.equal(thrown.code, 'listen-failed');
      assert.match(thrown.message, says);
      assert.match(thrown.hint, remedy);
      return true;
    });
  });
}

test('where the one address is taken the other one is let go', async () => {
  const port = await findFreePort();
  const other = createServer().listen(port, '::1');
  await once(other, 'listening');
  await assert.rejects(onPort(port), { code: 'listen-failed' });
  other.close();
  await once(other, 'close');
  (await onPort(port)).close();
});

test('a socket is not made where its path is too long, or something else lies', async (t) => {
  const dir = makeTempDir(t, 'listen');
  await assert.rejects(onSocket(join(dir, 'x'.repeat(100))), /longer than \d+ bytes/);
  const file = join(dir, 'file');
  writeFileSync(file, 'mine');
  await assert.rejects(onSocket(file), /is not a socket of yours/);
});

test('a socket that is another one by now is left when the forward ends', async (t) => {
  const path = join(makeTempDir(t, 'listen'), 's');
  const first = await onSocket(path);
  rmSync(path);
  const second = await onSocket(path);
  first.close();
  const third = onSocket(path);
  await assert.rejects(third, /another program has it/);
  second.close();
  (await onSocket(path)).close();
});

test('a connection that is closed, or was never one, belongs to nobody', async () => {
  assert.equal(await canTellPeers(UID), true);
  assert.equal(await canTellPeers(UID + 1), false);
  assert.equal(await readPeerUid(new Socket()), undefined);
});

function recordOf(age_s: number): ForwardRecord {
  const forwards = [
    { listen: ['127.0.0.1:2025', '[::1]:2025'], target: 'mail:25', dialogue: 'smtp' },
  ] as const;
  return { alias: 'work', pid: process.pid, age_s, open: 0, served: 0, refused: 0, forwards };
}

function openSettings(t: TestContext): { settings: Settings; dir: string } {
  const home = openTempHome(t);
  return { settings: readSettings(home.env), dir: home.runtimeDir };
}

/** A socket in the runtime folder that says this to whoever connects. */
async function speak(t: TestContext, path: string, text: string): Promise<void> {
  const server = createServer((socket) => void socket.on('error', () => {}).end(text));
  server.listen(path);
  await once(server, 'listening');
  t.after(() => server.close());
}

test('forwards are listed the oldest first, and what is none, is dead or says too much is not', async (t) => {
  const { settings, dir } = openSettings(t);
  const record = await openRecord(settings, () => recordOf(5));
  await speak(t, join(dir, 'f-1'), JSON.stringify(recordOf(60)));
  await speak(t, join(dir, 'f-2'), 'no JSON');
  await speak(t, join(dir, 'f-3'), `"${'x'.repeat(2 * FORWARD_RECORD_MAX)}"`);
  writeFileSync(join(dir, 'f-4'), '');
  mkdirSync(join(dir, 'f-five'));
  assert.deepEqual(await listForwards(settings), [recordOf(60), recordOf(5)]);
  assert.ok(!readdirSync(dir).includes('f-4'), 'nobody answers there');
  record.close();
  assert.deepEqual(await listForwards(settings), [recordOf(60)]);
});

test('without a safe folder for it a forward runs all the same, and is not listed', async (t) => {
  const { settings } = openSettings(t);
  const unsafe = { ...settings, runtimeDirs: [] };
  const record = await openRecord(unsafe, () => recordOf(5));
  assert.deepEqual(await listForwards(unsafe), []);
  record.close();
});

test('a record that is another one by now is left when the forward ends', async (t) => {
  const { settings, dir } = openSettings(t);
  const first = await openRecord(settings, () => recordOf(1));
  rmSync(join(dir, `f-${process.pid}`));
  const second = await openRecord(settings, () => recordOf(2));
  first.close();
  assert.deepEqual(await listForwards(settings), [recordOf(2)]);
  second.close();
});

test('a forward is shown with its language, unless nobody knows it', () => {
  const listen = ['127.0.0.1:2025'];
  assert.equal(
    formatForward({ listen, target: 'mail:25', dialogue: 'smtp' }),
    '127.0.0.1:2025 to mail:25 (smtp)',
  );
  assert.equal(formatForward({ listen, target: 'mail:465', dialogue: 'any' }), '127.0.0.1:2025 to mail:465');
});
