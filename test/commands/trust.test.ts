/** `trust` against a real sshd: what a person is shown, and what his answer does to known_hosts. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Output } from '../../src/commands/output.ts';
import { runTrust } from '../../src/commands/trust.ts';
import { Failure, type FailureCode } from '../../src/errors.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { displayWidth } from '../../src/terminal-columns.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { HOST_KEY_TYPES, type HostKeyType, makeKey } from '../helpers/host-keys.ts';
import { openRealSshd, type RealSshd, type SshdOptions } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { fakeKey, hashedName, keyWords } from '../transport/host-key-material.ts';
import { type Captured, captureOutput } from './capture.ts';

const skip = requirePrograms('sshd', 'ssh-keygen', 'ssh');
const STRANGER = keyWords(fakeKey('ssh-ed25519', 'stranger'));
const STRANGER_RSA = keyWords(fakeKey('ssh-rsa', 'stranger'));

interface Place {
  readonly server: RealSshd;
  readonly home: TempHome;
  readonly settings: Settings;
  readonly knownHosts: string;
  /** As known_hosts and messages call it. */
  readonly host: string;
  fingerprint(type: HostKeyType): string;
  read(): string;
}

async function openPlace(t: TestContext, keys: AliasKeys = {}, options: SshdOptions = {}): Promise<Place> {
  const server = await openRealSshd(t, options);
  const home = openTempHome(t);
  const knownHosts = join(home.dir, 'known_hosts');
  home.writeAlias('work', { ...server.aliasKeys, KNOWN_HOSTS: knownHosts, ...keys });
  return {
    server,
    home,
    settings: readSettings(home.env),
    knownHosts,
    host: `[127.0.0.1]:${server.port}`,
    fingerprint: (type) => fingerprintOf(server.hostKeys[type]),
    read: () => readFileSync(knownHosts, 'utf8'),
  };
}

/** As ssh-keygen has it, not as we do. */
function fingerprintOf(key: string): string {
  return (
    spawnSync('ssh-keygen', ['-l', '-f', '-'], { input: key, encoding: 'utf8' }).stdout.split(' ')[1] ?? ''
  );
}

/** Answers in turn, then the end of input. */
async function trust(
  { settings }: Place,
  answers: readonly string[],
  options: { alias?: string; fingerprint?: string; interactive?: boolean; columns?: number } = {},
): Promise<{ status: number; output: Captured; questions: string[] }> {
  const output = captureOutput({ columns: options.columns ?? 80 });
  const terminal: Output = { ...output, interactive: options.interactive ?? true };
  const questions: string[] = [];
  const left = [...answers];
  const status = await runTrust(
    settings,
    { alias: options.alias ?? 'work', fingerprint: options.fingerprint },
    terminal,
    async (question, { echo }) => {
      assert.ok(echo);
      questions.push(question);
      return left.shift();
    },
  );
  return { status, output, questions };
}

const fails =
  (code: FailureCode, pattern = /./) =>
  (thrown: unknown): boolean => {
    assert.ok(thrown instanceof Failure, String(thrown));
    assert.equal(thrown.code, code);
    assert.match(thrown.message, pattern);
    return true;
  };

