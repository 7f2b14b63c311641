/** What is behind SSH_AUTH_SOCK may be no agent, an old one, or one that does not answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AgentKey, listAgentKeys } from '../../src/transport/agent.ts';
import { encodeStrings, encodeUint32 } from '../../src/transport/ssh-wire.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

const ALWAYS = new AbortController().signal;

/** Listens as an agent that gives each request the next of these answers, in these pieces. */
async function openAgent(t: TestContext, ...answers: readonly (readonly Buffer[])[]): Promise<string> {
  const path = join(makeTempDir(t, 'agent'), 's');
  const left = [...answers];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', async () => {
      const pieces = left.shift();
      if (pieces === undefined) socket.end();
      // One after the other: each has to come as a piece of its own.
      for (const piece of pieces ?? [])
        await new Promise((done) => socket.write(piece, () => setImmediate(done)));
    });
  });
  server.listen(path);
  await once(server, 'listening');
  t.after(() => server.close());
  return path;
}

/** A message: its length, its type, its fields (draft-miller-ssh-agent section 3). */
function message(type: number, ...fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.of(type), ...fields]);
  return Buffer.concat([encodeUint32(body.length), body]);
}

const BLOB = encodeStrings('ssh-ed25519', 'x'.repeat(32));
const LIST = message(12, encodeUint32(2), encodeStrings(BLOB, 'pat@laptop', 'no key', ''));

async function listOne(path: string): Promise<AgentKey> {
  const [key] = (await listAgentKeys(path)).keys ?? [];
  assert.ok(key !== undefined);
  return key;
}

async function whyNot(t: TestContext, ...pieces: readonly Buffer[]): Promise<string> {
  const listed = await listAgentKeys(await openAgent(t, ...(pieces.length > 0 ? [pieces] : [])));
  assert.ok(listed.keys === undefined);
  return listed.why;
}

test('the keys are read however the answer was cut, those that are none among them', async (t) => {
  for (const cut of [2, 5, 20]) {
    const path = await openAgent(t, [LIST.subarray(0, cut), LIST.subarray(cut)]);
    const { keys } = await listAgentKeys(path);
    assert.deepEqual(
      keys?.map(({ type, comment }) => [type, comment]),
      [
        ['ssh-ed25519', 'pat@laptop'],
        ['', ''],
      ],
    );
  }
});

test('what is no agent, refuses, breaks off or promises more than it says has no keys', async (t) => {
  assert.equal(await whyNot(t, Buffer.from('HTTP/1.1 400 Bad Request\r\n')), 'it is no agent');
  assert.equal(await whyNot(t, message(5)), 'it refused');
  assert.equal(await whyNot(t, message(14)), 'it answered with type 14');
  assert.equal(await whyNot(t), 'it closed the connection');
  assert.match(await whyNot(t, message(12, encodeUint32(1))), /a value goes beyond the end/);
  const gone = await listAgentKeys(join(makeTempDir(t, 'agent'), 'gone'));
  assert.ok(gone.keys === undefined);
  assert.match(gone.why, /ENOENT/);
});

test('a signature is given, or refused with a reason', async (t) => {
  const key = await listOne(
    await openAgent(t, [LIST], [message(14, encodeStrings('signature'))], [message(5)]),
  );
  assert.equal((await key.sign(Buffer.from('data'), 0, ALWAYS)).toString(), 'signature');
  await assert.rejects(key.sign(Buffer.from('data'), 0, ALWAYS), /it refused/);
});

test('nobody waits for a signature that is not wanted any more', async (t) => {
  const key = await listOne(await openAgent(t, [LIST], []));
  await assert.rejects(key.sign(Buffer.from('data'), 0, AbortSignal.abort()), /no answer/);
  const patience = new AbortController();
  const signing = key.sign(Buffer.from('data'), 0, patience.signal);
  patience.abort();
  await assert.rejects(signing, /no answer/);
});
