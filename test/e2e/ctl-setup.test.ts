/**
 * `pine-rshctl setup` from a fresh account to a mailbox in Alpine, against a real sshd with real passwords: by a person
 * at a terminal and without one. The key it installs is then tried for what it must not do.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openFreshHome, snapshot } from '../helpers/fresh-home.ts';
import { makeKeyFile } from '../helpers/key-files.ts';
import { NO_PASSWORDS, setLoginPassword } from '../helpers/login-password.ts';
import { findLoginUser } from '../helpers/login-user.ts';
import { openPasswordHost, type PasswordHost } from '../helpers/password-host.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openScreen } from '../helpers/screen.ts';
import type { TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS =
  requirePrograms('sshd', 'ssh', 'scp', 'imap', 'openssl', 'usermod', 'ssh-keygen', 'tmux', 'alpine') ||
  NO_PASSWORDS;

const NO_PAM: string | false = !existsSync('/etc/pam.d/sshd') && 'sshd has no PAM here';

/** All hosts have the same account. */
const PASSWORD = NEEDS ? '' : await setLoginPassword({ after }, await findLoginUser());

async function runSetup(
  build: Build,
  home: TempHome,
  host: PasswordHost,
  ...words: readonly string[]
): Promise<RunResult> {
  const pw = home.writeFile('pw', `${host.password}\n`);
  const all = [
    'setup',
    'work',
    host.place,
    '--password-file',
    pw,
    '--fingerprint',
    host.fingerprint,
    ...words,
  ];
  const done = await runProgram(build.ctlPath, [...all, '--yes'], { env: home.env });
  assert.ok(!`${done.stdout}${done.stderr}`.includes(host.password));
  return done;
}

async function opens(t: TestContext, build: Build, home: TempHome, host: PasswordHost): Promise<void> {
  const pine = runAsPine(t, build.rshPath, ['work', '-l', host.user, 'exec', '/etc/rimapd'], {
    env: home.env,
  });
  pine.write('a EXAMINE INBOX\r\n');
  await pine.waitForText(/^\* 20 EXISTS/m);
  pine.write('b LOGOUT\r\n');
  assert.equal((await pine.waitForExit()).code, 0);
}

