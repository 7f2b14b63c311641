import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import ssh2 from 'ssh2';
import { Failure } from '../../src/errors.ts';
import {
  checkHostKey,
  createHostVerifier,
  formatFingerprint,
  type HostKeyContext,
  type HostKeyPolicy,
  hostKeyAlgorithms,
  readKnownHosts,
} from '../../src/transport/host-key.ts';
import { judgeHostKey, nameHost } from '../../src/transport/known-hosts.ts';
import { listSkippedLines, parseKnownHosts } from '../../src/transport/known-hosts-file.ts';
import { recordHostKey } from '../../src/transport/known-hosts-writer.ts';
import { expectFailure } from '../alias/check-failure.ts';
import { asOrdinaryUser, giveAway, needsRoot, UID } from '../alias/other-user.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { encodeFields, fakeKey, hashedName, keyWords, makePolicy } from './host-key-material.ts';

const KEY = fakeKey('ssh-ed25519', 'the key');
const OTHER = fakeKey('ssh-ed25519', 'another key');
const RSA = fakeKey('ssh-rsa', 'an RSA key');
const ECDSA = fakeKey('ecdsa-sha2-nistp256', 'an ECDSA key');
const [K, O, R, E] = [KEY, OTHER, RSA, ECDSA].map(keyWords) as [string, string, string, string];
const HOST = 'mail.example.org';
const PIN = formatFingerprint(KEY);
const CONTEXT: HostKeyContext = { settings: { uid: UID }, log: { record: () => {} } };

const parse = (text: string) => [parseKnownHosts(text, '/kh')];

describe('reading known_hosts', () => {
  const read = (file: string, uid = UID) => readKnownHosts({ knownHosts: [file] }, { settings: { uid } });

  it('takes the files in order and leaves out those that do not exist', (t) => {
    const dir = makeTempDir(t, 'host-key');
    const [one, two] = [join(dir, 'one'), join(dir, 'two')];
    writeFileSync(one, 'a');
    writeFileSync(two, 'b\xff', 'latin1');
    assert.deepEqual(
      readKnownHosts(
        { knownHosts: [two, join(dir, 'none'), join(dir, 'no/folder'), one, '/dev/null'] },
        CONTEXT,
      ),
      [
        { file: two, text: 'b\xff' },
        { file: one, text: 'a' },
      ],
    );
  });

  it('takes a link to a file', (t) => {
    const dir = makeTempDir(t, 'host-key');
    writeFileSync(join(dir, 'file'), 'a');
    symlinkSync('file', join(dir, 'link'));
    assert.equal(read(join(dir, 'link'))[0]?.text, 'a');
  });

  it('refuses what others can write to, and says how to mend it', (t) => {
    const file = join(makeTempDir(t, 'host-key'), 'known_hosts');
    writeFileSync(file, '');
    for (const mode of [0o620, 0o602, 0o666]) {
      chmodSync(file, mode);
      expectFailure(() => read(file), { code: 'file-untrusted', hint: `run: chmod go-w ${file}` });
    }
    chmodSync(file, 0o644);
    assert.equal(read(file).length, 1);
  });

  it('refuses a file in a folder that others can write to', (t) => {
    const dir = join(makeTempDir(t, 'host-key'), 'shared');
    mkdirSync(dir);
    chmodSync(dir, 0o777);
    const file = join(dir, 'known_hosts');
    writeFileSync(file, '', { mode: 0o600 });
    expectFailure(() => read(file), { code: 'file-untrusted' });
  });

  it('refuses a file of another user', { skip: needsRoot }, (t) => {
    const file = join(makeTempDir(t, 'host-key'), 'known_hosts');
    writeFileSync(file, '', { mode: 0o600 });
    giveAway(file);
    expectFailure(() => read(file), { code: 'file-untrusted' });
  });

  it('fails on what cannot be read, rather than know fewer hosts', (t) => {
    const dir = makeTempDir(t, 'host-key');
    chmodSync(dir, 0o755);
    const file = join(dir, 'known_hosts');
    writeFileSync(file, '', { mode: 0o000 });
    if (UID === 0) giveAway(file);
    asOrdinaryUser((uid) => expectFailure(() => read(file, uid), { code: 'file-unreadable' }));
    expectFailure(() => read(dir), { code: 'file-unusable' });
  });
});

