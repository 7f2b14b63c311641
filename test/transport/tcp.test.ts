/** TCP to a host that is not there, one way or another. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openTcp } from '../../src/transport/tcp.ts';
import { findFreePort } from '../helpers/free-port.ts';

const ALWAYS = new AbortController().signal;

/** What becomes of a connection whose making fails in this way. */
async function failWith(t: TestContext, error: Error): Promise<Error & { code?: string; hint?: string }> {
  t.mock.method(Socket.prototype, 'connect', function (this: Socket): Socket {
    process.nextTick(() => this.destroy(error));
    return this;
  });
  return await openTcp('mail', 22, 0, ALWAYS, 'gateway ').then(
    () => assert.fail('connected'),
    (thrown) => thrown,
  );
}

const system = (code: string) => Object.assign(new Error(code), { code });

test('a connection is made, and what breaks it later ends nothing else', async (t) => {
  const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const socket = await openTcp('127.0.0.1', (server.address() as { port: number }).port, 4, ALWAYS);
  socket.resume().write('hello');
  await new Promise((resolve) => socket.once('close', resolve));
});

test('a port where nobody listens refuses, by all addresses of its name', async () => {
  const port = await findFreePort();
  for (const host of ['127.0.0.1', 'localhost']) {
    await assert.rejects(openTcp(host, port, 0, ALWAYS), {
      code: 'tcp-refused',
      message: `${host}:${port} refused the connection`,
    });
  }
});

for (const [error, code, says] of [
  [system('ENOTFOUND'), 'dns-failed', /gateway mail/],
  [system('EMFILE'), 'out-of-resources', /file descriptors \(EMFILE\)/],
  [system('ENFILE'), 'out-of-resources', /file descriptors \(ENFILE\)/],
  [system('EHOSTUNREACH'), 'tcp-failed', /gateway mail:22.*EHOSTUNREACH/],
  [new Error('no code'), 'tcp-failed', /no code/],
  [new AggregateError([system('ECONNREFUSED'), system('ENETUNREACH')]), 'tcp-failed', /ENETUNREACH/],
] as const) {
  test(`why a host cannot be reached is told apart: ${code}, ${says.source}`, async (t) => {
    const failure = await failWith(t, error);
    assert.equal(failure.code, code);
    assert.match(failure.message, says);
  });
}

for (const [host, family] of [
  ['127.0.0.1', 6],
  ['::1', 4],
  ['fe80::1%lo', 4],
] as const) {
  test(`an address is not connected to over the other family: ${host} with -${family}`, async (t) => {
    const connect = t.mock.method(Socket.prototype, 'connect');
    await assert.rejects(openTcp(host, 22, family, ALWAYS, 'gateway '), {
      code: 'family-mismatch',
      message: `gateway ${host} is no IPv${family} address`,
      hint: `leave out -${family}, or change HOSTNAME`,
    });
    assert.equal(connect.mock.callCount(), 0);
  });
}

test('nobody connects for what is not wanted any more', async (t) => {
  const connect = t.mock.method(Socket.prototype, 'connect');
  const gone = new Error('gone');
  await assert.rejects(openTcp('127.0.0.1', 22, 0, AbortSignal.abort(gone)), gone);
  assert.equal(connect.mock.callCount(), 0);
  connect.mock.mockImplementation(function (this: Socket): Socket {
    return this;
  });
  const leave = new AbortController();
  const opening = openTcp('127.0.0.1', 22, 0, leave.signal);
  leave.abort(gone);
  await assert.rejects(opening, gone);
});
