/** pine-rsh as a sendmail: the message arrives byte for byte, whole or not at all, and the exit status is true. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build, ROOT } from '../helpers/builds.ts';
import { killConnections, openRelay, type Relay, writeKnownHosts } from '../helpers/faulty-host.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type MailDrop, openMailDrop } from '../helpers/mail-drop.ts';
import { findProcesses, signalProcess } from '../helpers/processes.ts';
import { openRealSshd, type RealSshd, type SshdOptions } from '../helpers/real-sshd.ts';
import { optionalPrograms, programPath, requirePrograms } from '../helpers/requirements.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import type { AliasKeys, TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd');
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Dots, 8-bit, a line longer than SMTP allows, lines that look like a mailbox, and no newline at the end. */
const MESSAGE = Buffer.concat([
  Buffer.from('From: Pat <pat@example.org>\nTo: you@example.org\nSubject: dots\n\n.\n..\nFrom me\n\r\n'),
  ALL_BYTES,
  Buffer.from('x'.repeat(3_000)),
  Buffer.from('\n.'),
]);

interface Setup {
  readonly server: RealSshd;
  readonly drop: MailDrop;
  readonly home: TempHome;
  /** Runs `pine-rsh work sendmail WORDS`. */
  send(message: Buffer, words?: readonly string[]): Promise<RunResult & { text: string }>;
}

async function openSetup(
  t: TestContext,
  build: Build,
  options: { sshd?: SshdOptions; alias?: AliasKeys } = {},
): Promise<Setup> {
  const server = await openRealSshd(t, options.sshd);
  const drop = openMailDrop(server);
  const home = openTrialHome(t);
  home.writeAlias('work', { ...server.aliasKeys, SENDMAIL: drop.program, SHARE: 'no', ...options.alias });
  const send = async (message: Buffer, words: readonly string[] = ['-oi', '-t']) => {
    const all = ['work', 'sendmail', ...words];
    const result = await runProgram(build.rshPath, all, { env: home.env, input: message });
    return { ...result, text: `${result.stdout}${result.stderr}` };
  };
  return { server, drop, home, send };
}

/**
 * A mail host whose `cat`, which stores a message, waits for a file `go`, so that an upload is held up for sure. It waits
 * no longer than there is a test: an upload that was cut leaves it alone.
 */
function holdUploads(t: TestContext): SshdOptions {
  const dir = makeTempDir(t, 'bin');
  chmodSync(dir, 0o755);
  const wait =
    'touch "$HOME/drop/storing"; while ! test -f "$HOME/drop/go"; do test -f "$0" || exit; sleep 0.05; done';
  writeFileSync(join(dir, 'cat'), `#!/bin/sh\n${wait}\nexec ${programPath('cat')}\n`, { mode: 0o755 });
  return { env: { PATH: `${dir}:/usr/bin:/bin` } };
}

/** Waits until a file of that name is there. */
async function waitForDrop({ server }: Pick<Setup, 'server'>, name: string): Promise<void> {
  await waitUntil(`a file ${name}`, () => existsSync(join(server.home, 'drop', name)));
}

/** What lies in the folder for messages; nothing may. */
function listSpool(home: TempHome): string[] {
  const dir = join(home.stateDir, 'queue');
  return existsSync(dir) ? readdirSync(dir) : [];
}