/** Whether the real ssh would go on to the login. */
function sshAccepts({ server, knownHosts }: Place): boolean {
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${knownHosts}`];
  const words = [...options, 'GlobalKnownHostsFile=none', 'IdentitiesOnly=yes'].flatMap((each) => [
    '-o',
    each,
  ]);
  const done = spawnSync('ssh', [
    ...['-F', 'none', '-p', String(server.port), '-i', server.identityFile, '-l', server.user],
    ...words,
    '127.0.0.1',
    'true',
  ]);
  return done.status === 0;
}

test('an unknown host: all its keys are shown as ssh-keygen shows them, and recorded after a yes', {
  skip,
}, async (t) => {
  const place = await openPlace(t);
  const { status, output, questions } = await trust(place, ['YES']);
  assert.equal(status, 0);
  assert.deepEqual(questions, ['trust them (yes/no/fingerprint)? ']);
  for (const type of HOST_KEY_TYPES) {
    assert.match(output.text(), new RegExp(`^  ${type.toUpperCase()} +`, 'm'));
    assert.ok(output.text().includes(` ${place.fingerprint(type)}\n`), type);
  }
  assert.ok(output.text().endsWith(`recorded 3 keys in ${place.knownHosts}\n`), output.text());
  assert.equal(
    place.read(),
    HOST_KEY_TYPES.map((type) => `${place.host} ${place.server.hostKeys[type]}\n`).join(''),
  );
  assert.ok(sshAccepts(place));
  assert.doesNotMatch(
    place.server.log().split('Accepted publickey')[0] ?? '',
    /invalid user|Failed|userauth/,
  );
});

test('fetching keys sends no user name', { skip }, async (t) => {
  const place = await openPlace(t);
  await trust(place, ['no']);
  assert.match(place.server.log(), /Connection closed by 127\.0\.0\.1 port \d+ \[preauth\]/);
  assert.doesNotMatch(place.server.log(), new RegExp(`user ${place.server.user}`));
});

for (const [title, answers, said] of [
  ['no', ['no'], 'nothing was recorded\n'],
  ['the end of input', [], 'nothing was recorded\n'],
] as const) {
  test(`an unknown host stays unknown after ${title}`, { skip }, async (t) => {
    const place = await openPlace(t);
    const { status, output } = await trust(place, answers);
    assert.equal(status, 1);
    assert.ok(output.text().endsWith(said));
    assert.equal(existsSync(place.knownHosts), false);
  });
}

test('only a whole word is an answer', { skip }, async (t) => {
  const place = await openPlace(t);
  const { status, questions } = await trust(place, ['', 'y', 'ye', 'n', 'ja', 'SHA256:wrong', ' no ']);
  assert.equal(status, 1);
  assert.deepEqual(questions.slice(1, 3), [
    'please type the whole word (yes/no/fingerprint)? ',
    'please type the whole word (yes/no/fingerprint)? ',
  ]);
  assert.equal(questions[6], 'it has shown no such key (yes/no/fingerprint)? ');
});

test('a typed fingerprint trusts that key and no other', { skip }, async (t) => {
  const place = await openPlace(t);
  const { status, output } = await trust(place, [place.fingerprint('rsa')]);
  assert.equal(status, 0);
  assert.equal(place.read(), `${place.host} ${place.server.hostKeys.rsa}\n`);
  assert.match(output.text(), /^recorded 1 key in /m);
  assert.ok(sshAccepts(place));
});

test('--fingerprint needs no terminal and no answer', { skip }, async (t) => {
  const place = await openPlace(t);
  const options = { fingerprint: place.fingerprint('ecdsa'), interactive: false };
  const { status, output, questions } = await trust(place, [], options);
  assert.equal(status, 0);
  assert.deepEqual(questions, []);
  assert.equal(output.text(), `recorded 1 key in ${place.knownHosts}\n`);
  assert.equal(place.read(), `${place.host} ${place.server.hostKeys.ecdsa}\n`);
  const again = await trust(place, [], options);
  assert.equal(again.output.text(), `the key of ${place.host} is known: ${place.knownHosts}:1\n`);
});

test('--fingerprint of another key records nothing', { skip }, async (t) => {
  const place = await openPlace(t);
  const fingerprint = fingerprintOf(STRANGER);
  await assert.rejects(trust(place, [], { fingerprint }), fails('host-key-not-shown', /SHA256:.*SHA256:/));
  assert.equal(existsSync(place.knownHosts), false);
});

test('without a terminal only --fingerprint will do, and it must be one', { skip }, async (t) => {
  const place = await openPlace(t);
  await assert.rejects(trust(place, ['yes'], { interactive: false }), fails('usage', /--fingerprint/));
  for (const fingerprint of ['yes', 'SHA256:', 'MD5:00:11', 'SHA256:short']) {
    await assert.rejects(trust(place, ['yes'], { fingerprint }), fails('usage', /--fingerprint is SHA256/));
  }
  assert.equal(place.server.log().includes('Connection from'), false);
});

test('a known host costs no question', { skip }, async (t) => {
  const place = await openPlace(t);
  for (const line of [
    `${place.host} ${place.server.hostKeys.rsa}`,
    `${hashedName(place.host)} ${place.server.hostKeys.ecdsa}`,
    `127.0.0.1 ${place.server.hostKeys.ed25519}`,
    `${place.host} ${place.server.hostKeys.rsa}\n${place.host} ${STRANGER_RSA}`,
  ]) {
    writeFileSync(place.knownHosts, `# first\n${line}\n`, { mode: 0o600 });
    const { status, output, questions } = await trust(place, []);
    assert.deepEqual([status, questions], [0, []]);
    assert.equal(output.text(), `the key of ${place.host} is known: ${place.knownHosts}:2\n`);
  }
});

