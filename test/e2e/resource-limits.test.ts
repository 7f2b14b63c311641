/**
 * A machine that gives pine-rsh less than it needs: files that may not grow, few descriptors, little memory, a resolver
 * that never answers. As long as the runtime starts at all, a mail client gets a mailbox or a reason.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import { openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openMailDrop } from '../helpers/mail-drop.ts';
import { pineWords, readRefusal, settleOpening } from '../helpers/pine-caller.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import type { AliasKeys } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';

const NEEDS = requirePrograms('sshd', 'imap', 'prlimit');
const AS_ROOT = process.getuid?.() === 0 ? false : 'only root can replace /etc/resolv.conf for one process';

const SILENT_RESOLVER = '127.53.0.1';

/** EX_TEMPFAIL, EX_IOERR: it was not sent, and the caller still has it. */
const NOT_SENT = [75, 74];

/** The fewest descriptors with which each runtime starts, and more until everything works. Measured. */
const DESCRIPTORS: Readonly<Record<string, readonly number[]>> = {
  standalone: [13, 16, 20, 32],
  'node bundle': [20, 22, 24, 28, 36],
};

/** Bytes of address space. Below the first of them the runtime itself ends. */
const ADDRESS_SPACE: Readonly<Record<string, readonly number[]>> = {
  standalone: [500_000_000, 1_000_000_000],
  'node bundle': [800_000_000, 900_000_000, 1_500_000_000],
};

/** Opens a mailbox under a limit; what comes must be a mailbox that works, or a refusal. */
async function openUnder(t: TestContext, build: Build, sharing: Sharing, limit: string): Promise<string> {
  const words = [limit, build.rshPath, ...pineWords('work', sharing.host.user)];
  const child = runAsPine(t, programPath('prlimit'), words, { env: sharing.home.env, cwd: '/' });
  try {
    const refusal = await settleOpening(child);
    if (refusal !== undefined) return refusal;
    child.write('a1 SELECT INBOX\r\n');
    await child.waitForText('a1 OK');
    child.write('a2 LOGOUT\r\n');
    assert.equal((await child.finish()).code, 0);
    return 'opened';
  } catch (cause) {
    throw new Error(`${limit}: ${sharing.home.log()}`, { cause });
  }
}

for (const build of BUILDS) {
  describe(`With little of the machine (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 2,
  }, () => {
    for (const SHARE of ['yes', 'no']) {
      test(`A mailbox opens where no file may grow, the log included (SHARE=${SHARE})`, async (t) => {
        const sharing = await openSharing(t, build, { alias: () => ({ SHARE }) });
        assert.equal(await openUnder(t, build, sharing, '--fsize=0'), 'opened');
        assert.equal(sharing.home.log(), '');
      });

      test(`Few descriptors end in a mailbox or a reason (SHARE=${SHARE})`, async (t) => {
        const sharing = await openSharing(t, build, { alias: () => ({ SHARE, PERSIST: 1 }) });
        const outcomes: string[] = [];
        for (const count of DESCRIPTORS[build.name] ?? [64]) {
          outcomes.push(await openUnder(t, build, sharing, `--nofile=${count}`));
        }
        t.diagnostic(outcomes.join(' | '));
        assert.equal(outcomes.at(-1), 'opened');
      });
    }

    test('Little memory ends in a mailbox or a reason', async (t) => {
      const sharing = await openSharing(t, build, { alias: () => ({ SHARE: 'no' }) });
      const outcomes: string[] = [];
      for (const bytes of ADDRESS_SPACE[build.name] ?? []) {
        outcomes.push(await openUnder(t, build, sharing, `--as=${bytes}`));
      }
      t.diagnostic(outcomes.join(' | '));
    });

    for (const QUEUE of ['no', 'yes']) {
      test(`A message for which the disk has no room is not sent, and the caller is told (QUEUE=${QUEUE})`, async (t) => {
        const sharing = await openSharing(t, build);
        const { home, host } = sharing;
        const drop = openMailDrop(host);
        const keys: AliasKeys = { ...host.aliasKeys, SENDMAIL: drop.program, QUEUE };
        home.writeAlias('work', keys);
        const words = ['--fsize=4096', build.rshPath, 'work', 'sendmail', '-oi', '-t'];
        const { code, stderr } = await runProgram(programPath('prlimit'), words, {
          env: home.env,
          input: `To: you@example.org\n\n${'A line.\n'.repeat(10_000)}`,
        });
        assert.ok(NOT_SENT.includes(code ?? -1), `${code}`);
        assert.match(stderr.toString(), /^pine-rsh: work: .*; /);
        assert.deepEqual(drop.messages(), []);
        const queued = await runProgram(build.ctlPath, ['queue', 'list', '--json'], { env: home.env });
        assert.deepEqual(JSON.parse(queued.stdout.toString()), { messages: [] });
      });
    }

    test('A resolver that never answers costs CONNECT_TIMEOUT, and no more', {
      skip: AS_ROOT || requirePrograms('unshare', 'mount'),
    }, async (t) => {
      const home = openTrialHome(t);
      home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat', CONNECT_TIMEOUT: 1, SHARE: 'no' });
      const silent = createSocket('udp4');
      defer(t, () => silent.close());
      // Resolvers know no other port; an address that nobody else uses makes up for it.
      silent.bind(53, SILENT_RESOLVER);
      await once(silent, 'listening');
      const lines = `nameserver ${SILENT_RESOLVER}\noptions timeout:2 attempts:1\n`;
      const resolver = home.writeFile('resolv.conf', lines, 0o644);
      const names = home.writeFile('nsswitch.conf', 'hosts: dns\n', 0o644);
      const script = `mount --bind '${resolver}' /etc/resolv.conf && mount --bind '${names}' /etc/nsswitch.conf && exec "$@"`;
      const words = ['-m', 'sh', '-c', script, 'sh', build.rshPath, ...pineWords('work', 'pat')];
      const child = runAsPine(t, programPath('unshare'), words, { env: home.env, cwd: '/' });
      assert.match(await readRefusal(child), /no answer from mail\.example\.org:22 within 1 s/);
      await waitForNoProcess(home.dir);
    });
  });
}