describe('the check of a host key', () => {
  const check = (text: string, changes: Partial<HostKeyPolicy> = {}, blob = KEY) =>
    checkHostKey(makePolicy(changes), parse(text), blob);

  it('passes a known key', () => {
    assert.equal(check(`${HOST} ${K}\n`), 'known');
    assert.equal(check(`[${HOST}]:2222 ${K}\n`, { port: 2222 }), 'known');
    assert.equal(check(`work ${K}\n`, { hostKeyAlias: 'work', port: 2222 }), 'known');
  });

  it('tells an unknown host with the key it sent and what to run', () => {
    expectFailure(() => check(''), {
      code: 'host-key-unknown',
      message: `host key of ${HOST} is not known: ssh-ed25519 ${PIN}`,
      hint: /pine-rshctl trust work$/,
    });
    expectFailure(() => check('', { hostname: '::1', port: 2222 }), {
      code: 'host-key-unknown',
      message: /^host key of \[::1\]:2222 is not known/,
    });
  });

  it('tells a changed key with the place of the one expected', () => {
    expectFailure(() => check(`\n${HOST} ${O}\n`), {
      code: 'host-key-changed',
      message: `host key of ${HOST} changed: it sent ssh-ed25519 ${PIN}, /kh:2 holds another`,
    });
    expectFailure(() => check(`${HOST} ${R}\n`), {
      code: 'host-key-changed',
      message: /\/kh:1 holds another/,
    });
  });

  it('tells a revoked key', () => {
    expectFailure(() => check(`${HOST} ${K}\n@revoked * ${K}\n`), {
      code: 'host-key-revoked',
      message: `host key of ${HOST} is revoked by /kh:2`,
    });
  });

  it('takes a new key with accept-new, but never another one', () => {
    const acceptNew = { strictHostKeyChecking: 'accept-new' } as const;
    assert.equal(check('', acceptNew), 'new');
    assert.equal(check(`news ${O}\n`, acceptNew), 'new');
    assert.equal(check(`${HOST} ${K}\n`, acceptNew), 'known');
    expectFailure(() => check(`${HOST} ${O}\n`, acceptNew), { code: 'host-key-changed' });
    expectFailure(() => check(`${HOST} ${R}\n`, acceptNew), { code: 'host-key-changed' });
    expectFailure(() => check(`* ${R}\n`, acceptNew), { code: 'host-key-changed' });
    expectFailure(() => check(`@revoked * ${K}\n`, acceptNew), { code: 'host-key-revoked' });
    // Stricter than ssh, which would take this one.
    expectFailure(() => check(`@revoked ${HOST} ${K}\n`, { ...acceptNew, port: 2222 }), {
      code: 'host-key-revoked',
    });
  });

  it('with HOST_KEY_FINGERPRINT allows that key alone, known or not, unless it is revoked', () => {
    const pinned = { hostKeyFingerprint: PIN };
    assert.equal(check('', pinned), 'pinned');
    assert.equal(check(`${HOST} ${O}\n`, pinned), 'pinned');
    expectFailure(() => check(`${HOST} ${O}\n`, pinned, OTHER), {
      code: 'host-key-pin',
      message: `host key of ${HOST} is ${formatFingerprint(OTHER)}, not the one in HOST_KEY_FINGERPRINT`,
    });
    expectFailure(() => check('', { ...pinned, strictHostKeyChecking: 'accept-new' }, OTHER), {
      code: 'host-key-pin',
    });
    expectFailure(() => check(`@revoked ${HOST} ${K}\n`, pinned), { code: 'host-key-revoked' });
    expectFailure(() => check(`[${HOST}]:2222 ${O}\n@revoked ${HOST} ${K}\n`, { ...pinned, port: 2222 }), {
      code: 'host-key-revoked',
    });
  });

  it('refuses what is no key', () => {
    for (const blob of [Buffer.alloc(0), Buffer.from('ssh-ed25519'), encodeFields('a b\n')]) {
      expectFailure(() => check(`${HOST} ${K}\n`, {}, blob), {
        code: 'host-key-changed',
        message: /it sent malformed key SHA256:/,
      });
    }
  });

  it('prints fingerprints as ssh-keygen does', { skip: requirePrograms('ssh-keygen') }, (t) => {
    const file = join(makeTempDir(t, 'host-key'), 'key');
    makeKey('ecdsa', file);
    const printed = spawnSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' }).stdout.split(' ')[1];
    const blob = Buffer.from(readFileSync(`${file}.pub`, 'utf8').split(' ')[1] ?? '', 'base64');
    assert.equal(formatFingerprint(blob), printed);
  });
});