test('a changed key: old and new below each other, with the line of the old one, replaced after a yes', {
  skip,
}, async (t) => {
  const place = await openPlace(t);
  const before = [
    '# kept',
    `other ${STRANGER}`,
    `${place.host} ${STRANGER}`,
    `@revoked * ${STRANGER_RSA}`,
    `mail,${place.host} ${STRANGER_RSA}`,
    `${place.host} ${place.server.hostKeys.ecdsa}`,
    '',
  ].join('\n');
  writeFileSync(place.knownHosts, before, { mode: 0o644 });
  const { status, output, questions } = await trust(place, ['yes'], { columns: 200 });
  assert.equal(status, 0);
  assert.deepEqual(questions, ['replace them (yes/no/fingerprint)? ']);
  const shown = [
    `the keys of ${place.host} have changed:`,
    '  ED25519',
    `    old ${fingerprintOf(STRANGER)}`,
    `        ${place.knownHosts}:3`,
    `    new ${place.fingerprint('ed25519')}`,
    '  ECDSA',
    '    old the same',
    `    new ${place.fingerprint('ecdsa')}`,
    '  RSA',
    `    old ${fingerprintOf(STRANGER_RSA)}`,
    `        ${place.knownHosts}:5`,
    `    new ${place.fingerprint('rsa')}`,
    '',
  ].join('\n');
  assert.ok(output.text().startsWith(shown), `${output.text()}\n${shown}`);
  assert.ok(
    output
      .text()
      .endsWith(
        `recorded 3 keys in ${place.knownHosts} in place of 2; the file as it was is kept as ${place.knownHosts}.old\n`,
      ),
    output.text(),
  );
  assert.equal(
    place.read(),
    [
      '# kept',
      `other ${STRANGER}`,
      `@revoked * ${STRANGER_RSA}`,
      `mail ${STRANGER_RSA}`,
      `${place.host} ${place.server.hostKeys.ecdsa}`,
      `${place.host} ${place.server.hostKeys.ed25519}`,
      `${place.host} ${place.server.hostKeys.rsa}`,
      '',
    ].join('\n'),
  );
  assert.equal(readFileSync(`${place.knownHosts}.old`, 'utf8'), before);
  assert.ok(sshAccepts(place));
});

test('a changed key stays as it was after a no', { skip }, async (t) => {
  const place = await openPlace(t);
  const before = `${place.host} ${STRANGER}\n`;
  writeFileSync(place.knownHosts, before, { mode: 0o600 });
  assert.equal((await trust(place, ['no'])).status, 1);
  assert.equal(place.read(), before);
  assert.equal(existsSync(`${place.knownHosts}.old`), false);
});

test('a host known by other types of keys only has changed, too', { skip }, async (t) => {
  const place = await openPlace(t, {}, {});
  const ecdsa = keyWords(fakeKey('ecdsa-sha2-nistp256', 'stranger'));
  writeFileSync(place.knownHosts, `${place.host} ${ecdsa}\n`, { mode: 0o600 });
  writeWork(place, { HOST_KEY_ALGORITHMS: 'ssh-ed25519' });
  const { output } = await trust(place, ['yes'], { columns: 200 });
  assert.match(output.text(), /^ {2}ED25519\n {4}old none\n {4}new SHA256:/m);
  assert.match(output.text(), /^ {2}ECDSA\n {4}old SHA256:.*\n.*:1\n {4}new none$/m);
  assert.equal(place.read(), `${place.host} ${place.server.hostKeys.ed25519}\n`);
});

/** Writes the alias again with more keys. */
function writeWork({ home: { writeAlias }, server, knownHosts }: Place, keys: AliasKeys): void {
  writeAlias('work', { ...server.aliasKeys, KNOWN_HOSTS: knownHosts, ...keys });
}

