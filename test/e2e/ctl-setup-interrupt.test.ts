/**
 * `pine-rshctl setup` given up: at every question that it can ask, by Ctrl-C, and once by each other way in which a
 * process ends. Neither here nor on the mail host is anything left.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { QUESTIONS } from '../../src/commands/setup/answers.ts';
import { BUILDS, ROOT } from '../helpers/builds.ts';
import { openBlackHole } from '../helpers/faulty-host.ts';
import { openFreshHome, snapshot } from '../helpers/fresh-home.ts';
import { makeKeyFile } from '../helpers/key-files.ts';
import { NO_PASSWORDS, setLoginPassword } from '../helpers/login-password.ts';
import { findLoginUser, giveTo } from '../helpers/login-user.ts';
import { openPasswordHost, type PasswordHost } from '../helpers/password-host.ts';
import { listProcesses, signalProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { openScreen, type Screen } from '../helpers/screen.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import type { TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap', 'openssl', 'usermod', 'ssh-keygen', 'tmux') || NO_PASSWORDS;
const PASSWORD = NEEDS ? '' : await setLoginPassword({ after }, await findLoginUser());
// What happens at a question does not depend on the build.
const [BUILD] = BUILDS;

type QuestionName = (typeof QUESTIONS)[number] | 'host-key' | 'password' | 'passphrase';

/** How each question looks, and what a person answers who goes on. */
const ANSWERS: Readonly<Record<QuestionName, readonly [RegExp, (host: PasswordHost) => string]>> = {
  alias: [/folders to be called, .*\?/, () => 'work'],
  replace: [/replace it\s+\[no\]\?/, () => 'yes'],
  place: [/USER@HOST\?/, ({ place }) => place],
  'host-key': [/yes\/no\/fingerprint\)\?/, () => 'yes'],
  password: [/'s password:/, ({ password }) => password],
  passphrase: [/passphrase/i, () => 'secret'],
  key: [/\[new\]\?/, () => 'new'],
  'own-key': [/\(use\/new\)\s+\[use\]\?/, () => 'use'],
  imapd: [/starts an imapd[^?]*\?/, ({ rimapd }) => rimapd],
  sendmail: [/send mail through[^?]*\?/, () => 'no'],
  unmanaged: [/\(deny\/allow\)\s+\[deny\]\?/, () => 'deny'],
  pinerc: [/\.pinerc[^?]*\[yes\]\?/, () => 'yes'],
};

interface Way {
  readonly name: string;
  /** Gives the words of the command line. */
  readonly prepare: (host: PasswordHost, home: TempHome) => readonly string[];
  /** What is asked, in this order. */
  readonly asked: readonly QuestionName[];
  /** Where it is given up, one after the other. */
  readonly stops: readonly QuestionName[];
}

const BY_PASSWORD: Way = {
  name: 'with a password',
  prepare: ({ rimapd }) => ['--imapd', rimapd],
  asked: ['alias', 'replace', 'place', 'host-key', 'password', 'key', 'sendmail', 'unmanaged', 'pinerc'],
  stops: ['alias', 'replace', 'place', 'host-key', 'password', 'key', 'sendmail', 'unmanaged', 'pinerc'],
};

const place = (host: PasswordHost): string[] => [
  'work',
  host.place,
  '--replace',
  '--fingerprint',
  host.fingerprint,
];

const WAYS: readonly Way[] = [
  BY_PASSWORD,
  {
    name: 'with a key that gets in',
    prepare: (host, home) => {
      authorize(host, join(home.dir, '.ssh', 'id_ed25519'));
      return place(host);
    },
    asked: ['own-key'],
    stops: ['own-key'],
  },
  {
    name: 'with a key that has a passphrase',
    prepare: (host, home) => {
      rmSync(join(home.dir, '.ssh', 'id_ed25519'));
      const file = makeKeyFile(join(home.dir, '.ssh'), 'id_ecdsa', {
        type: 'ecdsa-256',
        passphrase: 'secret',
      });
      authorize(host, file);
      return place(host);
    },
    asked: ['passphrase'],
    stops: ['passphrase'],
  },
  {
    name: 'without an imapd',
    prepare: (host, home) => {
      rmSync(join(host.home, 'dovecot.conf'));
      const pw = home.writeFile('pw', `${host.password}\n`);
      return [...place(host), '--password-file', pw, '--key', 'new'];
    },
    asked: ['imapd'],
    stops: ['imapd'],
  },
];

