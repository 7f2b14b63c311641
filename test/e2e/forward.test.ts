/** `pine-rshctl forward`: who gets through to a server behind the mail host, who does not, and what is left behind. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { needsRoot, OTHER_UID } from '../alias/other-user.ts';
import { asUser, type UserIds } from '../helpers/as-user.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { readExample } from '../helpers/example.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { openNntpServer, openSmtpServer } from '../helpers/line-servers.ts';
import { giveTo } from '../helpers/login-user.ts';
import { openMailHost } from '../helpers/mail-host.ts';
import { findProcesses } from '../helpers/processes.ts';
import { openRealSshd, type RealSshd } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openScreen } from '../helpers/screen.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'nc', 'setpriv', 'bash');

const OTHER: UserIds = { uid: OTHER_UID, gid: OTHER_UID };
const ROOT_IDS: UserIds = { uid: 0, gid: 0 };

interface Setup {
  readonly server: RealSshd;
  readonly home: TempHome;
  /** The words of `pine-rshctl WORDS`, run by the user who forwards. */
  ctlWords(...words: string[]): [string, ...string[]];
  ctl(...words: string[]): Promise<RunResult>;
  /** Starts `pine-rshctl forward work SPECS` and waits until it listens. */
  forward(...specs: string[]): Promise<PineChild>;
  /** nc as that user; by default the one who forwards. */
  nc(where: readonly (string | number)[], user?: UserIds): PineChild;
  /** Runs a whole SMTP dialogue with it. */
  assertServed(where: readonly (string | number)[]): Promise<void>;
}

async function openSetup(t: TestContext, build: Build): Promise<Setup> {
  const server = await openRealSshd(t);
  const { login } = server;
  const home = openTempHome(t);
  home.writeAlias('work', server.aliasKeys);
  for (const path of [home.dir, server.identityFile]) giveTo(login, path);
  const { env } = home;
  const ctlWords = (...words: string[]) => asUser(login, [build.ctlPath, ...words]);
  const start = ([command, ...words]: [string, ...string[]]) =>
    runAsPine(t, command, words, { env, cwd: '/' });
  const nc = (where: readonly (string | number)[], user: UserIds = login) =>
    start(asUser(user, [programPath('nc'), ...where.map(String)]));
  return {
    server,
    home,
    ctlWords,
    ctl: async (...words) => {
      const [command, ...rest] = ctlWords(...words);
      return await runProgram(command, rest, { env, cwd: '/' });
    },
    forward: async (...specs) => {
      const child = start(ctlWords('forward', 'work', ...specs));
      await child.waitForText('Ctrl-C ends it');
      return child;
    },
    nc,
    assertServed: async (where) => {
      const client = nc(where);
      await client.waitForText('220 mail.example.org');
      client.write('EHLO here\r\n');
      await client.waitForText('250 8BITMIME\r\n');
      client.write('QUIT\r\n');
      await client.waitForText('221 bye\r\n');
      // nc stays until its own input ends.
      client.endInput();
      await client.finish();
    },
  };
}