test('an old key in another file is shown and left there', { skip }, async (t) => {
  const place = await openPlace(t);
  const system = join(place.home.dir, 'ssh_known_hosts');
  writeWork(place, { KNOWN_HOSTS: `${place.knownHosts},${system}` });
  const before = `${place.host} ${STRANGER}\n`;
  writeFileSync(system, before, { mode: 0o600 });
  const { output } = await trust(place, ['yes'], { columns: 300 });
  assert.ok(output.text().includes(`        ${system}:1\n`));
  assert.ok(output.text().includes(`recorded 3 keys in ${place.knownHosts}\n`));
  assert.ok(output.text().includes(`${system}:1 was left there`));
  assert.equal(readFileSync(system, 'utf8'), before);
  assert.equal(place.read().split('\n').length, 4);
  assert.match((await trust(place, [])).output.text(), /is known/);
});

test('a revoked key is refused, whatever is answered', { skip }, async (t) => {
  const place = await openPlace(t);
  const before = `@revoked * ${place.server.hostKeys.rsa}\n${place.host} ${place.server.hostKeys.rsa}\n`;
  writeFileSync(place.knownHosts, before, { mode: 0o600 });
  await assert.rejects(trust(place, ['yes']), fails('host-key-revoked', /known_hosts:1$/));
  const fingerprint = place.fingerprint('rsa');
  await assert.rejects(trust(place, [], { fingerprint }), fails('host-key-revoked'));
  assert.equal(place.read(), before);
});

test('a pin is the last word', { skip }, async (t) => {
  const place = await openPlace(t);
  writeWork(place, { HOST_KEY_FINGERPRINT: place.fingerprint('rsa') });
  const { status, output, questions } = await trust(place, [], { columns: 200 });
  assert.deepEqual([status, questions], [0, []]);
  assert.equal(
    output.text(),
    `HOST_KEY_FINGERPRINT allows the RSA key of ${place.host}; no other file counts\n`,
  );
  writeWork(place, { HOST_KEY_FINGERPRINT: fingerprintOf(STRANGER) });
  await assert.rejects(trust(place, ['yes']), fails('host-key-pin'));
  assert.equal(existsSync(place.knownHosts), false);
});

test('HOST_KEY_ALIAS names the entry', { skip }, async (t) => {
  const place = await openPlace(t);
  writeWork(place, { HOST_KEY_ALIAS: 'cluster' });
  await trust(place, ['yes']);
  assert.match(place.read(), /^cluster ssh-ed25519 /);
});

test('a file that cannot keep keys is named', { skip }, async (t) => {
  const place = await openPlace(t);
  writeWork(place, { KNOWN_HOSTS: '/dev/null' });
  await assert.rejects(trust(place, ['yes']), fails('file-unusable', /^\/dev\/null: no key can be kept/));
});

test('ssh_config counts where the alias leaves things open', { skip }, async (t) => {
  const place = await openPlace(t);
  const { server, knownHosts } = place;
  place.home.writeFile('.ssh/config', `Host work\n  HostName 127.0.0.1\n  Port ${server.port}\n`);
  place.home.writeAlias('work', { KNOWN_HOSTS: knownHosts });
  assert.equal((await trust(place, ['yes'])).status, 0);
  assert.ok(place.read().startsWith(place.host));
});

test('a host that shows a key it cannot sign with is not asked about', { skip }, async (t) => {
  const place = await openPlace(t);
  const file = join(place.home.dir, 'victim');
  makeKey('ed25519', file);
  const victim = readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  writeWork(place, { PORT: await openImpostor(t, place.server, victim) });
  const options = { fingerprint: fingerprintOf(victim) };
  await assert.rejects(trust(place, [], options), /signature verification failed/);
  await assert.rejects(trust(place, ['yes']), /signature verification failed/);
  assert.equal(existsSync(place.knownHosts), false);
});