describe('the algorithms for the host key', () => {
  const ALL = [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ];
  const cases: readonly (readonly [
    title: string,
    text: string,
    first: readonly string[],
    changes?: Partial<HostKeyPolicy>,
  ])[] = [
    ['of an unknown host come in our order', `news ${R}\n`, []],
    ['of a known RSA key come first', `${HOST} ${R}\n`, ['rsa-sha2-512', 'rsa-sha2-256']],
    [
      'of known keys come first, in our order',
      `${HOST} ${R}\n${hashedName(HOST)} ${E}\n`,
      ['ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'],
    ],
    [
      'of a port go before those without',
      `${HOST} ${R}\n[${HOST}]:2222 ${E}\n`,
      ['ecdsa-sha2-nistp256'],
      { port: 2222 },
    ],
    [
      'of an entry without port count for any',
      `${HOST} ${R}\n`,
      ['rsa-sha2-512', 'rsa-sha2-256'],
      { port: 2222 },
    ],
    [
      'of HOST_KEY_ALIAS count',
      `work ${E}\n${HOST} ${R}\n`,
      ['ecdsa-sha2-nistp256'],
      { hostKeyAlias: 'work' },
    ],
    [
      'of a revoked key and an authority do not count',
      `${HOST} ${R}\n@revoked * ${R}\n@cert-authority * ${E}\n`,
      [],
    ],
    ['of a type we do not speak do not count', `${HOST} ${keyWords(encodeFields('ssh-new', 'x'))}\n`, []],
    [
      'of the pinned key come first',
      `${HOST} ${K}\n${HOST} ${R}\n`,
      ['rsa-sha2-512', 'rsa-sha2-256'],
      { hostKeyFingerprint: formatFingerprint(RSA) },
    ],
  ];
  for (const [title, text, first, changes] of cases) {
    it(title, () => {
      const rest = ALL.filter((algorithm) => !first.includes(algorithm));
      assert.deepEqual(hostKeyAlgorithms(makePolicy(changes), parse(text)), [...first, ...rest]);
    });
  }
});

describe('the verifier', () => {
  const open = (text: string, changes: Partial<HostKeyPolicy> = {}, context = CONTEXT) =>
    createHostVerifier(makePolicy(changes), parse(text), context);

  it('answers true or false, keeps the failure, and does not change its mind', () => {
    const good = open(`${HOST} ${K}\n`);
    assert.equal(good.verify(KEY), true);
    assert.equal(good.failure, undefined);
    const bad = open(`${HOST} ${O}\n`);
    assert.equal(bad.verify(KEY), false);
    assert.equal(bad.failure?.code, 'host-key-changed');
    assert.equal(bad.verify(OTHER), false);
  });

  it('never throws, whatever it is given', () => {
    for (const junk of [undefined, null, '', 'SHA256:x', 0, {}, [], Buffer.alloc(0), new Uint8Array(KEY)]) {
      const verifier = open(`* ${O}\n`, { strictHostKeyChecking: 'accept-new' });
      assert.equal(verifier.verify(junk as Buffer), false);
      assert.ok(verifier.failure instanceof Failure);
    }
    const broken = createHostVerifier(makePolicy(), undefined as never, CONTEXT);
    assert.equal(broken.verify(KEY), false);
    assert.equal(broken.failure?.code, 'internal');
  });

  it('refuses another key in the course of a connection, even with accept-new', () => {
    const verifier = open('', { strictHostKeyChecking: 'accept-new' });
    const memory = Buffer.from(KEY);
    assert.equal(verifier.verify(memory), true);
    memory.fill(0);
    assert.equal(verifier.verify(KEY), true);
    assert.equal(verifier.verify(OTHER), false);
    assert.match(verifier.failure?.message ?? '', /the beginning of this connection holds another/);
    assert.equal(verifier.verify(KEY), false);
  });

  it('writes a new key down when told, once, and only a new one', (t) => {
    const file = join(makeTempDir(t, 'host-key'), 'ssh', 'known_hosts');
    const events: string[] = [];
    const context = { ...CONTEXT, log: { record: (event: string) => void events.push(event) } };
    const changes = { knownHosts: [file, '/other'], strictHostKeyChecking: 'accept-new' } as const;
    const verifier = open('', changes, context);
    verifier.recordNewKey();
    assert.equal(verifier.verify(KEY), true);
    assert.equal(existsSync(file), false);
    verifier.recordNewKey();
    verifier.recordNewKey();
    assert.equal(readFileSync(file, 'utf8'), `${HOST} ${K}\n`);
    assert.deepEqual(events, ['host-key-new']);

    for (const [text, more] of [
      [`${HOST} ${O}\n`, {}],
      ['', { hostKeyFingerprint: formatFingerprint(OTHER) }],
    ] as const) {
      const known = open(text, { ...changes, ...more }, context);
      assert.equal(known.verify(OTHER), true);
      known.recordNewKey();
    }
    assert.equal(readFileSync(file, 'utf8'), `${HOST} ${K}\n`);
  });

  it('logs a key that cannot be written, and lets the session go on', () => {
    for (const [file, expected] of [
      ['/proc/nowhere/known_hosts', ['host-key-not-written']],
      ['/dev/null', []],
    ] as const) {
      const events: string[] = [];
      const context = { ...CONTEXT, log: { record: (event: string) => void events.push(event) } };
      const verifier = open('', { knownHosts: [file], strictHostKeyChecking: 'accept-new' }, context);
      assert.equal(verifier.verify(KEY), true);
      verifier.recordNewKey();
      assert.deepEqual(events, expected);
    }
  });

  it('logs damaged lines when a key is refused: one may be the line that was meant', () => {
    const logged: object[] = [];
    const context = {
      ...CONTEXT,
      log: { record: (event: string, fields: object) => void logged.push({ event, ...fields }) },
    };
    open(`\n${HOST} ${K.slice(0, -8)}\ngarbage\n`, {}, context).verify(KEY);
    assert.deepEqual(logged, [
      { event: 'known-hosts-skipped', file: '/kh', lines: 2, line: 2, why: 'the key is cut or damaged' },
    ]);
  });
});