for (const build of BUILDS) {
  describe(`pine-rshctl setup (${build.name})`, { skip: NEEDS || build.skip, concurrency: 3 }, () => {
    test('A person goes from a fresh account to the index in Alpine', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      const script = '"$0" setup work "$1"; echo "status $?"; exec sleep 60';
      const screen = openScreen(t, '/bin/sh', ['-c', script, build.ctlPath, host.place], {
        env: home.env,
      });
      await screen.waitFor('trust them (yes/no/fingerprint)?');
      assert.match(screen.text(), /ED25519 +SHA256:/);
      screen.enter(host.fingerprint);
      await screen.waitFor(`${host.user}@127.0.0.1:${host.port}'s password:`);
      screen.enter('mistyped');
      await screen.waitFor(/not accepted; try again\n.*password:/);
      screen.enter(host.password);
      // A host that has a sendmail in a usual place is asked about.
      await screen.waitFor(/send mail through|hosts without an alias/);
      if (/send mail through/.test(screen.text())) screen.enter('no');
      await screen.waitFor('hosts without an alias (deny/allow) [deny]?');
      screen.enter('');
      await screen.waitFor(/make .*\.pinerc, for Alpine \[yes\]\?/);
      screen.enter('');
      const shown = await screen.waitFor(/status \d/);
      assert.match(shown, /the mailbox opens: \* PREAUTH .*status 0/s);
      assert.ok(!shown.includes(host.password));
      await screen.close();
      assert.equal(readFileSync(join(home.configDir, 'defaults.env'), 'utf8'), 'UNMANAGED=deny\n');
      assert.deepEqual(readdirSync(join(home.dir, 'tmp')), []);
      const alias = readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8');
      assert.ok(alias.includes(`\nIMAPD=${programPath('imap')}\n`), alias);

      const alpine = openScreen(t, programPath('alpine'), ['-i'], { env: home.env });
      // What Alpine asks of everybody who starts it for the first time.
      await waitUntil(
        'the index',
        () => {
          const text = alpine.text();
          if (/Exit this greeting|\[Exit\]|GREETING TEXT/i.test(text)) alpine.keys('E');
          else if (/Create it\?|\(y\/n\)|\[y\]|\[No\]|\[Yes\]/i.test(text)) alpine.keys('n');
          return /Messages? +\d+ of 20|\b20 messages/i.test(text) || /MESSAGE INDEX.*20 Messages/s.test(text);
        },
        { detail: () => alpine.text() },
      );
      assert.match(alpine.text(), /FOLDER|MESSAGE INDEX/i);
      await alpine.close();
    });

    test('A host that asks by keyboard-interactive is set up as well', { skip: NO_PAM }, async (t) => {
      const host = await openPasswordHost(t, PASSWORD, [
        'UsePAM yes',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication yes',
      ]);
      const home = openFreshHome(t);
      const words = ['setup', 'work', host.place, '--fingerprint', host.fingerprint, '--unmanaged', 'allow'];
      const screen = openScreen(t, build.ctlPath, [...words, '--pinerc', 'no', '--sendmail', 'no'], {
        env: home.env,
      });
      // Its own words, behind the name of who asks.
      await screen.waitFor(`(${host.user}@127.0.0.1:${host.port}) Password:`);
      screen.enter('mistyped');
      await screen.waitFor(/not accepted; try again\n.*Password:/);
      screen.enter(host.password);
      assert.equal(await screen.waitForExit(), 0);
      assert.ok(!screen.text().includes(host.password));
      await opens(t, build, home, host);
    });

    test('Without a terminal every answer is an option', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      const done = await runSetup(build, home, host, '--imapd', host.rimapd);
      assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
      assert.match(done.stdout.toString(), /the mailbox opens: /);
      await opens(t, build, home, host);
      const [line = '', ...more] = host.authorizedKeys();
      assert.ok(line.startsWith(`restrict,command="exec ${host.rimapd}" ssh-ed25519 AAAA`), line);
      assert.deepEqual(more, []);
      const key = join(home.dir, '.ssh', 'pine-rsh-work');
      assert.equal(statSync(key).mode & 0o777, 0o600);
      const alias = readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8').split('\n');
      for (const each of [
        `IMAPD=${host.rimapd}`,
        `IDENTITY_FILE=${key}`,
        'IDENTITIES_ONLY=yes',
        `PORT=${host.port}`,
      ])
        assert.ok(alias.includes(each), alias.join('\n'));
      assert.ok(!readFileSync(join(home.dir, '.pinerc'), 'utf8').includes('sendmail-path'));
      const doctor = await runProgram(build.ctlPath, ['doctor', 'work'], { env: home.env });
      assert.equal(doctor.code, 0, doctor.stdout.toString());
      assert.match(doctor.stdout.toString(), /ok +\.pinerc/);

      // Again: refused, then replaced with the same key, whose line stands there once.
      const ours = [join(home.dir, '.ssh'), home.configDir, join(home.dir, '.pinerc')];
      const before = snapshot(...ours);
      const again = await runSetup(build, home, host, '--imapd', host.rimapd);
      assert.match(
        again.stderr.toString().replace(/\s+/g, ' '),
        /work\.env is there already hint: .*--replace/,
      );
      assert.equal(again.code, 1);
      assert.equal(snapshot(...ours), before);
      const replaced = await runSetup(build, home, host, '--imapd', host.rimapd, '--replace', '--key', 'new');
      assert.deepEqual([replaced.code, replaced.stderr.toString()], [0, '']);
      assert.deepEqual(host.authorizedKeys(), [line]);
      await opens(t, build, home, host);
    });

    test('What is missing without a terminal is named by its option', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      const before = snapshot(home.dir, host.home);
      for (const [words, option] of [
        [[], 'an alias'],
        [['work'], 'USER@HOST'],
        [[host.place], 'without one it needs an alias'],
        [['work', host.place], '--fingerprint'],
        [['Work!', host.place], 'rshctl: the name of an alias is lower case letters'],
        [['work', 'pat@'], 'rshctl: where and as whom is USER@HOST'],
        [['work', host.place, '--forward', 'x'], '--forward'],
      ] as const) {
        const done = await runProgram(build.ctlPath, ['setup', ...words], { env: home.env });
        assert.equal(done.code, 64, done.stderr.toString());
        assert.match(done.stderr.toString().replace(/\s+/g, ' '), new RegExp(option));
      }
      assert.equal(snapshot(home.dir, host.home), before);
    });

    test('A mailbox that does not open changes nothing, here and there', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      home.writeFile('pw', `${host.password}\n`);
      const before = snapshot(home.dir);
      const bad = await runSetup(build, home, host, '--imapd', '/no/such/imapd');
      assert.match(bad.stderr.toString(), /no imapd found/);
      assert.equal(bad.code, 1);
      const wrong = await runSetup(build, home, { ...host, fingerprint: `SHA256:${'A'.repeat(43)}` });
      assert.match(wrong.stderr.toString(), /has no key with the fingerprint/);

      const empty = host.writeProgram(
        'empty',
        'printf "* PREAUTH\\r\\n"; read -r x; printf "a NO no disk\\r\\n"',
      );
      const refused = await runSetup(build, home, host, '--imapd', empty);
      assert.match(refused.stderr.toString(), /does not open INBOX: NO no disk/);
      // Its imapd works by password only: with the key something else runs.
      const fickle = host.writeProgram(
        'fickle',
        `test -z "$SSH_ORIGINAL_COMMAND" || exit 1; exec ${host.rimapd}`,
      );
      const undone = await runSetup(build, home, host, '--imapd', fickle);
      assert.match(undone.stderr.toString(), /ended before its greeting/);
      assert.deepEqual(host.authorizedKeys(), []);
      assert.equal(snapshot(home.dir), before);
    });

    test('The key starts imapd and sendmail, and nothing else', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      const sent = join(host.home, 'sent');
      const sendmail = host.writeProgram('sendmail', `echo "$@" >${sent}.args; cat >${sent}; exit 75`);
      const words = ['--imapd', host.rimapd, '--sendmail', sendmail, '--forward', `127.0.0.1:${host.port}`];
      const done = await runSetup(build, home, host, ...words);
      assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
      await opens(t, build, home, host);
      assert.match(
        readFileSync(join(home.dir, '.pinerc'), 'utf8'),
        /^sendmail-path=\/.* work sendmail -oi -t$/m,
      );

      const doctor = await runProgram(build.ctlPath, ['doctor', 'work'], { env: home.env });
      assert.equal(doctor.code, 0);
      assert.match(doctor.stdout.toString(), /ok +sendmail +the key's own/);
      const mailed = await runProgram(build.rshPath, ['work', 'sendmail', '-oi', '-t'], {
        env: home.env,
        input: 'To: ann@example.org\n\nhello\n',
      });
      assert.equal(mailed.code, 75, mailed.stderr.toString());
      assert.equal(readFileSync(sent, 'latin1'), 'To: ann@example.org\n\nhello\n');
      assert.equal(readFileSync(`${sent}.args`, 'latin1'), '-oi -t\n');

      const key = join(home.dir, '.ssh', 'pine-rsh-work');
      const mine = ['-F', 'none', '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-i', key];
      const options = [...mine, '-o', `UserKnownHostsFile=${host.knownHostsFile}`];
      const ssh = (more: readonly string[], input = '') =>
        spawnSync('ssh', [...options, '-p', String(host.port), `${host.user}@127.0.0.1`, ...more], {
          env: home.env,
          input,
          encoding: 'latin1',
          timeout: 20_000,
        });
      const made = join(host.home, 'made');
      for (const command of [
        `touch ${made}`,
        `sh -c 'touch ${made}'`,
        `exec ${host.rimapd}; touch ${made}`,
        `${host.rimapd} $(touch ${made})`,
        `sendmail -oi -t; touch ${made}`,
        'scp -f /etc/passwd',
      ]) {
        const run = ssh([command], 'a LOGOUT\r\n');
        assert.equal(run.status, 77, `${command}: ${run.stdout}${run.stderr}`);
        assert.match(run.stderr, /this key opens mail only/);
        assert.ok(!existsSync(made), command);
      }
      const shell = ssh(['-tt'], 'a LOGOUT\r\n');
      assert.match(`${shell.stdout}${shell.stderr}`, /PTY allocation request failed/);
      const copied = spawnSync(
        'scp',
        [...options, '-P', String(host.port), '/etc/passwd', `${host.user}@127.0.0.1:${made}`],
        {
          env: home.env,
          encoding: 'latin1',
          timeout: 20_000,
        },
      );
      assert.notEqual(copied.status, 0);
      assert.ok(!existsSync(made));
      const forward = ssh(['-W', `127.0.0.1:${Number(host.port) - 1}`]);
      assert.match(forward.stderr, /administratively prohibited/);
      const allowed = ssh(['-W', `127.0.0.1:${host.port}`]);
      assert.match(allowed.stdout, /^SSH-2\.0-/);
      const listen = ssh(['-o', 'ExitOnForwardFailure=yes', '-N', '-R', '0:127.0.0.1:9']);
      assert.notEqual(listen.status, 0);

      // sendmail as pine-rsh asks for it: size, mark, command line, message.
      const message = 'Subject: x\n\nbody without end';
      const send = (line: string, size = message.length) =>
        ssh(['echo "stored-$k"'], `${size}\nMARK\n${line}\n${message}`);
      const auto =
        "for i in /usr/sbin/sendmail; do if test -f $i && test -x $i; then exec $i '-oi' '-f' 'pat@x' '--' 'o'\\''b@x'; fi; done; exit 127";
      for (const [line, args] of [
        [`exec ${sendmail} '-oi' '-t'`, '-oi -t'],
        [auto, "-oi -f pat@x -- o'b@x"],
        [`exec ${sendmail} '-t' '$(touch ${made})'`, `-t $(touch ${made})`],
      ] as const) {
        const run = send(line);
        assert.equal(run.status, 75, run.stderr);
        assert.equal(run.stdout, 'stored-MARK\n');
        assert.equal(readFileSync(sent, 'latin1'), message);
        assert.equal(readFileSync(`${sent}.args`, 'latin1'), `${args}\n`);
        rmSync(sent);
      }
      for (const line of [
        `exec sendmail '-be' 'x'`,
        `exec sendmail '-C/tmp/x' '-t'`,
        `exec sendmail '-t' '-X' '/tmp/x'`,
      ]) {
        assert.equal(send(line).status, 77, line);
        assert.ok(!existsSync(sent));
      }
      assert.equal(send(`exec sendmail '-t'; touch ${made}`).status === 0, false);
      assert.ok(!existsSync(made));
      assert.equal(send(`exec sendmail '-t'`, message.length + 1).status, 74);
      assert.ok(!existsSync(sent), 'a message that was cut is not sent');
    });

    test('Set up again, the key may do what was said last, and what fails leaves what was', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      const sent = join(host.home, 'sent');
      const sendmail = host.writeProgram('sendmail', `cat >${sent}`);
      const rest = ['--imapd', host.rimapd, '--replace', '--key', 'new'];
      assert.equal((await runSetup(build, home, host, ...rest)).code, 0);
      const [first = ''] = host.authorizedKeys();
      assert.match(first, /^restrict,command="exec \S+rimapd" /);

      assert.equal((await runSetup(build, home, host, ...rest, '--sendmail', sendmail)).code, 0);
      const [second = '', ...more] = host.authorizedKeys();
      assert.match(second, /^restrict,command="exec \/bin\/sh '\S+\/pine-rsh-work'" /);
      assert.deepEqual(more, []);
      const send = () =>
        runProgram(build.rshPath, ['work', 'sendmail', '-oi', '-t'], {
          env: home.env,
          input: 'To: x\n\nhello\n',
        });
      assert.equal((await send()).code, 0);
      assert.equal(readFileSync(sent, 'latin1'), 'To: x\n\nhello\n');

      const before = snapshot(join(home.dir, '.ssh'), home.configDir);
      const script = readFileSync(join(host.home, '.ssh', 'pine-rsh-work'), 'utf8');
      const fickle = host.writeProgram(
        'fickle',
        `test -z "$SSH_ORIGINAL_COMMAND" || exit 1; exec ${host.rimapd}`,
      );
      const bad = ['--imapd', fickle, '--replace', '--key', 'new', '--sendmail', sendmail];
      assert.equal((await runSetup(build, home, host, ...bad)).code, 1);
      assert.deepEqual(host.authorizedKeys(), [second]);
      assert.equal(readFileSync(join(host.home, '.ssh', 'pine-rsh-work'), 'utf8'), script);
      assert.equal((await runSetup(build, home, host, ...bad.slice(0, -2))).code, 1);
      assert.deepEqual(host.authorizedKeys(), [second]);
      assert.equal(snapshot(join(home.dir, '.ssh'), home.configDir), before);
      rmSync(sent);
      assert.equal((await send()).code, 0);
    });

    test('A key that gets in already can stay what it is', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      mkdirSync(join(home.dir, '.ssh'), { mode: 0o700 });
      const file = makeKeyFile(join(home.dir, '.ssh'), 'id_ed25519', { type: 'ed25519' });
      mkdirSync(join(host.home, '.ssh'));
      writeFileSync(join(host.home, '.ssh', 'authorized_keys'), readFileSync(`${file}.pub`));
      const before = host.authorizedKeys();
      const words = [
        'setup',
        'work',
        host.place,
        '--fingerprint',
        host.fingerprint,
        '--imapd',
        host.rimapd,
        '-y',
      ];
      const done = await runProgram(build.ctlPath, [...words, '--pinerc', 'no'], { env: home.env });
      assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
      assert.match(done.stdout.toString(), /^ {2}rsh-path=\/.*\n {2}rsh-open-timeout=15\n/m);
      assert.ok(!existsSync(join(home.dir, '.pinerc')));
      assert.deepEqual(host.authorizedKeys(), before);
      assert.ok(!readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8').includes('IDENTITY_FILE'));
      await opens(t, build, home, host);
    });

    test('Through a gateway, which gets an alias and a key that leads on to the mail host only', async (t) => {
      const gate = await openPasswordHost(t, PASSWORD);
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      // One account: the last password counts. The gateway's key is trusted by hand before.
      home.writeFile('.ssh/known_hosts', readFileSync(gate.knownHostsFile, 'utf8'));
      const done = await runSetup(build, home, host, '--imapd', host.rimapd, '--jump', gate.place);
      assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
      const alias = readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8');
      assert.match(alias, /^PROXY_JUMP=gateway$/m);
      assert.match(
        gate.authorizedKeys()[0] ?? '',
        /^restrict,port-forwarding,permitopen="127\.0\.0\.1:\d+",permitlisten="localhost:1",command="exit 1" /,
      );
      assert.match(host.authorizedKeys()[0] ?? '', /^restrict,command="exec /);
      await opens(t, build, home, host);
    });

    test('What ~/.ssh/config says under the name of the alias is proposed, and left to it', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      const config = ['Host work', 'HostName 127.0.0.1', `Port ${host.port}`, `User ${host.user}`, ''];
      home.writeFile('.ssh/config', config.join('\n'));
      const pw = home.writeFile('pw', `${host.password}\n`);
      const words = [
        'setup',
        'work',
        '--password-file',
        pw,
        '--fingerprint',
        host.fingerprint,
        '--key',
        'new',
        '-y',
      ];
      const done = await runProgram(build.ctlPath, words, { env: home.env });
      assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
      const alias = readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8');
      assert.doesNotMatch(alias, /HOSTNAME|PORT/);
      await opens(t, build, home, host);
    });

    test('Where a person is asked at every login, setup says what to do before Alpine', async (t) => {
      const host = await openPasswordHost(t, PASSWORD, ['AuthenticationMethods publickey,password password']);
      const home = openFreshHome(t);
      const done = await runSetup(build, home, host, '--imapd', host.rimapd);
      assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
      assert.match(
        done.stdout.toString().replace(/\s+/g, ' '),
        /before Alpine, run: pine-rshctl connect work/,
      );
    });
  });
}
