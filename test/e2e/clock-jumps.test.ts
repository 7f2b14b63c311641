/**
 * A wall clock that jumps while a connection is shared: forward, as it does when a machine has slept, and back. The Node
 * bundle only, whose clock can be set for its processes alone; the decision is the same code in both builds.
 */
import assert from 'node:assert/strict';
import { cpSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type LiveBroker, openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import type { AliasKeys } from '../helpers/temp-home.ts';

const HOUR_MS = 3_600_000;

const isWarm = ({ warm }: LiveBroker) => warm >= 1;

/** The build with a clock of its own, which `jump` sets for all its processes. */
async function openClock(t: TestContext, build: Build, keys: AliasKeys = {}) {
  const dir = makeTempDir(t, 'clock');
  const shift = join(dir, 'shift');
  cpSync(dirname(dirname(build.rshPath)), dir, { recursive: true });
  renameSync(join(dir, 'dist', 'pine-rsh.mjs'), join(dir, 'dist', 'program.mjs'));
  const wrapper = [
    "import { readFileSync } from 'node:fs';",
    'const now = Date.now;',
    `Date.now = () => now() + Number(readFileSync(${JSON.stringify(shift)}, 'utf8'));`,
    "await import('./program.mjs');",
  ];
  writeFileSync(join(dir, 'dist', 'pine-rsh.mjs'), `${wrapper.join('\n')}\n`);
  const jump = (ms: number) => writeFileSync(shift, String(ms));
  jump(0);
  const rshPath = join(dir, 'bin', 'pine-rsh');
  const sharing = await openSharing(t, { ...build, rshPath }, { alias: () => keys });
  return { sharing, jump };
}

/** A folder that is opened and left. */
async function readFolder({ open, leave }: Sharing): Promise<void> {
  const session = await open();
  assert.equal((await session.imap.ask('SELECT INBOX')).status, 'OK');
  await leave(session);
}

for (const build of BUILDS.filter(({ name }) => name === 'node bundle')) {
  describe(`A clock that jumps (${build.name})`, {
    skip: requirePrograms('sshd', 'imap') || build.skip,
    concurrency: 2,
  }, () => {
    for (const [what, ms] of [
      ['an hour on, as after sleep', HOUR_MS],
      ['an hour back', -HOUR_MS],
    ] as const) {
      test(`${what}: no imapd from before is handed out, and the next ones are kept warm again`, async (t) => {
        const { sharing, jump } = await openClock(t, build);
        await readFolder(sharing);
        await sharing.broker(isWarm);
        await readFolder(sharing);
        const { pid } = await sharing.broker(isWarm);
        jump(ms);
        await readFolder(sharing);
        await sharing.broker(isWarm);
        await readFolder(sharing);
        assert.deepEqual(sharing.routes(), ['shared', 'warm', 'shared', 'warm']);
        assert.equal((await sharing.broker()).pid, pid);
        assert.equal(sharing.logins(), 1);
      });

      test(`${what}: a session goes on, and the broker leaves when it is not used any more`, async (t) => {
        const { sharing, jump } = await openClock(t, build, { PERSIST: 3 });
        const session = await sharing.open();
        jump(ms);
        assert.equal((await session.imap.ask('SELECT INBOX')).status, 'OK');
        await sharing.leave(session);
        await waitForNoProcess(sharing.home.dir);
      });
    }
  });
}