describe('ssh2', { skip: requirePrograms('sshd', 'ssh-keygen') }, () => {
  type Verify = (key: Buffer) => unknown;

  /** Connects with this verifier; 'ready' or the error's text. */
  function connect(
    server: { port: number; user: string; identityFile: string },
    verify: Verify,
  ): Promise<string> {
    const client = new ssh2.Client();
    return new Promise((resolve) => {
      client.on('ready', () => {
        client.end();
        resolve('ready');
      });
      client.on('error', (error: Error) => resolve(error.message));
      client.connect({
        host: '127.0.0.1',
        port: server.port,
        username: server.user,
        privateKey: readFileSync(server.identityFile),
        hostVerifier: verify as never,
      });
    });
  }

  it('accepts a host unless the verifier returns false itself', async (t) => {
    const server = await openRealSshd(t);
    // Why `verify` is a plain function that returns a boolean: every one of these was meant as a no.
    for (const no of [() => 0, () => null, () => '', async () => false] satisfies Verify[]) {
      assert.equal(await connect(server, no), 'ready');
    }
    assert.match(await connect(server, () => false), /verification failed/);
  });

  it('goes through with a known host, and offers no login to any other', async (t) => {
    const server = await openRealSshd(t);
    const policy = makePolicy({
      hostname: '127.0.0.1',
      port: server.port,
      knownHosts: [server.knownHostsFile],
    });
    const known = createHostVerifier(policy, readKnownHosts(policy, CONTEXT), CONTEXT);
    assert.equal(await connect(server, known.verify), 'ready');
    const before = server.log();
    assert.match(before, /Accepted publickey/);

    for (const [text, changes, code] of [
      ['', {}, 'host-key-unknown'],
      [`[127.0.0.1]:${server.port} ${O}\n`, {}, 'host-key-changed'],
      [`[127.0.0.1]:${server.port} ${O}\n`, { strictHostKeyChecking: 'accept-new' }, 'host-key-changed'],
      ['', { hostKeyFingerprint: PIN }, 'host-key-pin'],
      [
        Object.values(server.hostKeys)
          .map((key) => `@revoked * ${key}\n`)
          .join(''),
        {},
        'host-key-revoked',
      ],
    ] as const) {
      const verifier = createHostVerifier({ ...policy, ...changes }, parse(text), CONTEXT);
      assert.match(await connect(server, verifier.verify), /verification failed/);
      assert.equal(verifier.failure?.code, code);
    }
    assert.doesNotMatch(server.log().slice(before.length), /publickey|Accepted/);
  });
});

