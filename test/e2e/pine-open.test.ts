/** Opening, using and ending a mailbox the way c-client does: one pipe for stdout and stderr, signals ignored, real imapd. */
import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { fetchSubjects, type ImapClient, openImapClient } from '../helpers/imap-client.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { MESSAGE_COUNT, subjectOf } from '../helpers/mail-messages.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import type { SshdOptions } from '../helpers/real-sshd.ts';
import { findProgram, optionalPrograms, programPath, requirePrograms } from '../helpers/requirements.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

/** What ends "at once" on an idle machine, with room for a busy one. */
const PROMPT = { timeout: 5_000 };

const ALL_SUBJECTS = Array.from({ length: MESSAGE_COUNT }, (_, index) => subjectOf(index + 1));

const NEEDS = requirePrograms('sshd', 'imap');

/** Shells of other families; a machine that tests everything must have those it wants to see here. */
const SHELLS = ['bash', 'csh', 'tcsh', 'zsh', 'fish'].filter(
  (shell) => findProgram(shell) !== undefined || process.env['CI'] !== 'true',
);

/** What Pine runs for `{work/secure/user=USER}`. */
const pineWords = (host: string, user: string) => [host, '-l', user, 'exec', '/etc/rimapd'];

interface Setup {
  readonly host: MailHost;
  readonly home: TempHome;
  /** Starts pine-rsh as Pine does; `words` stand in for Pine's. */
  start(words?: readonly string[]): PineChild;
  /** The same, and waits for the greeting of a real imapd as the first line (a refusal greets with PREAUTH too). */
  open(words?: readonly string[]): Promise<{ child: PineChild; imap: ImapClient }>;
  /** Nothing of the session runs any more, here or there. */
  waitForQuiet(): Promise<void>;
}

interface SetupOptions {
  readonly sshd?: SshdOptions;
  readonly alias?: (host: MailHost) => AliasKeys;
}

async function openSetup(t: TestContext, build: Build, options: SetupOptions = {}): Promise<Setup> {
  const host = await openMailHost(t, options.sshd);
  const home = openTempHome(t);
  home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, SHARE: 'no', ...options.alias?.(host) });
  const start = (words: readonly string[] = pineWords('work', host.user)) =>
    runAsPine(t, build.rshPath, words, { env: home.env, cwd: '/' });
  return {
    host,
    home,
    start,
    open: async (words) => {
      const child = start(words);
      const imap = openImapClient(child);
      assert.match(await imap.greeting(), /^\* PREAUTH (?!.*pine-rsh:)/, home.log());
      return { child, imap };
    },
    waitForQuiet: async () => {
      await waitForNoProcess(home.dir);
      await waitUntil('remote processes end', () => host.remoteProcesses().length === 0, {
        ...PROMPT,
        detail: () => JSON.stringify(host.remoteProcesses()),
      });
    },
  };
}

/** A session whose remote imapd has greeted and then neither reads nor ends. */
async function openStuck(
  t: TestContext,
  build: Build,
): Promise<{ child: PineChild; waitForQuiet(): Promise<void> }> {
  const { open, host, waitForQuiet } = await openSetup(t, build, {
    alias: (to) => ({ IMAPD: to.writeProgram('stuck', "printf '* PREAUTH stuck\\r\\n'\nexec sleep 300") }),
  });
  const { child } = await open();
  await waitUntil('the remote imapd', () =>
    host.remoteProcesses().some((each) => each.command === 'sleep 300'),
  );
  return { child, waitForQuiet };
}