/** A relay that puts `victim` in the place of the server's own ed25519 key, which is as long; gives its port. */
async function openImpostor(t: TestContext, server: RealSshd, victim: string): Promise<number> {
  const [own, shown] = [server.hostKeys.ed25519, victim].map((key) =>
    Buffer.from(key.split(' ')[1] ?? '', 'base64').toString('latin1'),
  ) as [string, string];
  const relay = createServer((near) => {
    const far = connect(server.port, server.host);
    near.pipe(far);
    far.on('data', (data) => {
      near.write(
        Buffer.from(
          data.toString('latin1').replace(own, () => shown),
          'latin1',
        ),
      );
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  t.after(() => relay.close());
  return (relay.address() as AddressInfo).port;
}

test('a host that cannot be reached is a failure with its reason', { skip }, async (t) => {
  const place = await openPlace(t);
  writeWork(place, { PORT: await findFreePort() });
  await assert.rejects(trust(place, ['yes']), fails('tcp-refused'));
});

test('a host without any of the allowed types of keys says what it has', { skip }, async (t) => {
  const place = await openPlace(t);
  writeWork(place, { HOST_KEY_ALGORITHMS: 'ecdsa-sha2-nistp521' });
  await assert.rejects(trust(place, ['yes']), fails('no-common-algorithm', /offers .*ssh-ed25519/));
});

for (const columns of [20, 40, 80]) {
  test(`only fingerprints are wider than ${columns} columns`, { skip }, async (t) => {
    const place = await openPlace(t);
    const unknown = await trust(place, ['no'], { columns });
    writeFileSync(place.knownHosts, `${place.host} ${STRANGER}\n`, { mode: 0o600 });
    const changed = await trust(place, ['yes'], { columns });
    const wide = `${unknown.output.text()}${changed.output.text()}`
      .split('\n')
      .filter((line) => displayWidth(line) > columns && !/(?:^|\s)SHA256:\S{43}$/.test(line));
    assert.deepEqual(wide, []);
  });
}

/** `work` behind a gateway that is no alias; gives what messages call the gateway. */
function putBehindGateway(place: Place, gateway: RealSshd): string {
  const hop = `${gateway.user}@127.0.0.1:${gateway.port}`;
  writeFileSync(gateway.authorizedKeysFile, readFileSync(`${place.server.identityFile}.pub`));
  place.home.writeAlias('work', {
    ...place.server.aliasKeys,
    KNOWN_HOSTS: place.knownHosts,
    PROXY_JUMP: hop,
  });
  return hop;
}

test('a host behind a gateway is asked through it, over one login', { skip }, async (t) => {
  const place = await openPlace(t);
  const gateway = await openRealSshd(t);
  putBehindGateway(place, gateway);
  const known = Object.values(gateway.hostKeys).map((key) => `[127.0.0.1]:${gateway.port} ${key}\n`);
  writeFileSync(place.knownHosts, known.join(''), { mode: 0o600 });
  const { status, output } = await trust(place, ['yes']);
  assert.equal(status, 0);
  assert.match(output.text(), /recorded 3 keys/);
  for (const type of HOST_KEY_TYPES)
    assert.ok(place.read().includes(`${place.host} ${place.server.hostKeys[type]}`));
  assert.equal(gateway.log().split('Accepted publickey').length, 2);
});

test('a gateway without an alias is trusted by the name that messages give it', { skip }, async (t) => {
  const place = await openPlace(t);
  const gateway = await openRealSshd(t);
  const hop = putBehindGateway(place, gateway);
  await assert.rejects(trust(place, ['yes']), (thrown) => {
    assert.ok(thrown instanceof Failure);
    assert.deepEqual([thrown.code, thrown.hint], ['host-key-unknown', `run: pine-rshctl trust ${hop}`]);
    return true;
  });
  const { status } = await trust(place, ['yes'], { alias: hop });
  assert.equal(status, 0);
  assert.ok(place.read().startsWith(`[127.0.0.1]:${gateway.port} ssh-ed25519 `));
  assert.equal((await trust(place, ['yes'])).status, 0);
  await assert.rejects(trust(place, ['yes'], { alias: 'nobody@127.0.0.1:1' }), fails('alias-missing'));
});

test('PROXY_COMMAND carries the question, too', { skip }, async (t) => {
  const place = await openPlace(t);
  const relay =
    'const s=net.connect(process.argv[2],process.argv[1]);process.stdin.pipe(s).pipe(process.stdout)';
  const script = place.home.writeScript('relay', `exec '${process.execPath}' -e '${relay}' "$@"`);
  const { port } = place.server;
  writeWork(place, { PORT: 9, HOST_KEY_ALIAS: 'behind', PROXY_COMMAND: `${script} 127.0.0.1 ${port}` });
  assert.equal((await trust(place, ['yes'])).status, 0);
  assert.match(place.read(), /^behind ssh-ed25519 /);
  writeWork(place, { PROXY_COMMAND: 'echo no way >&2; exit 3' });
  await assert.rejects(trust(place, ['yes']), fails('proxy-command-failed', /no way/));
});