describe('writing a new key', () => {
  it('makes folder and file for us alone, and adds to what is there', (t) => {
    const folder = join(makeTempDir(t, 'host-key'), '.ssh');
    const file = join(folder, 'known_hosts');
    assert.equal(recordHostKey(file, nameHost(HOST, 22), KEY, UID), true);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(file).mode & 0o777, 0o600);

    writeFileSync(file, `news ${O}`);
    chmodSync(file, 0o644);
    assert.equal(recordHostKey(file, nameHost(HOST, 2222), RSA, UID), true);
    assert.equal(readFileSync(file, 'utf8'), `news ${O}\n[${HOST}]:2222 ${R}\n`);
    assert.equal(statSync(file).mode & 0o777, 0o644);
  });

  it('hides the name where names are hidden', { skip: requirePrograms('ssh-keygen') }, (t) => {
    const file = join(makeTempDir(t, 'host-key'), 'known_hosts');
    writeFileSync(file, `${hashedName('news')} ${O}\n`);
    assert.equal(recordHostKey(file, nameHost(HOST, 22), KEY, UID), true);
    assert.doesNotMatch(readFileSync(file, 'utf8'), /example/);
    const found = spawnSync('ssh-keygen', ['-F', HOST, '-f', file], { encoding: 'utf8' });
    assert.match(found.stdout, /found: line 2/);
  });

  it('leaves a file alone that meanwhile knows the host', (t) => {
    const file = join(makeTempDir(t, 'host-key'), 'known_hosts');
    for (const text of [`${HOST} ${K}\n`, `${HOST} ${O}\n`, `* ${R}`, `@revoked * ${K}\n`]) {
      writeFileSync(file, text);
      assert.equal(recordHostKey(file, nameHost(HOST, 22), KEY, UID), false);
      assert.equal(readFileSync(file, 'utf8'), text);
    }
  });

  it('fails where it cannot or should not write', (t) => {
    const dir = makeTempDir(t, 'host-key');
    const record = (file: string, uid = UID) => recordHostKey(file, nameHost(HOST, 22), KEY, uid);
    expectFailure(() => record(dir), { code: 'file-unusable', message: /cannot be written \(EISDIR\)/ });
    expectFailure(() => record('/dev/full'), { code: 'file-unusable', message: /\(ENODEV\)/ });
    const shared = join(dir, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o777);
    expectFailure(() => record(join(shared, 'known_hosts')), { code: 'file-untrusted' });
    chmodSync(dir, 0o755);
    if (UID === 0) {
      asOrdinaryUser((uid) =>
        expectFailure(() => record(join(dir, 'known_hosts'), uid), {
          code: 'file-unusable',
          message: /EACCES/,
        }),
      );
    }
    assert.deepEqual(readdirSync(dir), ['shared']);
  });

  it('survives many writers at once: every line is whole', { timeout: 120_000 }, async (t) => {
    const WRITERS = 6;
    const HOSTS = 25;
    const dir = makeTempDir(t, 'host-key');
    const file = join(dir, 'known_hosts');
    writeFileSync(file, `news ${O}`);
    const program = join(dir, 'writer.ts');
    const source = (name: string) =>
      JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../src/transport', name)));
    writeFileSync(
      program,
      `import { nameHost } from ${source('known-hosts.ts')};
       import { recordHostKey } from ${source('known-hosts-writer.ts')};
       const key = Buffer.from(process.argv[3], 'base64');
       process.stdout.write('ready');
       process.stdin.once('data', () => {
         for (let each = 0; each < ${HOSTS}; each++) {
           for (const host of [\`writer\${process.argv[2]}-\${each}\`, \`all-\${each}\`]) {
             recordHostKey(${JSON.stringify(file)}, nameHost(host, 22), key, ${UID});
           }
         }
         process.stdin.destroy();
       });`,
    );
    const writers = Array.from({ length: WRITERS }, (_, index) =>
      spawn(process.execPath, ['--import', 'tsx', program, String(index), RSA.toString('base64')], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    await Promise.all(writers.map(({ stdout }) => once(stdout, 'data')));
    const ended = Promise.all(writers.map((writer) => once(writer, 'exit')));
    for (const { stdin } of writers) stdin.write('go');
    assert.deepEqual(await ended, Array(WRITERS).fill([0, null]));

    const files = [parseKnownHosts(readFileSync(file), file)];
    assert.deepEqual(files.flatMap(listSkippedLines), []);
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    for (let each = 0; each < HOSTS; each++) {
      for (let writer = 0; writer < WRITERS; writer++) {
        assert.equal(lines.filter((line) => line.startsWith(`writer${writer}-${each} `)).length, 1);
      }
      assert.equal(judgeHostKey(files, [`all-${each}`], RSA).kind, 'match');
    }
    t.diagnostic(`${lines.length - 1 - WRITERS * HOSTS} lines for ${HOSTS} common hosts`);
  });
});