function authorize(host: PasswordHost, privateKey: string): void {
  const folder = join(host.home, '.ssh');
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, 'authorized_keys'), readFileSync(`${privateKey}.pub`));
  giveTo(host.login, folder);
}

interface Given {
  readonly host: PasswordHost;
  readonly home: TempHome;
  readonly screen: Screen;
  /** The process of setup. */
  readonly pid: number;
  /** Fails unless all is as it was. */
  assertNothingLeft(): void;
}

/** A person who has answered every question before `stop`, and sees that one. */
async function openAt(t: TestContext, way: Way, stop: QuestionName, build = BUILD): Promise<Given> {
  // This host has a sendmail, whatever the machine has.
  const wrapper = join(makeTempDir(t, 'wrapper'), 'run');
  writeFileSync(
    wrapper,
    `#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n*/sbin/sendmail*FOUND*) echo FOUND /usr/sbin/sendmail ;;\n*) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;\nesac\n`,
    { mode: 0o755 },
  );
  chmodSync(dirname(wrapper), 0o755);
  const host = await openPasswordHost(t, PASSWORD, [`ForceCommand ${wrapper}`]);
  const home = openFreshHome(t);
  home.writeAlias('work', { USER: 'x' });
  mkdirSync(join(home.dir, '.ssh'), { mode: 0o700 });
  makeKeyFile(join(home.dir, '.ssh'), 'id_ed25519', { type: 'ed25519' });
  home.writeFile('.pinerc', 'personal-name=Pat\n');
  const words = way.prepare(host, home);
  const remote = join(host.home, '.ssh');
  const before = snapshot(home.dir, remote);
  const script = 'trap : INT; "$0" setup "$@"; echo "status $?"; exec sleep 60';
  const screen = openScreen(t, '/bin/sh', ['-c', script, build?.ctlPath ?? '', ...words], { env: home.env });
  for (const name of way.asked.slice(0, way.asked.indexOf(stop))) {
    const [question, reply] = ANSWERS[name];
    await screen.waitFor(question);
    screen.enter(reply(host));
  }
  await screen.waitFor(ANSWERS[stop][0]);
  const pid = listProcesses().find(({ ppid }) => ppid === screen.pid)?.pid;
  assert.ok(pid !== undefined);
  const assertNothingLeft = () => assert.equal(snapshot(home.dir, remote), before);
  return { host, home, screen, pid, assertNothingLeft };
}

