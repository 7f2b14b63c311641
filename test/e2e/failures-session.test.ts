/**
 * What may happen to a mailbox that is open: the server dies, the line goes dead, the imapd hangs, we are killed. It
 * ends in bounded time, says so by its status and in the log, and leaves nothing behind; and an idle folder outlives
 * a line that was dead for a while.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { killConnections, openRelay, type Relay, writeKnownHosts } from '../helpers/faulty-host.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { makeMessages } from '../helpers/mail-messages.ts';
import { assertLog, openPineCaller, type PineCaller } from '../helpers/pine-caller.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import type { PineChild } from '../helpers/run-as-pine.ts';
import type { AliasKeys } from '../helpers/temp-home.ts';
import { TRIALS, type Trial, waitForNoSession } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap');

/** Most of the time is waiting. */
const AT_ONCE = 6;

/** For a reader that reads nothing: everything that goes on without it has happened. */
const STALL_MS = 1_000;

/** What happens at once, on a busy machine. */
const PROMPT_MS = 3_000;
const AFTER_LOGOUT_MS = 10_000;

/** A dead line is found after the interval and four probes, a second each; a busy machine must manage an answer. */
const WATCHED: AliasKeys = { SERVER_ALIVE_INTERVAL: 1, SERVER_ALIVE_COUNT_MAX: 4 };
const WATCH_BOUND_MS = 5_000;

const GREET = `printf '* PREAUTH ready\\r\\n'`;

interface Setup extends PineCaller {
  readonly host: MailHost;
  /** Nothing of the session runs any more, here or there. */
  waitForQuiet(): Promise<void>;
}

interface SetupOptions {
  /** A script in the place of Dovecot's imap. */
  readonly script?: string;
}

async function openSetup(t: TestContext, trial: Trial, options: SetupOptions = {}): Promise<Setup> {
  const host = await openMailHost(t);
  return openWith(t, trial, options, host, {});
}

/** The same, over a line that can be made dead. */
async function openRelayed(
  t: TestContext,
  trial: Trial,
  options: SetupOptions = {},
): Promise<Setup & { relay: Relay }> {
  const host = await openMailHost(t);
  const relay = await openRelay(t, host.port);
  const line = { PORT: relay.port, KNOWN_HOSTS: writeKnownHosts(host, relay.port), ...WATCHED };
  return { ...openWith(t, trial, options, host, line), relay };
}

function openWith(
  t: TestContext,
  trial: Trial,
  { script }: SetupOptions,
  host: MailHost,
  keys: AliasKeys,
): Setup {
  const IMAPD = script === undefined ? host.rimapd : host.writeProgram('imapd', script);
  const caller = openPineCaller(t, trial, { ...host.aliasKeys, IMAPD, ...keys });
  return {
    ...caller,
    host,
    waitForQuiet: async () => {
      await waitForNoSession(caller.home);
      await waitUntil('remote processes end', () => host.remoteProcesses().length === 0, {
        detail: () => JSON.stringify(host.remoteProcesses()),
      });
    },
  };
}

/** Waits for an end that is a failure and gives the milliseconds it took from now. */
async function timeToFailure(child: PineChild): Promise<number> {
  const start = performance.now();
  const { code, signal } = await child.finish();
  assert.deepEqual({ code, signal }, { code: 255, signal: null });
  return performance.now() - start;
}