for (const build of BUILDS) {
  describe(`A forward (${build.name})`, { skip: NEEDS || build.skip, concurrency: 2 }, () => {
    test('lets its own user through to SMTP and NNTP, over IPv4, IPv6 and both mixed', async (t) => {
      const { forward, nc, assertServed } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const nntp = await openNntpServer(t);
      const [port, news] = [await findFreePort(), await findFreePort()];
      const child = await forward(
        `${port}:127.0.0.1:${smtp.port}/smtp`,
        `${news}:localhost:${nntp.port}/nntp`,
      );
      assert.equal(
        child.output().toString(),
        [
          `work: 127.0.0.1:${port} and [::1]:${port} to 127.0.0.1:${smtp.port} (smtp)`,
          `work: 127.0.0.1:${news} and [::1]:${news} to localhost:${nntp.port} (nntp)`,
          'only you can connect; Ctrl-C ends it\n',
        ].join('\n'),
      );
      for (const host of ['127.0.0.1', '127.0.0.1', '::1', '::ffff:127.0.0.1'])
        await assertServed([host, port]);

      const reader = nc(['127.0.0.1', news]);
      await reader.waitForText('200 news.example.org');
      reader.write('DATE\r\n');
      await reader.waitForText('111 20260102030405\r\n');
      reader.write('QUIT\r\n');
      await reader.waitForText('205 bye\r\n');

      child.kill('SIGINT');
      assert.equal((await child.finish()).code, 128 + 2);
    });

    test('closes the connections of other users, root among them, before anything goes onwards', {
      skip: needsRoot,
    }, async (t) => {
      const { home, forward, nc, assertServed } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      const child = await forward(`${port}:127.0.0.1:${smtp.port}/smtp`);
      for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
        for (const user of [OTHER, ROOT_IDS]) {
          const refusals = () => child.output().toString().split('it belongs to uid').length;
          const before = refusals();
          const client = nc([host, port], user);
          await waitUntil('the refusal', () => refusals() > before);
          client.endInput();
          assert.equal((await client.finish()).output.toString(), '');
        }
      }
      assert.equal(smtp.connections, 0);
      assert.match(
        child.output().toString(),
        new RegExp(`connection closed: it belongs to uid ${OTHER_UID}\n`),
      );
      const line = new RegExp(
        `forward-refused alias=work target=127.0.0.1:${smtp.port} .*uid=${OTHER_UID}$`,
        'm',
      );
      assert.match(home.log(), line);
      await assertServed(['127.0.0.1', port]);
    });

    test('drops a client that does not let the server speak first', {
      skip: requirePrograms('curl'),
    }, async (t) => {
      const { server, home, forward, nc, assertServed } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      const child = await forward(`${port}:127.0.0.1:${smtp.port}/smtp`);
      const form = 'EHLO evil\r\nMAIL FROM:<a@b>\r\n';
      const [curl, ...words] = asUser(server.login, [
        programPath('curl'),
        '-s',
        '-d',
        form,
        `http://127.0.0.1:${port}/`,
      ]);
      const { code, stdout } = await runProgram(curl, words, { env: home.env, cwd: '/' });
      // "Empty reply from server", or a reset.
      assert.ok([52, 56].includes(code ?? 0), `${code}`);
      assert.equal(stdout.toString(), '');
      await child.waitForText('it talked before the server');

      // A browser may open a connection beforehand.
      for (const [late, why] of [
        [`POST / HTTP/1.1\r\nHost: localhost\r\n\r\n${form}`, 'it speaks HTTP'],
        [`\x16\x03\x01${form}`, 'its first line is no command'],
      ] as const) {
        const client = nc(['127.0.0.1', port]);
        await client.waitForText('220 ');
        client.write(late);
        await child.waitForText(why);
      }
      await assertServed(['127.0.0.1', port]);
      assert.equal(smtp.received(), 'EHLO here\r\nQUIT\r\n');
    });

    test('lets a client talk first where nothing is known about the service', async (t) => {
      const { forward, nc } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      await forward(`${port}:127.0.0.1:${smtp.port}`);
      const client = nc(['-N', '127.0.0.1', port]);
      client.write('NOOP\r\nQUIT\r\n');
      await client.waitForText('221 bye\r\n');
      client.endInput();
      const { output } = await client.finish();
      assert.match(output.toString(), /^220 .*\r\n250 fine\r\n221 bye\r\n$/);
    });

    test('serves a Unix socket that only its user can reach', async (t) => {
      const { home, server, forward, ctl, assertServed } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const folder = join(home.dir, 'private');
      const path = join(folder, 'smtp');
      const spec = `${path}:127.0.0.1:${smtp.port}/smtp`;
      const missing = await ctl('forward', 'work', spec);
      assert.match(
        missing.stderr.toString().replace(/\s+/g, ' '),
        /does not exist hint: make it: mkdir -m 700 /,
      );
      mkdirSync(folder, { mode: 0o755 });
      giveTo(server.login, folder);
      assert.match((await ctl('forward', 'work', spec)).stderr.toString(), /others\s+can\s+read\s+it/);
      const [chmod, ...words] = asUser(server.login, ['chmod', '700', folder]);
      assert.equal((await runProgram(chmod, words, { env: home.env })).code, 0);

      const child = await forward(spec);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      await assertServed(['-U', path]);
      assert.match((await ctl('forward', 'work', spec)).stderr.toString(), /another\s+program\s+has\s+it/);
      // One that was killed leaves its socket behind, which is no obstacle.
      child.kill('SIGKILL');
      await child.waitForExit();
      const again = await forward(spec);
      await assertServed(['-U', path]);
      again.kill('SIGTERM');
      assert.equal((await again.finish()).code, 128 + 15);
      assert.deepEqual(readdirSync(folder), []);
    });

    test('goes on when the shared connection was stopped or lost, and says in SMTP when it cannot', async (t) => {
      const { server, forward, ctl, nc, assertServed } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      await forward(`${port}:127.0.0.1:${smtp.port}/smtp`);
      await assertServed(['127.0.0.1', port]);
      assert.match((await ctl('stop', 'work')).stdout.toString(), /^stopped the broker of work/);
      await assertServed(['127.0.0.1', port]);
      await server.stop();
      const refused = nc(['127.0.0.1', port]);
      await refused.waitForText('\r\n');
      assert.match(refused.output().toString(), /^421 pine-rsh: work: .*refused the connection; .*\r\n$/);
      await server.restart();
      await assertServed(['127.0.0.1', port]);
    });

    test('says in SMTP and NNTP that nothing listens behind the host, which may pass', async (t) => {
      const { forward, nc } = await openSetup(t, build);
      const closed = await findFreePort();
      for (const [dialogue, code] of [
        ['smtp', '421'],
        ['nntp', '400'],
      ] as const) {
        const port = await findFreePort();
        await forward(`${port}:127.0.0.1:${closed}/${dialogue}`);
        const refused = nc(['127.0.0.1', port]);
        await refused.waitForText('\r\n');
        assert.match(
          refused.output().toString(),
          new RegExp(`^${code} pine-rsh: work: .* \\(Connection refused\\); nothing listens there: .*\r\n$`),
        );
      }
    });

    test('is shown by status as long as it runs, however it ends', async (t) => {
      const { forward, ctl, nc, home } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      const child = await forward(`${port}:127.0.0.1:${smtp.port}/smtp`);
      const client = nc(['127.0.0.1', port]);
      await client.waitForText('220 ');
      const forwards = async () => JSON.parse((await ctl('status', '--json')).stdout.toString()).forwards;
      const [{ pid, age_s, ...shown }] = await forwards();
      assert.deepEqual(shown, {
        alias: 'work',
        open: 1,
        served: 1,
        refused: 0,
        forwards: [
          {
            listen: [`127.0.0.1:${port}`, `[::1]:${port}`],
            target: `127.0.0.1:${smtp.port}`,
            dialogue: 'smtp',
          },
        ],
      });
      assert.ok(findProcesses(home.dir).some((each) => each.pid === pid));
      const text = (await ctl('status')).stdout.toString();
      assert.match(text, /^forward of work: 1 connection open, 1 served, 0 refused, \d+ s, pid \d+$/m);
      assert.ok(
        text.includes(`  127.0.0.1:${port} and [::1]:${port} to 127.0.0.1:${smtp.port} (smtp)\n`),
        text,
      );
      child.kill('SIGKILL');
      await child.waitForExit();
      assert.deepEqual(await forwards(), []);
      assert.deepEqual(
        readdirSync(home.runtimeDir).filter((name) => name.startsWith('f-')),
        [],
      );
    });

    test('500 connections, a few at a time, leave neither descriptors nor processes behind', async (t) => {
      const { home, server, forward } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      await forward(`${port}:127.0.0.1:${smtp.port}/smtp`);
      const [bash, ...words] = asUser(server.login, [
        programPath('bash'),
        '-c',
        MANY_DIALOGUES,
        'bash',
        String(port),
      ]);
      const repeat = async (count: number): Promise<void> => {
        const { code, stderr } = await runProgram(bash, [...words, String(count)], {
          env: home.env,
          cwd: '/',
          timeout: 120_000,
        });
        assert.equal(code, 0, stderr.toString());
      };
      // What stays: the forward, the broker, and one descriptor or another that a runtime opens once.
      const count = (): { processes: number; descriptors: number } => {
        const processes = findProcesses(home.dir);
        const descriptors = processes.map(({ pid }) => readdirSync(`/proc/${pid}/fd`).length);
        return { processes: processes.length, descriptors: descriptors.reduce((sum, each) => sum + each, 0) };
      };
      await repeat(20);
      const before = count();
      await Promise.all([125, 125, 125, 125].map(repeat));
      t.diagnostic(JSON.stringify(before));
      await waitUntil(
        'everything is closed again',
        () => {
          const { processes, descriptors } = count();
          return processes <= before.processes && descriptors <= before.descriptors;
        },
        { detail: () => JSON.stringify({ before, now: count() }) },
      );
      assert.equal(smtp.connections, 520);
    });

    test('refuses to run as root', { skip: needsRoot }, async (t) => {
      const { home } = await openSetup(t, build);
      const port = await findFreePort();
      const { code, stderr } = await runProgram(build.ctlPath, ['forward', 'work', `${port}:mail:25`], {
        env: home.env,
      });
      assert.equal(code, 1);
      assert.match(stderr.toString(), /^pine-rshctl: forward does not run as root/);
    });

    test('refuses to start where the machine does not tell users apart, unless that is wanted', {
      skip: needsRoot || requirePrograms('unshare'),
    }, async (t) => {
      const { home, ctlWords, assertServed } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const port = await findFreePort();
      const script = 'mount -t proc -o subset=pid proc /proc && exec "$@"';
      const start = (...more: string[]) => {
        const words = ctlWords('forward', 'work', `${port}:127.0.0.1:${smtp.port}/smtp`, ...more);
        return runAsPine(t, programPath('unshare'), ['-m', 'sh', '-c', script, 'sh', ...words], {
          env: home.env,
          cwd: '/',
        });
      };
      const { code, output } = await start().finish();
      assert.equal(code, 1);
      assert.match(output.toString(), /this machine does not tell which user opens a connection/);
      const child = start('--any-local-user');
      await child.waitForText('every user of this machine can connect; Ctrl-C ends it');
      await assertServed(['127.0.0.1', port]);
      child.kill('SIGTERM');
      await child.waitForExit();
    });

    test('says what is wrong with a port that somebody has, on either address', async (t) => {
      const { ctl } = await openSetup(t, build);
      const smtp = await openSmtpServer(t);
      const taken = await ctl('forward', 'work', `${smtp.port}:127.0.0.1:25`);
      assert.equal(taken.code, 1);
      assert.match(
        taken.stderr.toString(),
        /cannot\s+listen\s+on\s+127\.0\.0\.1:\d+:\s+another\s+program\s+has\s+it/,
      );
      const twice = await ctl('forward', 'work', '2025:mail:25', '2025:news:119');
      assert.equal(twice.code, 64);
    });
  });
}