describe('pine-rshctl setup, given up', { skip: NEEDS || BUILD?.skip, concurrency: 3 }, () => {
  test('every question has its Ctrl-C below', () => {
    const stops = WAYS.flatMap(({ stops }) => stops);
    assert.deepEqual(stops.toSorted(), [...QUESTIONS, 'host-key', 'password', 'passphrase'].toSorted());
    // Whoever asks a person does so by `Ask`; a file that begins to needs a name and a stop here.
    const folder = join(ROOT, 'src', 'commands');
    const asking = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .filter((name) => /\bask\(.*\{ echo/.test(readFileSync(join(folder, name), 'utf8')));
    assert.deepEqual(asking.toSorted(), ['host-key-dialogue.ts', 'setup/answers.ts', 'terminal-prompt.ts']);
  });

  for (const way of WAYS) {
    for (const stop of way.stops) {
      test(`Ctrl-C at the question ${stop} ${way.name} leaves nothing`, async (t) => {
        const { host, screen, assertNothingLeft } = await openAt(t, way, stop);
        screen.keys('C-c');
        await screen.waitFor('status 130');
        assertNothingLeft();
        await waitUntil('the server sees the end', () => host.sessionPids().length === 0);
      });
    }
  }

  // The same way out everywhere.
  for (const stop of ['password', 'pinerc'] as const) {
    test(`Ctrl-D at the question ${stop} leaves nothing`, async (t) => {
      const { screen, assertNothingLeft } = await openAt(t, BY_PASSWORD, stop);
      screen.keys('C-d');
      assert.match(await screen.waitFor('status 1'), /nothing was changed/);
      assertNothingLeft();
    });
  }

  test('SIGTERM at the last question leaves nothing', async (t) => {
    const { screen, pid, assertNothingLeft } = await openAt(t, BY_PASSWORD, 'pinerc');
    signalProcess(pid, 'SIGTERM');
    await screen.waitFor('status 143');
    assertNothingLeft();
  });

  // Each runtime notices it in its own way.
  for (const build of BUILDS) {
    const title = `A terminal that is closed at the last question leaves nothing (${build.name})`;
    test(title, { skip: build.skip }, async (t) => {
      const { host, screen, pid, assertNothingLeft } = await openAt(t, BY_PASSWORD, 'pinerc', build);
      await screen.close();
      await waitUntil('setup ends', () => !listProcesses().some((each) => each.pid === pid));
      assertNothingLeft();
      await waitUntil('the server sees the end', () => host.sessionPids().length === 0);
    });
  }

  for (const build of BUILDS) {
    test(`Ctrl-Z at a question does nothing (${build.name})`, { skip: build.skip }, async (t) => {
      const home = openFreshHome(t);
      // As a person has it: a shell with job control.
      const screen = openScreen(t, '/bin/bash', ['--norc', '-i'], { env: { ...home.env, PS1: '> ' } });
      screen.enter(`${build.ctlPath} setup; echo "status $?"`);
      await screen.waitFor(ANSWERS.alias[0]);
      screen.keys('C-z');
      screen.enter('Upper');
      await screen.waitFor(/lower case letters/);
      screen.keys('C-c');
      await screen.waitFor('status 130');
    });
  }

  test('What a killed setup leaves is private, and the next one removes it', async (t) => {
    const { home, screen, pid, assertNothingLeft } = await openAt(t, BY_PASSWORD, 'pinerc');
    signalProcess(pid, 'SIGKILL');
    await screen.waitFor('status 137');
    const [left = '', ...more] = readdirSync(home.runtimeDir);
    assert.deepEqual([left.startsWith(`setup-${pid}-`), more], [true, []]);
    assert.deepEqual(readdirSync(join(home.dir, 'tmp')), []);
    const next = await runProgram(BUILD?.ctlPath ?? '', ['setup', 'other', 'pat@'], { env: home.env });
    assert.equal(next.code, 64);
    assertNothingLeft();
  });

  test('Ctrl-C while nobody answers leaves nothing', async (t) => {
    const { port } = await openBlackHole(t);
    const home = openFreshHome(t);
    const before = snapshot(home.dir);
    const script = 'trap : INT; "$0" setup "$@"; echo "status $?"; exec sleep 60';
    const words = [BUILD?.ctlPath ?? '', 'work', `pat@127.0.0.1:${port}`];
    const screen = openScreen(t, '/bin/sh', ['-c', script, ...words], { env: home.env });
    await waitUntil('it waits', () => readdirSync(home.runtimeDir).length > 0);
    screen.keys('C-c');
    await screen.waitFor('status 130');
    assert.equal(snapshot(home.dir), before);
  });
  test('Ctrl-C while the mailbox is tried takes the key off the host again', async (t) => {
    const host = await openPasswordHost(t, PASSWORD);
    const home = openFreshHome(t);
    const pw = home.writeFile('pw', `${host.password}\n`);
    // With the key it hangs.
    const slow = host.writeProgram(
      'slow',
      `test -z "$SSH_ORIGINAL_COMMAND" || sleep 60; exec ${host.rimapd}`,
    );
    const before = snapshot(home.dir);
    const script = 'trap : INT; "$0" setup work "$@"; echo "status $?"; exec sleep 60';
    const words = [
      host.place,
      '--imapd',
      slow,
      '--password-file',
      pw,
      '--fingerprint',
      host.fingerprint,
      '-y',
    ];
    const screen = openScreen(t, '/bin/sh', ['-c', script, BUILD?.ctlPath ?? '', ...words], {
      env: home.env,
    });
    await waitUntil('the key is there', () => host.authorizedKeys().length === 1);
    screen.keys('C-c');
    await screen.waitFor('status 130');
    assert.deepEqual(host.authorizedKeys(), []);
    assert.equal(snapshot(home.dir), before);
  });
});
