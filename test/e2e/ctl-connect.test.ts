/** `pine-rshctl connect` on a real terminal against a real sshd: a person logs in once, and mail clients follow. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { NO_PASSWORDS, setLoginPassword } from '../helpers/login-password.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { descendantsOf, isRunning, signalProcess, waitForNoProcess } from '../helpers/processes.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openScreen, type Screen } from '../helpers/screen.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'tmux', 'imap', 'openssl', 'usermod') || NO_PASSWORDS;

const PASSWORD = ['AuthenticationMethods any', 'PasswordAuthentication yes'];
const TWO_STEPS = [
  'UsePAM yes',
  'KbdInteractiveAuthentication yes',
  'AuthenticationMethods publickey,keyboard-interactive',
];

interface Place {
  readonly host: MailHost;
  readonly home: TempHome;
  readonly password: string;
  readonly knownHosts: string;
}

async function openPlace(t: TestContext, config: readonly string[], keys: AliasKeys = {}): Promise<Place> {
  const host = await openMailHost(t, { config });
  const password = await setLoginPassword(t, host.login);
  const home = openTempHome(t);
  const knownHosts = join(home.dir, 'known_hosts');
  home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, ...keys });
  return { host, home, password, knownHosts };
}

/** The shell shows the status when it is over. */
function openConnect(t: TestContext, build: Build, home: TempHome): Screen {
  const script = 'trap : INT; "$0" connect work; echo "status $?"; exec sleep 60';
  return openScreen(t, '/bin/sh', ['-c', script, build.ctlPath], { env: home.env });
}

function answer(screen: Screen, text: string): void {
  screen.type(text);
  screen.keys('Enter');
}

async function runRsh(build: Build, { env }: TempHome, ...words: string[]): Promise<RunResult> {
  return await runProgram(build.rshPath, ['work', ...words], { env });
}

async function runCtl(build: Build, { env }: TempHome, ...words: string[]): Promise<RunResult> {
  return await runProgram(build.ctlPath, words, { env });
}

async function findBroker(build: Build, home: TempHome): Promise<number | undefined> {
  const { brokers } = JSON.parse((await runCtl(build, home, 'status', '--json')).stdout.toString());
  return brokers[0]?.pid;
}

