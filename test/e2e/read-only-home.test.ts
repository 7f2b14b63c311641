/**
 * An ordinary user who may write nowhere: not in HOME, not in /tmp, if there is one, and without a runtime folder. What
 * pine-rsh would keep there is done without; a mailbox opens, and a message is sent or stays with its caller.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { asUser } from '../helpers/as-user.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { giveTo } from '../helpers/login-user.ts';
import { openMailDrop } from '../helpers/mail-drop.ts';
import { openMailHost } from '../helpers/mail-host.ts';
import { pineWords, settleOpening } from '../helpers/pine-caller.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { Scope } from '../helpers/scope.ts';
import type { AliasKeys } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';

const NEEDS =
  requirePrograms('sshd', 'imap', 'unshare', 'mount', 'chroot', 'setpriv') ||
  (process.getuid?.() === 0 ? false : 'only root can become another user');

/** In the namespace of one process; /tmp holds everything of the tests, and is none of the user's. */
const HOME = ['mount --rbind "$1" "$2/build"', 'mount --rbind "$2" /mnt', 'shift 2'];

/** What becomes of /tmp, and of the rest of the command line. */
const TMP = {
  'read-only': ['mount -t tmpfs -o ro,mode=1777 tmpfs /tmp', 'exec "$@"'],
  // A root of its own, with all that the other has but that.
  missing: [
    'mount -t tmpfs -o mode=755 tmpfs /media',
    [
      'for d in $(ls / | grep -vx -e tmp -e media); do',
      'if [ -L "/$d" ]; then cp -P "/$d" /media;',
      'elif [ -d "/$d" ]; then mkdir "/media/$d" && mount --rbind "/$d" "/media/$d"; fi; done',
    ].join(' '),
    'chroot /media test ! -e /tmp',
    'exec chroot /media "$@"',
  ],
} as const;

type Tmp = keyof typeof TMP;

/** EX_TEMPFAIL, EX_IOERR, EX_CANTCREAT: it was not sent, and the caller still has it. */
const NOT_SENT = [75, 74, 73];

async function openWorld(scope: Scope, build: Build, alias: AliasKeys = {}, tmp: Tmp = 'read-only') {
  const host = await openMailHost(scope);
  const drop = openMailDrop(host);
  const home = openTrialHome(scope);
  mkdirSync(join(home.dir, 'build'));
  const key = join(home.dir, 'id');
  copyFileSync(host.identityFile, key);
  chmodSync(key, 0o600);
  copyFileSync(host.knownHostsFile, join(home.dir, 'known_hosts'));
  home.writeAlias('work', {
    ...host.aliasKeys,
    IDENTITY_FILE: '~/id',
    KNOWN_HOSTS: '~/known_hosts',
    IMAPD: host.rimapd,
    SENDMAIL: drop.program,
    ...alias,
  });
  giveTo(host.login, home.dir);
  // Root's, for the user to read.
  for (const path of ['', 'build', '.config', '.config/pine-rsh', '.config/pine-rsh/hosts'])
    chmodSync(join(home.dir, path), 0o555);
  const { PATH = '', TERM = '', LANG = '' } = home.env;
  const tree = dirname(dirname(build.rshPath));
  const words = (program: string, more: readonly string[]): string[] => {
    const inside = asUser(host.login, [`/mnt/build/bin/${program}`, ...more]);
    return ['-m', 'sh', '-c', [...HOME, ...TMP[tmp]].join(' && '), 'sh', tree, home.dir, ...inside];
  };
  // The mark by which its processes are found.
  return { host, drop, words, env: { PATH, TERM, LANG, HOME: '/mnt', TEST_HOME: home.dir }, mark: home.dir };
}

for (const build of BUILDS) {
  describe(`Nowhere to write (${build.name})`, { skip: NEEDS || build.skip, concurrency: 2 }, () => {
    for (const [tmp, SHARE] of [
      ['read-only', 'yes'],
      ['read-only', 'no'],
      ['missing', 'yes'],
      ['missing', 'no'],
    ] as const) {
      test(`A mailbox opens, and nothing stays behind (/tmp ${tmp}, SHARE=${SHARE})`, async (t) => {
        const { host, words, env, mark } = await openWorld(t, build, { SHARE }, tmp);
        const child = runAsPine(t, programPath('unshare'), words('pine-rsh', pineWords('work', host.user)), {
          env: { ...env, XDG_RUNTIME_DIR: '/run/user/nobody' },
          cwd: '/',
        });
        assert.equal(await settleOpening(child), undefined);
        child.write('a1 SELECT INBOX\r\n');
        await child.waitForText('a1 OK');
        child.write('a2 LOGOUT\r\n');
        assert.equal((await child.finish()).code, 0);
        await waitForNoProcess(mark);
      });
    }

    for (const QUEUE of ['no', 'yes']) {
      test(`A message is sent once, or the caller keeps it (QUEUE=${QUEUE})`, async (t) => {
        const { drop, words, env } = await openWorld(t, build, { QUEUE });
        const { code, stderr } = await runProgram(
          programPath('unshare'),
          words('pine-rsh', ['work', 'sendmail', '-oi', '-t']),
          { env, input: 'To: you@example.org\n\nHello.\n' },
        );
        const sent = drop.messages().length;
        assert.ok(sent === 1 ? code === 0 : sent === 0 && NOT_SENT.includes(code ?? -1), `${sent} ${code}`);
        if (sent === 0) assert.match(stderr.toString(), /^pine-rsh: work: .*; /);
      });
    }

    test('doctor says that no connection is shared, and why', async (t) => {
      const { words, env } = await openWorld(t, build);
      const { stdout, stderr } = await runProgram(
        programPath('unshare'),
        words('pine-rshctl', ['doctor', 'work']),
        {
          env,
        },
      );
      const text = `${stdout}${stderr}`.replace(/\s+/g, ' ');
      assert.match(text, /ok mailbox opened as Pine opens it/);
      assert.match(text, /nothing private can be made in \/tmp\/pine-rsh-\d+: each folder logs in anew/);
    });
  });
}