for (const build of BUILDS) {
  describe(`A mailbox as Pine opens it (${build.name})`, { skip: NEEDS || build.skip }, () => {
    test('A mailbox of 20 messages opens, is read and is left by LOGOUT', async (t) => {
      const { open, waitForQuiet } = await openSetup(t, build);
      const { child, imap } = await open();
      if (build.executable !== undefined) {
        assert.equal(readlinkSync(`/proc/${child.pid}/exe`), build.executable);
      }

      const selected = await imap.ask('SELECT INBOX');
      assert.equal(selected.status, 'OK');
      assert.ok(selected.lines.includes(`* ${MESSAGE_COUNT} EXISTS`));
      assert.deepEqual(await fetchSubjects(imap, MESSAGE_COUNT), ALL_SUBJECTS);

      assert.equal((await imap.ask('LOGOUT')).status, 'OK');
      const { code, signal } = await child.finish(PROMPT);
      assert.deepEqual({ code, signal }, { code: 0, signal: null });
      await waitForQuiet();
    });

    test('Without a command the imapd of the alias runs, so that a tunnel needs only the name', async (t) => {
      const { open } = await openSetup(t, build);
      const { child, imap } = await open(['work']);
      await imap.ask('LOGOUT');
      assert.equal((await child.finish(PROMPT)).code, 0);
    });

    test('The local login name that Pine passes for a folder without /user= is not the remote user', async (t) => {
      const { open } = await openSetup(t, build);
      const { imap } = await open(pineWords('work', userInfo().username));
      assert.equal((await imap.ask('NOOP')).status, 'OK');
    });

    test('End of input ends the session and the remote imapd', async (t) => {
      const { host, open, waitForQuiet } = await openSetup(t, build);
      const { child, imap } = await open();
      await imap.ask('SELECT INBOX');
      assert.notEqual(host.remoteProcesses().length, 0);
      child.endInput();
      assert.equal((await child.finish(PROMPT)).code, 0);
      await waitForQuiet();
    });

    for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
      test(`${signal} ends everything at once, a remote imapd that is stuck included`, async (t) => {
        const { child, waitForQuiet } = await openStuck(t, build);
        child.kill(signal);
        assert.notEqual((await child.finish(PROMPT)).code, 0);
        await waitForQuiet();
      });
    }

    test('A reader that goes away ends the session and the remote imapd', async (t) => {
      const { open, waitForQuiet } = await openSetup(t, build);
      const { child } = await open();
      child.closeOutput();
      child.write('a1 NOOP\r\n');
      assert.notEqual((await child.waitForExit(PROMPT)).code, 0);
      await waitForQuiet();
    });

    test('A host that no alias names is declined at once and in silence', async (t) => {
      const home = openTempHome(t);
      const child = runAsPine(t, build.rshPath, pineWords('work', 'pat'), { env: home.env, cwd: '/' });
      const { code, output, ms } = await child.finish(PROMPT);
      assert.deepEqual({ code, output: output.toString() }, { code: 255, output: '' });
      assert.ok(ms < 2_000, `${ms} ms`);
    });

    test('A host that no alias names costs no look-up and no connection', {
      skip: requirePrograms('strace'),
    }, async (t) => {
      const home = openTempHome(t);
      const IDENTITY_FILE = join(home.dir, 'id');
      makeKey('ed25519', IDENTITY_FILE);
      const KNOWN_HOSTS = home.writeFile('known_hosts', '');
      const PORT = await findFreePort();
      home.writeAlias('nobody-listens', {
        HOSTNAME: '127.0.0.1',
        PORT,
        IDENTITY_FILE,
        KNOWN_HOSTS,
        SHARE: 'no',
      });
      const trace = join(home.dir, 'trace');
      const watch = async (host: string): Promise<string> => {
        const words = ['-f', '-qq', '-e', 'trace=%network', '-o', trace, build.rshPath];
        const child = runAsPine(t, programPath('strace'), [...words, ...pineWords(host, 'pat')], {
          env: home.env,
          cwd: '/',
        });
        child.endInput();
        assert.equal((await child.finish()).code, 255);
        return readFileSync(trace, 'utf8');
      };
      assert.match(await watch('nobody-listens'), /connect\(.*AF_INET/, 'the watch sees connections');
      assert.doesNotMatch(await watch('work.example.org'), /AF_INET/);
    });

    test('What the mail host says on stderr, and before the greeting on stdout, stays out of the mail', async (t) => {
      const banner = 'Authorised use only';
      const bannerFile = openTempHome(t).writeFile('banner', `${banner}\n`);
      const { home, open } = await openSetup(t, build, {
        sshd: { config: [`Banner ${bannerFile}`] },
        alias: (host) => ({
          IMAPD: host.writeProgram(
            'noisy',
            `echo 'Welcome to work'\necho 'stderr noise' >&2\nexec ${host.rimapd}`,
          ),
        }),
      });
      const { child, imap } = await open();
      assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
      await imap.ask('LOGOUT');
      const { code, output } = await child.finish(PROMPT);
      assert.equal(code, 0);
      assert.match(output.toString('latin1'), /^\* PREAUTH /);
      for (const noise of ['Welcome to work', 'stderr noise', banner]) assert.ok(!output.includes(noise));
      assert.match(home.log(), /stderr noise/);
      assert.match(home.log(), /Welcome to work/);
    });

    for (const shell of SHELLS) {
      test(`A mailbox opens where the login shell is ${shell}`, {
        skip: optionalPrograms(shell),
      }, async (t) => {
        // As sshd does: the shell gets the command line as one word after -c.
        const login = `ForceCommand ${programPath(shell)} -c "$SSH_ORIGINAL_COMMAND"`;
        for (const IMAPD of [undefined, 'auto']) {
          const { open, host } = await openSetup(t, build, {
            sshd: { config: [login] },
            alias: (to) => ({ IMAPD: IMAPD ?? to.rimapd }),
          });
          const { imap } = await open(pineWords('work', host.user));
          assert.equal((await imap.ask('NOOP')).status, 'OK');
        }
      });
    }
  });
}
