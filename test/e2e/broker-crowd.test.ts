/**
 * Many at once: a crowd on one alias, many aliases, a file that is edited and a program that is upgraded while they
 * come. Each gets a mailbox or a reason, what was saved is there once, and nothing stays behind. `PINE_RSH_TEST_CROWD`
 * and `PINE_RSH_TEST_ALIASES` make it larger, such as 500 and 100.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { pineWords, settleOpening } from '../helpers/pine-caller.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import { waitUntil } from '../helpers/wait.ts';

const CROWD = Number(process.env['PINE_RSH_TEST_CROWD'] ?? 30);
const ALIASES = Number(process.env['PINE_RSH_TEST_ALIASES'] ?? 8);

/** A session on a busy machine waits for all the others. */
const PATIENCE = { timeout: 60_000 + CROWD * 200 };

interface Outcome {
  /** Why it was refused; undefined for a mailbox. */
  readonly refusal: string | undefined;
  readonly firstByteMs: number;
}

/** One of the crowd: opens a mailbox, saves a message, leaves. */
async function come(
  t: TestContext,
  build: Build,
  { host, home }: Sharing,
  alias: string,
  id: string,
): Promise<Outcome> {
  const child = runAsPine(t, build.rshPath, pineWords(alias, host.user), { env: home.env, cwd: '/' });
  const refusal = await settleOpening(child, PATIENCE);
  const firstByteMs = child.chunks[0]?.at ?? 0;
  if (refusal !== undefined) return { refusal, firstByteMs };
  const text = `Subject: ${id}\r\n\r\nbody\r\n`;
  child.write(`a1 APPEND Work {${text.length}+}\r\n${text}\r\n`);
  await child.waitForText('a1 OK', PATIENCE);
  child.write('a2 LOGOUT\r\n');
  const { code, signal } = await child.finish(PATIENCE);
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, home.log());
  return { refusal, firstByteMs };
}

/** Everybody who got a mailbox has saved his message once; stopped brokers leave nothing, here and there. */
async function checkAftermath(
  t: TestContext,
  build: Build,
  { host, home }: Sharing,
  outcomes: readonly Outcome[],
): Promise<void> {
  const opened = outcomes.filter(({ refusal }) => refusal === undefined).length;
  const reasons = new Set(outcomes.map(({ refusal }) => refusal?.replace(/\d+/g, 'N')).filter(Boolean));
  const times = outcomes.map(({ firstByteMs }) => Math.round(firstByteMs)).sort((a, b) => a - b);
  t.diagnostic(
    `${outcomes.length} came, ${opened} opened; first byte: median ${times[Math.floor(times.length / 2)]} ms, slowest ${times.at(-1)} ms; ${[...reasons].join(' | ')}`,
  );
  const subjects = host.listMessages('Work').map(({ subject }) => subject);
  assert.equal(subjects.length, opened);
  assert.equal(new Set(subjects).size, opened);
  const stopped = await runProgram(build.ctlPath, ['stop', '--all'], { env: home.env, timeout: 60_000 });
  assert.equal(stopped.code, 0, stopped.stderr.toString());
  await waitForNoProcess(home.dir, PATIENCE);
  await waitUntil('the imapds end', () => host.remoteProcesses().length === 0, PATIENCE);
}

const idOf = (index: number): string => `saved-${index}`;

for (const build of BUILDS) {
  describe(`A crowd (${build.name})`, { skip: build.skip || requirePrograms('sshd', 'imap') }, () => {
    test('On one alias', async (t) => {
      const sharing = await openSharing(t, build);
      const outcomes = await Promise.all(
        Array.from({ length: CROWD }, (_, index) => come(t, build, sharing, 'work', idOf(index))),
      );
      await checkAftermath(t, build, sharing, outcomes);
      assert.ok(outcomes.every(({ refusal }) => refusal === undefined));
    });

    test('On many aliases', async (t) => {
      const sharing = await openSharing(t, build);
      const { host, home } = sharing;
      const names = Array.from({ length: ALIASES }, (_, index) => `work${index}`);
      for (const name of names) home.writeAlias(name, { ...host.aliasKeys, IMAPD: host.rimapd, PERSIST: 60 });
      const outcomes = await Promise.all(
        names.flatMap((name, index) =>
          [0, 1].map((twin) => come(t, build, sharing, name, idOf(2 * index + twin))),
        ),
      );
      await checkAftermath(t, build, sharing, outcomes);
      assert.ok(outcomes.every(({ refusal }) => refusal === undefined));
    });
  });
}

describe('A crowd that comes while things change', {
  skip: BUILDS.some(({ skip }) => skip) || requirePrograms('sshd', 'imap'),
}, () => {
  test('The alias is edited and the program upgraded under load, and nobody is lost', async (t) => {
    const [build] = BUILDS as [Build, ...Build[]];
    const sharing = await openSharing(t, build);
    const { host, home } = sharing;
    let edits = 0;
    let coming = true;
    const edit = async (): Promise<void> => {
      while (coming) {
        home.writeAlias('work', {
          ...host.aliasKeys,
          IMAPD: host.rimapd,
          PERSIST: 60,
          CONNECT_TIMEOUT: 12 + (edits++ % 3),
        });
        await sleep(100);
      }
    };
    const editing = edit();
    // Each build takes the brokers of the other for those of another version.
    const outcomes = await Promise.all(
      Array.from({ length: CROWD }, async (_, index) => {
        await sleep(index * 20);
        return come(t, BUILDS[index % BUILDS.length] as Build, sharing, 'work', idOf(index));
      }),
    ).finally(() => {
      coming = false;
    });
    await editing;
    await checkAftermath(t, build, sharing, outcomes);
  });
});