/** `$2` times: waits for the greeting, says QUIT, reads to the end. */
const MANY_DIALOGUES = `
for ((i = 0; i < $2; i++)); do
  exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
  read -r line <&3 && [[ $line == 220* ]] || { echo "greeting $i: $line" >&2; exit 2; }
  printf 'QUIT\\r\\n' >&3
  read -r line <&3 && [[ $line == 221* ]] || { echo "answer $i: $line" >&2; exit 3; }
  exec 3>&-
done
`;

test('Alpine sends through a forward, set up as examples/forward.pinerc says', {
  skip: NEEDS || requirePrograms('alpine', 'tmux', 'imap'),
}, async (t) => {
  const host = await openMailHost(t);
  const home = openTempHome(t);
  const build = BUILDS.find(({ skip }) => skip === false);
  assert.ok(build !== undefined);
  home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd });
  const smtp = await openSmtpServer(t);
  const nntp = await openNntpServer(t);
  const [port, news] = [await findFreePort(), await findFreePort()];
  const example = readExample('forward.pinerc', {
    '/usr/local/bin/pine-rsh': build.rshPath,
    'user=pat': `user=${host.user}`,
    '2025': port,
    '2119': news,
  });
  home.writeFile('.pinerc', `${example}${QUIET_PINERC}`);
  for (const path of [home.dir, host.identityFile]) giveTo(host.login, path);
  const { env } = home;
  const specs = [`${port}:127.0.0.1:${smtp.port}/smtp`, `${news}:127.0.0.1:${nntp.port}/nntp`];
  const [ctl, ...words] = asUser(host.login, [build.ctlPath, 'forward', 'work', ...specs]);
  await runAsPine(t, ctl, words, { env, cwd: '/' }).waitForText('Ctrl-C ends it');

  const screen = openScreen(t, ...splitCommand(asUser(host.login, [programPath('alpine'), '-i'])), { env });
  await screen.waitFor(/Msg 1 of 20|Message 1 of 20|20 messages/i);
  screen.type('c');
  await screen.waitFor('To      :');
  screen.type('pat@example.org');
  screen.keys('Enter', 'Enter', 'Enter');
  screen.type('Through a forward');
  screen.keys('Enter');
  screen.type('one line');
  await screen.waitFor('one line');
  screen.keys('C-x');
  await screen.waitFor('Send message');
  screen.type('y');
  // Not for its "Message sent": on a busy machine Alpine may leave "Sending mail" standing there instead.
  await waitUntil('the message', () => smtp.messages.length === 1, { detail: screen.text });
  await screen.waitFor('MESSAGE INDEX');
  const [message = ''] = smtp.messages;
  assert.match(message, /^Subject: Through a forward\r$/m);
  assert.ok(message.endsWith('\r\n\r\none line\r\n'), message);
  screen.type('q');
  await screen.waitFor('Really quit Alpine?');
  screen.type('y');
  assert.equal(await screen.waitForExit(), 0);
});

function splitCommand([command, ...words]: readonly string[]): [string, string[]] {
  return [command ?? '', words];
}

/** What a person has answered once: who he is, where copies go, the questions of a new version. */
const QUIET_PINERC = `
personal-name=Pat
user-domain=example.org
default-fcc=""
last-version-used=6.26
last-time-prune-questioned=199.12
`;
