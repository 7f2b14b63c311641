/**
 * What listens at SSH_AUTH_SOCK may be no agent at all, or one that means harm. A mailbox opens with the key file beside
 * it, or Pine gets a reason within the time it has been given.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { encodeStrings, encodeUint32 } from '../../src/transport/ssh-wire.ts';
import { BUILDS } from '../helpers/builds.ts';
import { makeKeyFile } from '../helpers/key-files.ts';
import { openMailHost } from '../helpers/mail-host.ts';
import { pineWords, settleOpening } from '../helpers/pine-caller.ts';
import { peakMemoryOf } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { openTrialHome } from '../helpers/trials.ts';

/** draft-miller-ssh-agent section 5.1. */
const LIST = 11;
const LISTED = 12;
const SIGNED = 14;

const MEMORY_MAX = 250 * 1024 * 1024;
const PATIENCE = { timeout: 60_000 };

/** Gets each request's type, and the host's key that would be let in. */
type Answer = (socket: Socket, type: number, wanted: Buffer) => void;

function message(type: number, ...fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.of(type), ...fields]);
  return Buffer.concat([encodeUint32(body.length), body]);
}

function listOf(...blobs: readonly Buffer[]): Buffer {
  return message(LISTED, encodeUint32(blobs.length), ...blobs.map((blob) => encodeStrings(blob, 'key')));
}

const someKey = (number: number): Buffer => encodeStrings('ssh-ed25519', Buffer.alloc(32, number % 256));

/** Lists the key that the host takes, and leaves its signature to `onSign`. */
const signing =
  (onSign: (socket: Socket) => void): Answer =>
  (socket, type, wanted) =>
    type === LIST ? void socket.write(listOf(wanted)) : onSign(socket);

const NEVER_SIGNS = signing(() => {});

const AGENTS: Readonly<Record<string, Answer>> = {
  'never answers': () => {},
  'answers with a web page': (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  'closes the connection': (socket) => void socket.end(),
  'promises four gigabytes': (socket) => {
    const more = (): void => {
      while (socket.writable && socket.write(Buffer.alloc(65_536, 0xff)));
    };
    socket.on('drain', more);
    more();
  },
  'promises more keys than it lists': (socket) =>
    void socket.write(message(LISTED, encodeUint32(0xffffffff))),
  'lists a key of four gigabytes': (socket) =>
    void socket.write(message(LISTED, encodeUint32(1), encodeUint32(0xffffffff))),
  'stops in the middle of its list': (socket, _, wanted) => void socket.write(listOf(wanted).subarray(0, 30)),
  'lists a thousand keys': (socket) =>
    void socket.write(listOf(...Array.from({ length: 1_000 }, (_, number) => someKey(number)))),
  'lists the same key a thousand times': (socket, _, wanted) =>
    void socket.write(listOf(...Array.from({ length: 1_000 }, () => wanted))),
  'never signs': NEVER_SIGNS,
  'closes when it should sign': signing((socket) => void socket.end()),
  'signs with garbage': signing((socket) => void socket.write(message(SIGNED, encodeStrings('x')))),
  'signs with another key': signing((socket) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const signature = encodeStrings('ssh-ed25519', sign(null, Buffer.from('x'), privateKey));
    socket.write(message(SIGNED, encodeStrings(signature)));
  }),
};

async function openAgent(scope: Scope, answer: Answer, wanted: Buffer): Promise<string> {
  const path = join(makeTempDir(scope, 'agent'), 'socket');
  const server = createServer((socket) => {
    defer(scope, () => socket.destroy());
    socket.on('error', () => {});
    socket.once('data', (data) => answer(socket, data[4] ?? 0, wanted));
  });
  server.listen(path);
  await once(server, 'listening');
  defer(scope, () => void server.close());
  return path;
}

for (const build of BUILDS) {
  describe(`An agent that is none (${build.name})`, {
    skip: requirePrograms('sshd', 'imap', 'ssh-keygen') || build.skip,
    concurrency: true,
  }, () => {
    const open = async (t: TestContext, answer: Answer, alone: boolean): Promise<string | undefined> => {
      const host = await openMailHost(t);
      const publicKey = readFileSync(`${host.identityFile}.pub`, 'utf8').split(' ')[1] ?? '';
      const home = openTrialHome(t, {
        SSH_AUTH_SOCK: await openAgent(t, answer, Buffer.from(publicKey, 'base64')),
      });
      home.writeAlias('work', {
        ...host.aliasKeys,
        ...(alone ? { IDENTITY_FILE: makeKeyFile(home.dir, 'other', { type: 'ed25519' }) } : {}),
        IMAPD: host.rimapd,
        SHARE: 'no',
        CONNECT_TIMEOUT: 8,
      });
      const child = runAsPine(t, build.rshPath, pineWords('work', host.user), { env: home.env, cwd: '/' });
      await child.waitForLine(PATIENCE);
      assert.ok(peakMemoryOf(child.pid) < MEMORY_MAX);
      const refusal = await settleOpening(child, PATIENCE);
      if (refusal !== undefined) return refusal;
      child.write('a1 LOGOUT\r\n');
      assert.equal((await child.finish()).code, 0);
      return undefined;
    };

    for (const [what, answer] of Object.entries(AGENTS)) {
      test(`It ${what}, and a key file opens the mailbox`, async (t) => {
        assert.equal(await open(t, answer, false), undefined);
      });

      // A key that has to be touched may take the whole time of an opening, which is tested with a silent imapd.
      if (answer === NEVER_SIGNS) continue;
      test(`It ${what}, and no key file helps`, async (t) => {
        const text = await open(t, answer, true);
        assert.match(text ?? 'a mailbox', /accepted no key|hung up after \d+ keys/);
      });
    }
  });
}