for (const trial of TRIALS) {
  test(`An open mailbox (${trial.name})`, {
    skip: NEEDS || trial.build.skip,
    concurrency: AT_ONCE,
  }, async (t) => {
    const cases: readonly (readonly [title: string, run: (scope: TestContext) => Promise<void>])[] = [
      [
        'An imapd that ignores LOGOUT is ended 10 s later',
        async (scope) => {
          const { open, home, waitForQuiet } = await openSetup(scope, trial, {
            script: `${GREET}\nwhile read -r line; do :; done\nexec sleep 300`,
          });
          const { child } = await open();
          child.write('a1 LOGOUT\r\n');
          const ms = await timeToFailure(child);
          assert.ok(ms > AFTER_LOGOUT_MS - 100 && ms < AFTER_LOGOUT_MS + PROMPT_MS, `${ms} ms`);
          assertLog(home, ['session']);
          assert.match(home.log(), /end=stalled .*why="the remote command did not end"/);
          await waitForQuiet();
        },
      ],
      [
        'An imapd that ignores the end of its input is ended 10 s later',
        async (scope) => {
          const { open, home, waitForQuiet } = await openSetup(scope, trial, {
            script: `${GREET}\nexec sleep 300`,
          });
          const { child } = await open();
          child.endInput();
          const ms = await timeToFailure(child);
          assert.ok(ms > AFTER_LOGOUT_MS - 100 && ms < AFTER_LOGOUT_MS + PROMPT_MS, `${ms} ms`);
          assertLog(home, ['session']);
          await waitForQuiet();
        },
      ],
      [
        'A slow answer to LOGOUT is waited for as long as it goes on',
        async (scope) => {
          const { open } = await openSetup(scope, trial, {
            script: `${GREET}\nread -r line\nfor i in 1 2 3; do sleep 4; echo "* OK $i"; done\nprintf 'a1 OK\\r\\n'`,
          });
          const { child } = await open();
          child.write('a1 LOGOUT\r\n');
          const { code, output } = await child.finish();
          assert.equal(output.toString(), '* PREAUTH ready\r\n* OK 1\n* OK 2\n* OK 3\na1 OK\r\n');
          assert.equal(code, 0);
        },
      ],
      [
        'An idle folder outlives a dead line and goes on',
        async (scope) => {
          const { open, relay, host, home } = await openRelayed(scope, trial);
          const { child, imap } = await open();
          assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
          child.write('i1 IDLE\r\n');
          await child.waitForText(/^\+ /m);
          relay.stall();
          host.makeMailbox('INBOX', makeMessages(21).slice(20));
          await sleep(WATCH_BOUND_MS * 2);
          relay.resume();
          await child.waitForText('* 21 EXISTS');
          child.write('DONE\r\n');
          await child.waitForText('i1 OK');
          assert.equal((await imap.ask('NOOP')).status, 'OK');
          await imap.ask('LOGOUT');
          assert.equal((await child.finish()).code, 0);
          assertLog(home, ['session']);
        },
      ],
      [
        'A folder that was read and is left alone outlives a dead line',
        async (scope) => {
          const { open, relay } = await openRelayed(scope, trial);
          const { imap } = await open();
          assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
          assert.equal((await imap.ask('FETCH 1:20 BODY.PEEK[]')).status, 'OK');
          relay.stall();
          await sleep(WATCH_BOUND_MS * 2);
          relay.resume();
          assert.equal((await imap.ask('NOOP')).status, 'OK');
        },
      ],
      [
        'A dead line is found while the client waits for an answer',
        async (scope) => {
          const { open, relay, home, waitForQuiet } = await openRelayed(scope, trial);
          const { child, imap } = await open();
          assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
          relay.stall();
          child.write('a9 NOOP\r\n');
          const ms = await timeToFailure(child);
          assert.ok(ms > WATCH_BOUND_MS - 1_000 && ms < WATCH_BOUND_MS + PROMPT_MS, `${ms} ms`);
          assertLog(home, ['session']);
          assert.match(home.log(), /end=stalled .*why="no answer to 4 probes/);
          relay.resume();
          await waitForQuiet();
        },
      ],
      [
        'A dead line is found in the middle of an answer',
        async (scope) => {
          const { open, relay, waitForQuiet } = await openRelayed(scope, trial, {
            script: `${GREET}\nread -r line\nprintf '* 1 FETCH (BODY[] {9000}\\r\\nSubject: half'\nexec sleep 300`,
          });
          const { child } = await open();
          child.write('a1 FETCH 1 BODY[]\r\n');
          await child.waitForText('half');
          relay.stall();
          const ms = await timeToFailure(child);
          assert.ok(ms < WATCH_BOUND_MS + 1_000 + PROMPT_MS, `${ms} ms`);
          relay.resume();
          await waitForQuiet();
        },
      ],
      [
        'A slow server on a good line is waited for',
        async (scope) => {
          const { open } = await openRelayed(scope, trial, {
            script: `${GREET}\nread -r line\nprintf '* 1 FETCH ('\nsleep ${(WATCH_BOUND_MS + 2_000) / 1000}\nprintf 'FLAGS ())\\r\\na1 OK done\\r\\n'\nexec cat >&2`,
          });
          const { imap } = await open();
          assert.equal((await imap.ask('FETCH 1 FLAGS')).status, 'OK');
        },
      ],
      [
        "The end of the server's connection process ends the mailbox at once",
        async (scope) => {
          const { open, home, host, waitForQuiet } = await openSetup(scope, trial);
          const { child, imap } = await open();
          assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
          killConnections(host);
          const ms = await timeToFailure(child);
          assert.ok(ms < PROMPT_MS, `${ms} ms`);
          assert.doesNotMatch(child.output().toString('latin1'), /pine-rsh/);
          assertLog(home, ['session']);
          assert.match(home.log(), /end=lost status=255 .*why="connection to .* lost/);
          await waitForQuiet();
        },
      ],
      [
        'A remote imapd that obeys the end of its input is not left behind by SIGKILL',
        async (scope) => {
          const { open, host, waitForQuiet } = await openSetup(scope, trial);
          const { child, imap } = await open();
          assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
          assert.notEqual(host.remoteProcesses().length, 0);
          child.kill('SIGKILL');
          assert.equal((await child.finish()).signal, 'SIGKILL');
          await waitForQuiet();
        },
      ],
      [
        'SIGTERM ends it while its reader leaves output unread, however much there is',
        async (scope) => {
          const { open, host, waitForQuiet } = await openSetup(scope, trial, {
            script: `${GREET}\nread -r count\nhead -c "$count" /dev/zero`,
          });
          // What fits into the pipes, what fills the buffers behind them, and what stays in the SSH channel.
          const sizes = [60_000, 80_000, 100_000, 120_000, 128_000, 132_000, 136_000, 140_000, 600_000];
          const children = [];
          for (const bytes of sizes) {
            const { child } = await open();
            child.pauseOutput();
            child.write(`${bytes}\n`);
            children.push(child);
          }
          await waitUntil('the remote commands end', () => host.remoteProcesses().length === 0);
          await sleep(STALL_MS);
          for (const child of children) child.kill('SIGTERM');
          await Promise.all(children.map((child) => child.waitForExit({ timeout: PROMPT_MS })));
          await waitForQuiet();
        },
      ],
      [
        'Every byte after the greeting passes in both directions',
        async (scope) => {
          const { open, home } = await openSetup(scope, trial, { script: `${GREET}\nexec cat` });
          const { child } = await open();
          const odd = Buffer.from('\0\r\n\n\r\r\n* BYE\r\na1 LOGOUT\r\n\x80\xff+ \r\n', 'latin1');
          const bytes = Buffer.concat([odd, randomBytes(1_000_000), odd]);
          child.write(bytes);
          child.endInput();
          const { code, output } = await child.finish();
          assert.ok(output.equals(Buffer.concat([Buffer.from('* PREAUTH ready\r\n'), bytes])), 'unchanged');
          assert.equal(code, 0);
          assertLog(home, ['session']);
          assert.match(home.log(), new RegExp(`bytes_in=${bytes.length} bytes_out=${bytes.length}`));
        },
      ],
    ];
    await Promise.all(cases.map(([title, run]) => t.test(title, run)));
  });
}
