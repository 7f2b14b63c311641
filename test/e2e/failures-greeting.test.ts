/**
 * What a mail host may do before its imapd has greeted, and what Pine gets of it: an untouched mailbox or a refusal
 * with the reason, never a byte that makes it try a login in the clear.
 */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSharing } from '../broker/sharing.ts';
import { openBlackHole, openRelay, writeKnownHosts } from '../helpers/faulty-host.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { assertLog, openPineCaller, type PineCaller, readRefusal } from '../helpers/pine-caller.ts';
import { signalProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import type { AliasKeys } from '../helpers/temp-home.ts';
import { TRIALS, type Trial, waitForNoSession } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap');

/** Most of the time is waiting; the silent one takes its place for 50 s. */
const AT_ONCE = 4;

const KIB64 = 64 * 1024;
/** Alpine's shortest rsh-open-timeout. */
const PINE_TIMEOUT_MS = 5_000;
const EARLY_BYTE_MS = 3_000;
const OPEN_DEADLINE_MS = 50_000;
const FORGET_MS = 5_000;
/** What must happen at once, on a busy machine. */
const PROMPT_MS = 2_500;

const READY = '* PREAUTH IMAP4rev1 ready';
/** Greets, then echoes. Backslashes are doubled: the shell's printf reads them. */
const GREET = `printf '${READY}\\r\\n'\nexec cat`;

interface Opening {
  readonly title: string;
  /** A script of /bin/sh in the place of imapd. */
  readonly script: string;
  /** All that the client gets until it says something. */
  readonly client?: string;
  readonly logged?: RegExp;
}

/** 1,500 bytes as servers write them that list everything they can do. */
const LONG_CODE = `[CAPABILITY IMAP4rev1${' X-A-CAPABILITY'.repeat(95)}]`;
const LONG_PROSE = 'a very long welcome '.repeat(75);

const OPENS: readonly Opening[] = [
  {
    title: 'lines on stdout are kept out',
    script: `echo 'Welcome to work'\necho\nprintf 'three\\r\\nmore'\necho\n${GREET}`,
    logged: /Welcome to work/,
  },
  {
    title: 'lines on stderr are kept out',
    script: `echo 'disk almost full' >&2\n${GREET}`,
    logged: /disk almost full/,
  },
  {
    title: '64 KiB on stdout and 64 KiB on stderr are kept out',
    script: [
      `head -c ${KIB64 - 1} /dev/zero | tr '\\0' o`,
      'echo',
      `head -c ${KIB64} /dev/zero | tr '\\0' e >&2`,
      GREET,
    ].join('\n'),
    logged: /noise .*bytes=65536/,
  },
  {
    title: 'escape sequences and 8-bit noise are kept out, and out of the log',
    script: `printf '\\033]0;owned\\007\\033[2J\\377\\000\\n'\nprintf '\\033[31mred\\n' >&2\n${GREET}`,
    logged: /\\u001b/,
  },
  {
    title: 'lines that begin with an asterisk, as a motd may, are kept out',
    script: `echo '* hello this is motd'\necho '* ok, be careful'\necho '* PREAUTHORISED users only'\necho '*'\necho '*** warning ***'\n${GREET}`,
    logged: /hello this is motd/,
  },
  { title: 'a greeting that ends in LF gets CRLF', script: `echo '${READY}'\nexec cat` },
  {
    title: 'a greeting of 1,500 bytes loses its list of capabilities',
    script: `printf '* PREAUTH ${LONG_CODE} Logged in as pat\\r\\n'\nexec cat`,
    client: '* PREAUTH Logged in as pat\r\n',
  },
  {
    title: 'a greeting of 1,500 bytes of prose is cut below 1,000',
    script: `printf '* PREAUTH ${LONG_PROSE}\\r\\n'\nexec cat`,
    client: `${`* PREAUTH ${LONG_PROSE}`.slice(0, 997)}\r\n`,
  },
  {
    title: 'a greeting that comes in pieces is whole',
    script: `printf '* PRE'\nsleep 0.3\nprintf 'AUTH IMAP4rev1'\nsleep 0.3\nprintf ' ready\\r'\nsleep 0.3\nprintf '\\n'\nexec cat`,
  },
  {
    title: 'what follows the greeting in the same packet is not touched',
    script: `printf '${READY}\\n* 1 EXISTS\\n* OK\\r\\0\\377\\n'\nexec cat`,
    client: `${READY}\r\n* 1 EXISTS\n* OK\r\0\xff\n`,
  },
];

interface Refusal {
  readonly title: string;
  readonly script?: string;
  /** Instead of a script. */
  readonly keys?: AliasKeys;
  readonly reason: RegExp;
  /** The first byte goes out alone. */
  readonly late?: boolean;
}

const REFUSALS: readonly Refusal[] = [
  {
    title: 'a greeting that wants a login',
    script: `printf '* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] Dovecot ready.\\r\\n'\nexec cat`,
    reason: /wants a login \(it said \* OK \[CAPABILITY IMAP4rev1 AUTH=PLAIN\] Dovecot ready\.\); set IMAPD/,
  },
  {
    title: 'a greeting that refuses',
    script: `echo noise\nprintf '* BYE too many users\\r\\n'`,
    reason: /refused: \* BYE too many users; ask its administrator/,
  },
  {
    title: 'an endless line',
    script: `exec tr '\\0' x </dev/zero`,
    reason: /65536 bytes and no IMAP greeting/,
  },
  { title: 'lines without end', script: 'exec yes', reason: /65536 bytes and no IMAP greeting.*first: y;/ },
  {
    title: 'one byte of noise too many',
    script: `head -c ${KIB64} /dev/zero | tr '\\0' x\necho\n${GREET}`,
    reason: /65536 bytes and no IMAP greeting/,
  },
  {
    title: 'an end before the greeting',
    script: `echo 'no mail for pat' >&2\nexit 3`,
    reason:
      /ended before its greeting \(status 3\): no mail for pat; see what it says: pine-rsh -l \S+ work '\S+; true'/,
  },
  {
    title: 'an end before the greeting, the reason on stdout',
    script: `echo 'This account is currently not available.'\nexit 1`,
    reason: /\(status 1\): This account is currently not available\.; see what it says: pine-rsh/,
  },
  {
    title: 'an end in the middle of the greeting',
    script: `printf '* PREAUTH rea'\nexit 0`,
    reason: /ended before its greeting \(status 0\)/,
  },
  {
    title: 'an imapd that a signal ends',
    script: 'kill -KILL $$',
    reason: /before its greeting \(signal KILL\)/,
  },
  {
    title: 'escape sequences in the last words',
    script: `printf '\\033[2Jgone\\r\\n' >&2\nexit 1`,
    reason: /\(status 1\): \?\[2Jgone;/,
  },
  {
    title: 'no imapd',
    keys: { IMAPD: '/no/such/imapd' },
    reason: /no imapd found on .* \(\/no\/such\/imapd\); set IMAPD/,
  },
  {
    title: 'an imapd that is no program',
    keys: { IMAPD: '/etc/passwd' },
    reason: /no imapd found on .*passwd/,
  },
  {
    title: 'an early byte, then a greeting that refuses',
    script: `sleep 4\nprintf '* BYE too late\\r\\n'`,
    reason: /refused: \* BYE too late/,
    late: true,
  },
  {
    title: 'an early byte, then an end without a greeting',
    script: 'sleep 4\nexit 9',
    reason: /before its greeting \(status 9\)/,
    late: true,
  },
];

/** The lone first byte came in time for Pine and was the only one for a while. */
function assertEarlyByte({ chunks }: { chunks: readonly { at: number; data: Buffer }[] }): void {
  const [first, second] = chunks;
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(first.data.toString('latin1'), '*');
  assert.ok(first.at >= EARLY_BYTE_MS - 50 && first.at < PINE_TIMEOUT_MS, `early byte after ${first.at} ms`);
  assert.ok(second.at > first.at + 100, 'alone');
}

let scripts = 0;

// All at once, or the two silent ones would take their 50 s one after the other.
test('What a mail host does before the greeting', { skip: NEEDS, concurrency: true }, async (t) => {
  const trials = TRIALS.map((trial) =>
    t.test(trial.name, { skip: trial.build.skip, concurrency: AT_ONCE }, (scope) => runTrial(scope, trial)),
  );
  await Promise.all(trials);
});

async function runTrial(t: TestContext, trial: Trial): Promise<void> {
  const host = await openMailHost(t);
  const caller = (scope: TestContext, script: string | undefined, keys: AliasKeys = {}): PineCaller => {
    const imapd = script === undefined ? {} : { IMAPD: host.writeProgram(`imapd-${++scripts}`, script) };
    return openPineCaller(scope, trial, { ...host.aliasKeys, ...imapd, ...keys });
  };

  const silent = t.test('A silent imapd is given 50 s, then refused', async (scope) => {
    const { home, start } = caller(scope, `echo $$ >"$HOME/silent-pid"\nexec sleep 300`);
    const child = start();
    const text = await readRefusal(child, { timeout: OPEN_DEADLINE_MS + 10_000 });
    assert.match(text, /no greeting from imapd on .* within 50 s; see what it says: pine-rsh -l/);
    const answered = child.chunks[1]?.at ?? 0;
    assert.ok(
      answered >= OPEN_DEADLINE_MS - 100 && answered < OPEN_DEADLINE_MS + PROMPT_MS,
      `${answered} ms`,
    );
    assertEarlyByte(child);
    assertLog(home, ['failure']);
    await waitForNoSession(home);
  });

  const orphaned = t.test(
    'A silent imapd is given no more time by a broker that is killed',
    async (scope) => {
      const sharing = await openSharing(scope, trial.build, {
        alias: (host) => ({ IMAPD: host.writeProgram('silent', 'exec sleep 300'), WARM: 0 }),
      });
      const imapds = () => sharing.host.remoteProcesses().filter(({ command }) => command === 'sleep 300');
      const child = sharing.start();
      await waitUntil('the imapd starts', () => imapds().length > 0);
      const [first] = imapds();
      const [broker] = sharing.brokerProcesses();
      assert.ok(broker !== undefined);
      signalProcess(broker.pid, 'SIGKILL');
      await waitUntil('another imapd starts', () => imapds().some(({ pid }) => pid !== first?.pid));
      assert.match(
        await readRefusal(child, { timeout: OPEN_DEADLINE_MS + 10_000 }),
        /no greeting from imapd on .* within 50 s/,
      );
      const answered = child.chunks[1]?.at ?? 0;
      assert.ok(answered < OPEN_DEADLINE_MS + PROMPT_MS, `${answered} ms`);
      assertEarlyByte(child);
      // The server lets the first one run: nobody told it to end.
      await waitUntil('the other imapd ends', () => imapds().every(({ pid }) => pid === first?.pid));
      for (const { pid } of imapds()) signalProcess(pid, 'SIGKILL');
    },
  );

  const all: Promise<void>[] = [silent, orphaned];
  for (const { title, script, client = `${READY}\r\n`, logged } of OPENS) {
    all.push(
      t.test(`Opens: ${title}`, async (scope) => {
        const { home, start } = caller(scope, script);
        const child = start();
        await waitUntil('the greeting', () => child.output().length >= client.length);
        child.write('a lone LF\n, a NUL \0 and \x80');
        child.write(Buffer.from([0xff, 0xfe]));
        child.endInput();
        const { code, output } = await child.finish();
        const echoed = Buffer.concat([
          Buffer.from(client, 'latin1'),
          Buffer.from('a lone LF\n, a NUL \0 and \x80'),
          Buffer.from([0xff, 0xfe]),
        ]);
        assert.equal(output.toString('latin1'), echoed.toString('latin1'));
        assert.equal(code, 0);
        assertLog(home, ['session']);
        if (logged !== undefined) assert.match(home.log(), logged);
      }),
    );
  }

  for (const { title, script, keys, reason, late = false } of REFUSALS) {
    all.push(
      t.test(`Refused: ${title}`, async (scope) => {
        const { home, start } = caller(scope, script, keys);
        const child = start();
        const text = await readRefusal(child);
        assert.match(text, reason);
        assert.match(text, /^pine-rsh: work: /);
        if (late) assertEarlyByte(child);
        assertLog(home, ['failure']);
        await waitForNoSession(home);
      }),
    );
  }

  all.push(
    t.test('A greeting that takes 4 s is announced by its first byte, and comes once', async (scope) => {
      const { home, start } = caller(scope, `sleep 4\n${GREET}`);
      const child = start();
      await child.waitForText('\r\n');
      assertEarlyByte(child);
      child.endInput();
      const { code, output } = await child.finish();
      assert.deepEqual({ code, output: output.toString() }, { code: 0, output: `${READY}\r\n` });
      assertLog(home, ['session']);
    }),
    t.test('SIGTERM before the greeting is a refusal that says so', async (scope) => {
      const { home, start } = caller(scope, 'echo started >&2\nexec sleep 300');
      const child = start();
      await waitUntil('the imapd runs', () => /text=.*started/.test(home.log()));
      child.kill('SIGTERM');
      assert.match(await readRefusal(child), /ended by SIGTERM; open it again/);
      assertLog(home, ['failure']);
      await waitForNoSession(home);
    }),
    t.test(
      'A refused client may have its next command under way, and must not close its end',
      async (scope) => {
        const { start } = caller(scope, undefined, { IMAPD: '/no/such/imapd' });
        const child = start();
        await child.waitForText('\r\n');
        child.write('a1 LIST "" ""\r\n');
        await child.waitForText('* BYE');
        child.write('a2 EXAMINE INBOX\r\n');
        const { code, output, ms } = await child.finish();
        assert.equal(code, 255);
        assert.match(output.toString(), /\r\na1 NO .*\r\n\* BYE .*\r\n$/);
        assert.ok(ms < (child.chunks[0]?.at ?? 0) + PROMPT_MS, `${ms} ms`);
      },
    ),
    t.test('SIGTERM before the greeting does not wait for a client that says nothing', async (scope) => {
      const { home, start } = caller(scope, 'echo started >&2\nexec sleep 300');
      const child = start();
      await waitUntil('the imapd runs', () => /text=.*started/.test(home.log()));
      child.kill('SIGTERM');
      assert.match(await child.waitForLine(), /ended by SIGTERM/);
      assert.equal((await child.finish({ timeout: 2 * PROMPT_MS })).code, 255);
    }),
    t.test('SIGTERM ends a refusal that waits for a silent client', async (scope) => {
      const { start } = caller(scope, undefined, { IMAPD: '/no/such/imapd' });
      const child = start();
      assert.match(await child.waitForLine(), /no imapd found/);
      child.kill('SIGTERM');
      assert.equal((await child.finish({ timeout: PROMPT_MS })).code, 255);
    }),
    ...fallbackCases(t, caller),
    t.test(
      'A host that does not answer costs its timeout once, and is there again 5 s later',
      async (scope) => {
        await meetBlackHole(scope, trial, host);
      },
    ),
  );
  await Promise.all(all);
  await waitUntil('the remote commands end', () => host.remoteProcesses().length === 0, {
    detail: () => JSON.stringify(host.remoteProcesses()),
  });
}

/** FALLBACK=allow: the person chose that Pine goes on by itself, and any byte would keep it from that. */
function fallbackCases(
  t: TestContext,
  caller: (scope: TestContext, script: string | undefined, keys?: AliasKeys) => PineCaller,
): Promise<void>[] {
  const cases: { title: string; script?: string; keys?: () => Promise<AliasKeys> }[] = [
    { title: 'a host that is down', keys: async () => ({ PORT: await findFreePort() }) },
    { title: 'a greeting that refuses', script: `printf '* BYE no\\r\\n'` },
    { title: 'an imapd that ends late', script: 'echo on the way >&2\nsleep 4\nexit 1' },
  ];
  const quiet = cases.map(({ title, script, keys }) =>
    t.test(`With FALLBACK=allow nothing is written: ${title}`, async (scope) => {
      const { home, start } = caller(scope, script, { ...(await keys?.()), FALLBACK: 'allow' });
      const child = start();
      const { code, output } = await child.finish();
      assert.deepEqual({ code, output: output.toString() }, { code: 255, output: '' });
      assertLog(home, ['failure']);
    }),
  );
  const unread = t.test('FALLBACK=allow in a file with a mistake does not count', async (scope) => {
    const { home, start } = caller(scope, undefined, { FALLBACK: 'allow' });
    appendFileSync(`${home.configDir}/hosts/work.env`, 'PROT=22\n');
    assert.match(await readRefusal(start()), /work\.env:\d+: .*PROT/);
    assertLog(home, ['failure']);
  });
  return [...quiet, unread];
}

async function meetBlackHole(scope: TestContext, trial: Trial, host: MailHost): Promise<void> {
  const hole = await openBlackHole(scope);
  const { home, start } = openPineCaller(scope, trial, {
    ...host.aliasKeys,
    PORT: hole.port,
    KNOWN_HOSTS: writeKnownHosts(host, hole.port),
    IMAPD: host.rimapd,
    CONNECT_TIMEOUT: 3,
  });
  const first = start();
  assert.match(await readRefusal(first), /no answer from 127\.0\.0\.1:\d+ within 3 s \(connecting\)/);
  const timedOut = performance.now();
  const second = start();
  assert.match(await readRefusal(second), /did not answer \d s ago/);
  assert.ok((second.chunks[0]?.at ?? Infinity) < PROMPT_MS, 'at once');
  assertLog(home, ['failure', 'failure']);

  await hole.close();
  await openRelay(scope, host.port, hole.port);
  await sleep(FORGET_MS - (performance.now() - timedOut));
  const third = start();
  assert.match(await third.waitForLine(), /^\* PREAUTH (?!.*pine-rsh:)/);
  assert.ok((third.chunks[0]?.at ?? Infinity) < PROMPT_MS, 'at once');
  third.write('a1 LOGOUT\r\n');
  assert.equal((await third.finish()).code, 0);
  assertLog(home, ['failure', 'failure', 'session']);
}
