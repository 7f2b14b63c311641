/** The demo's own SSH server, under the system's ssh: one key, one user, one command. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import ssh2 from 'ssh2';
import { openSshServer } from '../../src/commands/demo/ssh-server.ts';
import { makeKeyPair } from '../../src/transport/new-key.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { openTempHome } from '../helpers/temp-home.ts';

async function openLogin(scope: Scope) {
  const home = openTempHome(scope);
  const [hostKey, userKey, otherKey] = [makeKeyPair('host'), makeKeyPair('user'), makeKeyPair('other')];
  const server = await openSshServer({
    hostKey,
    user: 'pat',
    userKey,
    runImapd: async (channel) => {
      channel.on('data', (chunk) => channel.write(`you said ${chunk}`));
      await once(channel, 'end');
      return 7;
    },
  });
  defer(scope, () => server.close());
  const knownHosts = home.writeFile('known_hosts', `[${server.host}]:${server.port} ${hostKey.publicKey}\n`);
  const files = {
    user: home.writeFile('user', userKey.privateKey),
    other: home.writeFile('other', otherKey.privateKey),
  };
  const run = async (key: keyof typeof files, user: string, ...words: string[]): Promise<RunResult> => {
    const options = [`UserKnownHostsFile=${knownHosts}`, 'BatchMode=yes', 'IdentitiesOnly=yes'];
    return await runProgram(
      programPath('ssh'),
      [
        ...['-F', 'none', '-T', '-i', files[key], '-p', String(server.port)],
        ...options.flatMap((option) => ['-o', option]),
        `${user}@${server.host}`,
        ...words,
      ],
      { env: home.env, input: 'hello\n' },
    );
  };
  return { run };
}

const skip = requirePrograms('ssh');

test('imapd runs for the right key, and its status comes back', { skip }, async (t) => {
  const { run } = await openLogin(t);
  for (const command of ['exec /etc/rimapd', "exec /bin/sh -c 'for p in imapd; do :; done'"]) {
    const done = await run('user', 'pat', command);
    assert.deepEqual([done.stdout.toString(), done.code], ['you said hello\n', 7], done.stderr.toString());
  }
});

test('another key and another user are refused', { skip }, async (t) => {
  const { run } = await openLogin(t);
  for (const [key, user] of [
    ['other', 'pat'],
    ['user', 'root'],
  ] as const) {
    const done = await run(key, user, 'exec /etc/rimapd');
    assert.equal(done.code, 255);
    assert.match(done.stderr.toString(), /Permission denied \(publickey\)/);
  }
});

test('another command is not found, and there is no shell', { skip }, async (t) => {
  const { run } = await openLogin(t);
  const other = await run('user', 'pat', 'uptime');
  assert.equal(other.code, 127);
  assert.match(other.stderr.toString(), /the demo runs imapd only, not: uptime/);
  assert.notEqual((await run('user', 'pat')).code, 0);
});

test('every throw-away key can be used, those with a leading zero byte too', () => {
  // One key in 256 begins with a zero byte.
  for (let count = 0; count < 600; count += 1) {
    const { privateKey, publicKey, blob } = makeKeyPair('test');
    const halves = [ssh2.utils.parseKey(privateKey), ssh2.utils.parseKey(publicKey)];
    for (const half of halves) assert.ok(!(half instanceof Error) && half.getPublicSSH().equals(blob));
  }
});

test('ssh-keygen reads a throw-away key', { skip: requirePrograms('ssh-keygen') }, async (t) => {
  const home = openTempHome(t);
  const key = makeKeyPair('a comment');
  const file = home.writeFile('key', key.privateKey);
  const done = await runProgram(programPath('ssh-keygen'), ['-y', '-f', file], { env: home.env });
  assert.equal(done.stdout.toString().trim(), key.publicKey.trim());
});