for (const build of BUILDS) {
  describe(`A message sent by pine-rsh (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 2,
  }, () => {
    for (const SHARE of ['yes', 'no']) {
      test(`Arrives unchanged, with the arguments as they were given (SHARE=${SHARE})`, async (t) => {
        const { drop, home, send } = await openSetup(t, build, { alias: { SHARE } });
        const words = [
          '-oi',
          '-f',
          "o'hara@example.org",
          '--',
          '"; touch evil;"@x',
          '$HOME',
          '`id`',
          '*',
          'a  b',
          '',
        ];
        const { code, text } = await send(MESSAGE, words);
        assert.deepEqual([code, text], [0, '']);
        const [mail, ...more] = drop.messages();
        assert.equal(more.length, 0);
        assert.ok(mail?.bytes.equals(MESSAGE));
        assert.deepEqual(mail?.args, words);
        assert.match(home.log(), new RegExp(`route=${SHARE === 'yes' ? 'shared' : 'direct'}`));
        assert.deepEqual(listSpool(home), []);
      });

      test(`25 MB of everything arrive unchanged (SHARE=${SHARE})`, async (t) => {
        const { drop, send } = await openSetup(t, build, { alias: { SHARE } });
        const line = Buffer.concat([Buffer.from('.'), ALL_BYTES, Buffer.from('\u00e4'.repeat(500))]);
        const message = Buffer.concat(
          Array.from({ length: Math.ceil(25_000_000 / line.length) }, () => line),
        );
        const { code, text } = await send(message);
        assert.deepEqual([code, text], [0, '']);
        assert.ok(drop.messages()[0]?.bytes.equals(message));
      });
    }

    test('May be empty, and is with -n', async (t) => {
      const { drop, home, send } = await openSetup(t, build);
      assert.equal((await send(Buffer.alloc(0))).code, 0);
      const words = ['-n', 'work', 'sendmail', '-t'];
      assert.equal((await runProgram(build.rshPath, words, { env: home.env, input: MESSAGE })).code, 0);
      assert.deepEqual(
        drop.messages().map(({ bytes }) => bytes.length),
        [0, 0],
      );
    });

    test('Brings back the status and the words of the remote command', async (t) => {
      const { drop, send } = await openSetup(t, build);
      for (const [lines, status, words] of [
        ['echo "550 no such user" >&2; exit 67', 67, '550 no such user\n'],
        ['echo queued; exit 0', 0, 'queued\n'],
        ['echo "try later" >&2; exit 75', 75, 'try later\n'],
        ['echo odd >&2; exit 255', 255, 'odd\n'],
      ] as const) {
        drop.behave(lines);
        const { code, text } = await send(MESSAGE);
        assert.deepEqual([code, text], [status, words]);
      }
      drop.behave('exit 13');
      const silent = await send(MESSAGE);
      assert.equal(silent.code, 13);
      assert.match(silent.text, /^pine-rsh: work: sendmail on .* ended with status 13 and without a word; /);
      drop.behave('kill -TERM $$');
      const killed = await send(MESSAGE);
      assert.equal(killed.code, 128 + 15);
      assert.match(killed.text, /may or may not have been sent .*signal TERM/);
      assert.deepEqual(drop.messages(), []);
    });

    test('Is refused with 127 and a hint where the host has no such sendmail', async (t) => {
      const { send } = await openSetup(t, build, { alias: { SENDMAIL: '/no/such/sendmail' } });
      const { code, text } = await send(MESSAGE);
      assert.equal(code, 127);
      assert.match(text, /no sendmail found on .*set SENDMAIL/);
    });

    test('Is not taken for delivered where a forced command runs something else and succeeds', async (t) => {
      for (const command of ['cat', 'true', 'echo stored; cat']) {
        const { drop, send } = await openSetup(t, build, { sshd: { keyOptions: `command="${command}"` } });
        const { code, text } = await send(MESSAGE);
        assert.equal(code, 78, command);
        assert.match(text, /did not run what stores a message/);
        assert.deepEqual(drop.messages(), []);
      }
    });

    test('Arrives where login scripts talk on both outputs', async (t) => {
      const noise = 'ForceCommand echo motd; echo warning >&2; eval "$SSH_ORIGINAL_COMMAND"';
      const { drop, send } = await openSetup(t, build, { sshd: { config: [noise] } });
      const { code, stdout } = await send(MESSAGE);
      assert.deepEqual([code, stdout.toString()], [0, '']);
      assert.ok(drop.messages()[0]?.bytes.equals(MESSAGE));
    });

    for (const shell of ['sh', 'bash', 'dash', 'zsh', 'tcsh', 'fish']) {
      test(`Arrives where the login shell is ${shell}`, { skip: optionalPrograms(shell) }, async (t) => {
        const login = `ForceCommand ${programPath(shell)} -c "$SSH_ORIGINAL_COMMAND"`;
        const { drop, send } = await openSetup(t, build, { sshd: { config: [login] } });
        const { code, text } = await send(MESSAGE);
        assert.deepEqual([code, text], [0, '']);
        assert.ok(drop.messages()[0]?.bytes.equals(MESSAGE));
      });
    }

    test('Is read to its end before a failure is told, with the status of a sendmail', async (t) => {
      const { home, server } = await openSetup(t, build);
      const PORT = await findFreePort();
      home.writeAlias('away', { ...server.aliasKeys, PORT, SHARE: 'no' });
      home.writeAlias('stranger', {
        ...server.aliasKeys,
        KNOWN_HOSTS: home.writeFile('none', ''),
        SHARE: 'no',
      });
      home.writeAlias('broken', { ...server.aliasKeys, IDENTITY_FILE: '/no/such/key', SHARE: 'no' });
      const fed = join(home.dir, 'fed');
      const line = '{ head -c 1000000 /dev/zero; echo $? >"$1"; } | { shift; "$0" "$@"; }';
      for (const [words, status, text] of [
        [['away', 'sendmail', '-t'], 75, /refused the connection/],
        [['stranger', 'sendmail', '-t'], 77, /pine-rshctl trust stranger/],
        [['broken', 'sendmail', '-t'], 78, /no\/such\/key does not exist/],
        [['nobody', 'sendmail', '-t'], 78, /no alias nobody/],
        [['-Z', 'work', 'sendmail', '-t'], 64, /unknown option -Z/],
        [['work', 'sendmail', 'a\nb@example.org'], 64, /line break/],
      ] as const) {
        const result = await runProgram('/bin/sh', ['-c', line, build.rshPath, fed, ...words], {
          env: home.env,
        });
        assert.equal(result.code, status, words.join(' '));
        assert.match(result.stderr.toString(), text);
        assert.equal(readFileSync(fed, 'utf8'), '0\n', `${words.join(' ')}: the feeder met no broken pipe`);
      }
    });

    test('Is not ended by the signals that end a mail client', async (t) => {
      const { drop, home, server } = await openSetup(t, build);
      drop.behave('touch "$HOME/drop/there"; while ! test -f "$HOME/drop/go"; do sleep 0.05; done');
      const child = runAsPine(t, build.rshPath, ['work', 'sendmail', '-t'], { env: home.env });
      child.write(MESSAGE);
      child.endInput();
      await waitUntil('the message is there', () => existsSync(join(server.home, 'drop', 'there')));
      for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT'] as const) child.kill(signal);
      assert.equal((await runProgram('touch', [join(server.home, 'drop', 'go')], { env: home.env })).code, 0);
      assert.deepEqual((await child.finish()).code, 0);
      assert.ok(drop.messages()[0]?.bytes.equals(MESSAGE));
    });

    test('Goes over a connection of its own when the broker hangs', async (t) => {
      const { drop, home, send } = await openSetup(t, build, { alias: { SHARE: 'yes' } });
      assert.equal((await send(MESSAGE)).code, 0);
      const brokers = findProcesses(home.dir).filter(({ command }) => command.includes(' --broker '));
      assert.equal(brokers.length, 1);
      for (const { pid } of brokers) signalProcess(pid, 'SIGSTOP');
      assert.equal((await send(MESSAGE)).code, 0);
      assert.equal(drop.messages().length, 2);
      assert.match(home.log(), /route=shared.*route=direct/s);
    });

    test('Is never started by the name of a folder', async (t) => {
      const { drop, home } = await openSetup(t, build);
      for (const words of [
        ['work', '-l', 'pat', 'sendmail', 'you@example.org', 'exec', '/etc/rimapd'],
        ['work', '-l', 'pat', 'sendmail', ...Array.from({ length: 15 }, (_, at) => `u${at}@example.org`)],
      ]) {
        const child = runAsPine(t, build.rshPath, words, { env: home.env });
        child.write('00000000 SELECT INBOX\r\n');
        child.endInput();
        const { output, code } = await child.finish();
        assert.notEqual(code, 0);
        assert.match(output.toString(), /unexpected word/);
      }
      assert.deepEqual(drop.messages(), []);
    });
  });

  describe(`docs/sending-mail.md tells the truth (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 2,
  }, () => {
    /** The rows of the table: what happened, status, outcome. */
    const rows = readFileSync(join(ROOT, 'docs', 'sending-mail.md'), 'utf8')
      .split('\n')
      .flatMap((line) => /^\| (.+) \| (\d+) \| `([a-z-]+)` \|$/.exec(line)?.slice(1) ?? [])
      .reduce<string[][]>((all, cell, at) => {
        if (at % 3 === 0) all.push([]);
        all.at(-1)?.push(cell);
        return all;
      }, []);

    const behaves = (lines: string, keys: AliasKeys = {}) => ({ lines, keys });
    const remote: Readonly<Record<string, { lines: string; keys: AliasKeys }>> = {
      'sendmail ended with 0': behaves('exit 0'),
      'sendmail ended with 75 (try again), or the host had no room': behaves('exit 75'),
      'sendmail ended with another status, such as 67': behaves('exit 67'),
      'there is no such sendmail': behaves('', { SENDMAIL: '/no/such/sendmail' }),
      'sendmail ended with 255': behaves('exit 255'),
      'a signal ended sendmail, such as 15': behaves('kill -TERM $$'),
      'the host could not be reached': behaves('', { PROXY_COMMAND: 'false' }),
      'the host key or the login was refused': behaves('', { KNOWN_HOSTS: '/dev/null' }),
      'the configuration is wrong': behaves('', { IDENTITY_FILE: '/no/such/key' }),
    };
    /** What is done to a session while it lasts. */
    type Deed = (setup: Setup, child: PineChild) => Promise<void>;
    const deeds: Readonly<Record<string, Deed>> = {
      'the line was lost before the last bytes were sent': async (setup) => {
        await waitForDrop(setup, 'storing');
        killConnections(setup.server);
      },
      'the line was lost later': async (setup) => {
        await waitForDrop(setup, 'there');
        killConnections(setup.server);
      },
      'SIGTERM ended pine-rsh before the last bytes were sent': async (setup, child) => {
        await waitForDrop(setup, 'storing');
        child.kill('SIGTERM');
      },
      'SIGTERM ended pine-rsh later': async (setup, child) => {
        await waitForDrop(setup, 'there');
        child.kill('SIGTERM');
      },
    };
    const forced = 'something else than asked for ran there';

    test('Its table is about all of these, and nothing else', () => {
      const known = [...Object.keys(remote), ...Object.keys(deeds), forced].sort();
      assert.deepEqual(rows.map(([what]) => what ?? '').sort(), known);
    });

    for (const [what = '', status, outcome] of rows) {
      test(`When ${what}: ${status}, ${outcome}`, async (t) => {
        const { lines, keys } = remote[what] ?? behaves('touch "$d/there"; sleep 30');
        const early = what.includes('before the last');
        const sshd = early
          ? holdUploads(t)
          : what === forced
            ? { keyOptions: 'command="cat >/dev/null"' }
            : {};
        const setup = await openSetup(t, build, { sshd, alias: { SSH_CONFIG: 'no', ...keys } });
        setup.drop.behave(lines);
        const deed = deeds[what];
        const child = runAsPine(t, build.rshPath, ['work', 'sendmail', '-t'], { env: setup.home.env });
        // More than fits into the buffers on the way.
        child.write(early ? Buffer.alloc(20_000_000) : MESSAGE);
        child.endInput();
        await deed?.(setup, child);
        const { code } = await child.finish();
        assert.equal(code, Number(status));
        assert.match(setup.home.log(), new RegExp(`outcome=${outcome} `));
      });
    }
  });

  describe(`The line is cut while a message is sent (${build.name})`, { skip: NEEDS || build.skip }, () => {
    const message = Buffer.concat([MESSAGE, Buffer.alloc(150_000, 'A line of text\n')]);

    /** Sends it through a relay that cuts; gives what each end believes. */
    async function openCutSetup(t: TestContext): Promise<{
      relay: Relay;
      trySend: () => Promise<{ code: number | null; delivered: number }>;
    }> {
      const { server, drop, home, send } = await openSetup(t, build);
      const relay = await openRelay(t, server.port);
      home.writeAlias('work', {
        ...server.aliasKeys,
        PORT: relay.port,
        KNOWN_HOSTS: writeKnownHosts(server, relay.port),
        SENDMAIL: drop.program,
        SHARE: 'no',
        SSH_CONFIG: 'no',
      });
      const trySend = async () => {
        const { code } = await send(message);
        await waitUntil('the session ends', () => server.remoteProcesses().length === 0);
        const messages = drop.messages();
        for (const { bytes } of messages) assert.ok(bytes.equals(message), 'a message that is not whole');
        drop.forget();
        return { code, delivered: messages.length };
      };
      return { relay, trySend };
    }

    test('On the way there: half a message is never delivered, and 75 means that none was', async (t) => {
      const { relay, trySend } = await openCutSetup(t);
      assert.deepEqual(await trySend(), { code: 0, delivered: 1 });
      const total = relay.carried('up');
      const offsets = [
        500,
        ...[0.05, 0.2, 0.5, 0.8, 0.95].map((part) => Math.round(total * part)),
        ...Array.from({ length: 10 }, (_, at) => total - at * 50),
        ...[800, 1_500, 5_000, 20_000, 33_000].map((before) => total - before),
      ];
      const seen = new Set<number | null>();
      for (const offset of offsets) {
        relay.failAfter(offset, 'up', 'cut');
        const { code, delivered } = await trySend();
        seen.add(code);
        assert.ok(
          code === 75 || code === 69 || (code === 0 && delivered === 1),
          `${code} at ${offset} of ${total}`,
        );
        if (code === 75) assert.equal(delivered, 0, `cut at ${offset} of ${total}`);
        if (offset < total - 1_000) assert.equal(code, 75, `cut at ${offset} of ${total}`);
      }
      t.diagnostic(`${offsets.length} cuts, exit statuses ${[...seen].join(' ')}`);
      assert.ok(seen.has(75));
    });

    test('On the way back: without the word of the remote command nothing is taken for delivered', async (t) => {
      const { relay, trySend } = await openCutSetup(t);
      assert.deepEqual(await trySend(), { code: 0, delivered: 1 });
      const total = relay.carried('down');
      for (const before of [1, 40, 80, 120, 160, 200, 300]) {
        relay.failAfter(total - before, 'down', 'cut');
        const { code, delivered } = await trySend();
        if (code === 75) assert.equal(delivered, 0);
        else assert.ok(code === 69 || (code === 0 && delivered === 1), `${code} at ${before} before the end`);
      }
    });

    test('By the death of pine-rsh: half a message is not delivered', async (t) => {
      const setup = await openSetup(t, build, { sshd: holdUploads(t) });
      const { drop, home, server } = setup;
      const dir = join(server.home, 'drop');
      for (const SHARE of ['no', 'yes']) {
        for (const name of ['storing', 'go']) rmSync(join(dir, name), { force: true });
        home.writeAlias('work', { ...server.aliasKeys, SENDMAIL: drop.program, SHARE });
        const child = runAsPine(t, build.rshPath, ['work', 'sendmail', '-t'], { env: home.env });
        child.write(Buffer.alloc(20_000_000, 'A line of text\n'));
        child.endInput();
        await waitForDrop(setup, 'storing');
        const { pid } =
          findProcesses(home.dir).find(({ command }) => / work sendmail /.test(command)) ?? child;
        signalProcess(pid, 'SIGKILL');
        writeFileSync(join(dir, 'go'), '');
        await waitUntil('the session ends', () => server.remoteProcesses().length === 0);
      }
      assert.deepEqual(drop.messages(), []);
    });
  });
}