for (const build of BUILDS) {
  const skip = NEEDS || build.skip;

  test(`${build.name}: a host that wants a password serves Pine after connect, until stop`, {
    skip,
  }, async (t) => {
    const place = await openPlace(t, PASSWORD, { IDENTITY_FILE: 'none', IDENTITY_AGENT: 'none' });
    const { home, host, password } = place;
    home.writeAlias('work', {
      ...host.aliasKeys,
      IMAPD: host.rimapd,
      IDENTITY_FILE: 'none',
      KNOWN_HOSTS: place.knownHosts,
    });
    const refused = await runRsh(build, home, 'echo', 'hello');
    assert.match(refused.stderr.toString(), /pine-rshctl (trust|connect) work/);

    const screen = openConnect(t, build, home);
    await screen.waitFor('trust them (yes/no/fingerprint)?');
    answer(screen, 'yes');
    const title = `${host.user}@127.0.0.1:${host.port}`;
    await screen.waitFor(`${title}'s password:`);
    answer(screen, 'wrong');
    await screen.waitFor(/password:\nnot accepted; try again\n.*'s password:/);
    answer(screen, password);
    const shown = await screen.waitFor(/status \d/);
    assert.match(shown, /connected to work\nit serves .* until: pine-rshctl stop work\nstatus 0/);
    assert.ok(!shown.includes(password));
    assert.ok(!shown.includes('wrong'));

    const words = ['work', '-l', host.user, 'exec', '/etc/rimapd'];
    for (let folder = 0; folder < 2; folder += 1) {
      const session = runAsPine(t, build.rshPath, words, { env: home.env });
      assert.match(await session.waitForLine(), /^\* PREAUTH /);
      session.write('a LOGOUT\r\n');
      await session.waitForText('a OK');
      assert.equal((await session.waitForExit()).code, 0);
    }
    assert.match(home.log(), /route=shared/);
    assert.equal((await runRsh(build, home, 'echo', 'hello')).stdout.toString(), 'hello\n');

    const again = openConnect(t, build, home);
    assert.match(await again.waitFor(/status \d/), /there is a connection to work\nit serves .*\nstatus 0/);
    assert.ok(!home.log().includes(password));

    assert.equal((await runCtl(build, home, 'stop', 'work')).code, 0);
    const ended = await runRsh(build, home, 'echo', 'hello');
    assert.match(ended.stderr.toString(), /pine-rshctl connect work/);
    await waitForNoProcess(home.dir, { also: ({ command }) => command.includes('pine-rsh') });
  });

  test(`${build.name}: a key and a password together`, { skip }, async (t) => {
    const { home, host, password } = await openPlace(t, TWO_STEPS);
    const refused = await runRsh(build, home, 'echo', 'hello');
    assert.match(
      refused.stderr.toString(),
      /for more than a key \(keyboard-interactive\); run: pine-rshctl connect work/,
    );
    const screen = openConnect(t, build, home);
    await screen.waitFor(`(${host.user}@127.0.0.1:${host.port}) Password:`);
    answer(screen, password);
    await screen.waitFor('status 0');
    assert.equal((await runRsh(build, home, 'echo', 'hello')).stdout.toString(), 'hello\n');
    assert.ok(!`${screen.text()}${home.log()}`.includes(password));
  });

  test(`${build.name}: a key with a passphrase`, {
    skip: skip || requirePrograms('ssh-keygen'),
  }, async (t) => {
    const server = await openRealSshd(t);
    const home = openTempHome(t, { SSH_AUTH_SOCK: '/nonexistent/agent' });
    home.writeAlias('work', server.aliasKeys);
    const words = ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', server.identityFile];
    assert.equal(spawnSync('ssh-keygen', words).status, 0);
    const refused = await runRsh(build, home, 'echo', 'hello');
    assert.match(refused.stderr.toString(), /needs a passphrase; .*run: pine-rshctl connect work/);
    const screen = openConnect(t, build, home);
    await screen.waitFor(`passphrase for ${server.identityFile}:`);
    answer(screen, 'wrong');
    await screen.waitFor(/not accepted; try again/);
    answer(screen, 'open sesame');
    await screen.waitFor(/those that have another SSH_AUTH_SOCK do not find it\nstatus 0/);
    assert.equal((await runRsh(build, home, 'echo', 'hello')).stdout.toString(), 'hello\n');
    const { SSH_AUTH_SOCK: _, ...env } = home.env;
    const other = await runProgram(build.rshPath, ['work', 'echo', 'hello'], { env });
    assert.match(other.stderr.toString(), /needs a passphrase/);
    assert.ok(!`${screen.text()}${home.log()}`.includes('sesame'));
  });

  for (const [title, keys, status, said] of [
    ['Ctrl-C', 'C-c', 130, ''],
    ['Ctrl-D', 'C-d', 1, 'not connected'],
  ] as const) {
    test(`${build.name}: ${title} ends the login, the terminal echoes again, and no broker stays`, {
      skip,
    }, async (t) => {
      const { home, host } = await openPlace(t, PASSWORD, { IDENTITY_FILE: 'none' });
      const screen = openConnect(t, build, home);
      await screen.waitFor("'s password:");
      screen.type('half a passw');
      screen.keys(...(keys === 'C-d' ? ['C-u', keys] : [keys]));
      const shown = await screen.waitFor(`status ${status}`);
      assert.ok(shown.includes(said));
      assert.ok(!shown.includes('half'));
      screen.type('seen again');
      await screen.waitFor('seen again');
      await waitUntil('the server sees the end', () => host.sessionPids().length === 0);
      await screen.close();
      await waitForNoProcess(home.dir, { timeout: 15_000 });
    });
  }

  test(`${build.name}: the connection stays although unused, and the broker leaves when it dies`, {
    skip,
  }, async (t) => {
    const { home, host, password } = await openPlace(t, PASSWORD, { IDENTITY_FILE: 'none', PERSIST: '1' });
    const screen = openConnect(t, build, home);
    await screen.waitFor("'s password:");
    answer(screen, password);
    await screen.waitFor('status 0');
    const broker = await findBroker(build, home);
    assert.ok(broker !== undefined);
    // Longer than PERSIST and two looks of the broker.
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    assert.ok(isRunning(broker));
    assert.equal((await runRsh(build, home, 'echo', 'hello')).stdout.toString(), 'hello\n');
    // The process of the session's user has the line, too.
    const ends = host.sessionPids().flatMap((pid) => [pid, ...descendantsOf(pid)]);
    for (const pid of ends) signalProcess(pid, 'SIGKILL');
    await waitUntil('the broker leaves', () => !isRunning(broker), { timeout: 15_000 });
  });

  test(`${build.name}: connect needs a terminal and a shared connection`, { skip }, async (t) => {
    const { home, host } = await openPlace(t, PASSWORD);
    const done = await runCtl(build, home, 'connect', 'work');
    assert.equal(done.code, 1);
    assert.match(done.stderr.toString(), /^pine-rshctl: connect needs a terminal\n {2}hint: /);
    home.writeAlias('work', { ...host.aliasKeys, SHARE: 'no' });
    const screen = openConnect(t, build, home);
    assert.match(await screen.waitFor(/status \d/), /SHARE=no: .*hint: remove SHARE=no.*status 1/s);
  });

  test(`${build.name}: what keeps a connection from being made is told`, { skip }, async (t) => {
    const { home, host } = await openPlace(t, PASSWORD, { IDENTITY_FILE: 'none' });
    await host.stop();
    const screen = openConnect(t, build, home);
    assert.match(await screen.waitFor(/status \d/), /refused the connection\n {2}hint: .*status 1/s);
  });
}
