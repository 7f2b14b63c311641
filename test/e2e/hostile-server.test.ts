/**
 * A server that does what no server does. Whatever it sends, Pine gets a mailbox or a reason, within the time it has been
 * given, and neither memory nor screen are the server's.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BUILDS } from '../helpers/builds.ts';
import { BEFORE, BESIDE, excessOfMail, INSTEAD, LOGIN } from '../helpers/hostile-behaviours.ts';
import { type OnExec, openHostilePort, openHostileServer } from '../helpers/hostile-server.ts';
import { settleOpening } from '../helpers/pine-caller.ts';
import { findProcesses, peakMemoryOf } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import type { TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

const CONNECT_TIMEOUT_S = 4;

/** Far beyond the deadline of an alias that is given 4 s, with room for a busy machine. */
const PATIENCE = { timeout: 60_000 };

const MEMORY_MAX = 250 * 1024 * 1024;

function openAlias(home: TempHome, port: number, share: 'yes' | 'no'): void {
  home.writeAlias('work', {
    HOSTNAME: '127.0.0.1',
    PORT: port,
    USER: 'pat',
    IDENTITY_FILE: join(home.dir, 'id'),
    KNOWN_HOSTS: join(home.dir, 'known_hosts'),
    CONNECT_TIMEOUT: CONNECT_TIMEOUT_S,
    SHARE: share,
  });
}

/** Before the end is awaited: of a process that is gone nobody can ask. */
function assertBounds(home: TempHome, child: PineChild): void {
  for (const pid of new Set([child.pid, ...findProcesses(home.dir).map((each) => each.pid)])) {
    let peak = 0;
    try {
      peak = peakMemoryOf(pid);
    } catch {
      // It has ended.
    }
    assert.ok(peak < MEMORY_MAX, `${peak >> 20} MiB`);
  }
}

function assertPlain(child: PineChild): void {
  assert.match(child.output().toString('latin1'), /^(?:[\x20-\x7e]|\r\n)*$/);
}

for (const build of BUILDS) {
  describe(`A server that keeps to nothing (${build.name})`, {
    skip: build.skip || requirePrograms('ssh-keygen'),
    concurrency: 6,
  }, () => {
    const start = (t: Parameters<typeof runAsPine>[0], home: TempHome) =>
      runAsPine(t, build.rshPath, ['work', '-l', 'pat', 'exec', '/etc/rimapd'], { env: home.env });

    for (const [what, serve] of Object.entries(BEFORE)) {
      test(`Sends ${what}, and is refused`, async (t) => {
        const home = openTrialHome(t);
        openAlias(home, await openHostilePort(t, serve), 'no');
        const child = start(t, home);
        await child.waitForLine(PATIENCE);
        assertBounds(home, child);
        assert.ok((await settleOpening(child, PATIENCE)) !== undefined);
        assertPlain(child);
      });
    }

    for (const [what, onLogin] of Object.entries(LOGIN)) {
      test(`Answers a login with ${what}, and is refused`, async (t) => {
        const home = openTrialHome(t);
        const port = await openHostileServer(
          t,
          home,
          (_channel, _id, _connection, refuse) => refuse(),
          onLogin,
        );
        openAlias(home, port, 'no');
        const child = start(t, home);
        await child.waitForLine(PATIENCE);
        assertBounds(home, child);
        assert.ok((await settleOpening(child, PATIENCE)) !== undefined);
        assertPlain(child);
      });
    }

    for (const share of ['no', 'yes'] as const) {
      for (const [what, onExec] of Object.entries(INSTEAD)) {
        test(`Answers a command with ${what}, and is refused (SHARE=${share})`, async (t) => {
          const home = openTrialHome(t);
          openAlias(home, await openHostileServer(t, home, onExec), share);
          const child = start(t, home);
          await child.waitForLine(PATIENCE);
          assertBounds(home, child);
          assert.ok((await settleOpening(child, PATIENCE)) !== undefined);
          assertPlain(child);
        });
      }
    }

    for (const share of ['no', 'yes'] as const) {
      test(`Fills no memory with mail that nobody reads (SHARE=${share})`, async (t) => {
        const home = openTrialHome(t);
        let closed = false;
        const onExec: OnExec = (channel, ...more) => {
          excessOfMail(channel, ...more);
          channel.on('close', () => {
            closed = true;
          });
        };
        openAlias(home, await openHostileServer(t, home, onExec), share);
        const child = start(t, home);
        assert.equal(await settleOpening(child, PATIENCE), undefined);
        child.pauseOutput();
        child.write('a1 FETCH 1:* RFC822\r\n');
        await waitUntil('the connection is ended', () => closed, PATIENCE);
        assertBounds(home, child);
        child.closeOutput();
        assert.equal((await child.waitForExit(PATIENCE)).code, 255);
      });
    }

    for (const [what, onExec] of Object.entries(BESIDE)) {
      test(`Sends ${what} beside a mailbox, which opens all the same`, async (t) => {
        const home = openTrialHome(t);
        openAlias(home, await openHostileServer(t, home, onExec), 'no');
        const child = start(t, home);
        assert.equal(await settleOpening(child, PATIENCE), undefined);
        assertBounds(home, child);
        child.write('a1 LOGOUT\r\n');
        assert.equal((await child.finish(PATIENCE)).code, 0);
        assert.ok(child.output().toString().endsWith('a1 OK done\r\n'), child.output().toString());
        assertPlain(child);
      });
    }
  });
}
