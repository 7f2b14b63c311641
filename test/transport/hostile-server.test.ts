/**
 * Each thing that no server does, again and again against one process: PINE_RSH_TEST_CASES=1000 does each a thousand
 * times. It ends in a reason or a mailbox every time, and leaves nothing open and no memory behind.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Alias } from '../../src/alias/alias.ts';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { Failure } from '../../src/errors.ts';
import { Log } from '../../src/log.ts';
import { readSettings } from '../../src/settings.ts';
import { dial } from '../../src/transport/dial.ts';
import { openImapd } from '../../src/transport/imapd.ts';
import { caseCount } from '../helpers/cases.ts';
import { BEFORE, BESIDE, INSTEAD, LOGIN } from '../helpers/hostile-behaviours.ts';
import { openHostilePort, openHostileServer } from '../helpers/hostile-server.ts';
import { residentMemoryOf } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const CASES = caseCount(3);
const AT_ONCE = 10;

/** What only the deadline ends. */
const SHORT_S = 0.3;
/** For a key exchange on a busy machine. */
const LONG_S = 20;

/** Server and client are in this process, and a garbage collector that is not made to collect. */
const GROWTH_MAX = 250 * 1024 * 1024;

const MIB = 1024 * 1024;
const UPLOAD_MIB = 64;

const LAST_LINE = 'a1 OK done\r\n';

const nothing = (): void => {};

function openAlias(home: TempHome, port: number, connectTimeout: number): Alias {
  home.writeAlias('work', {
    HOSTNAME: '127.0.0.1',
    PORT: port,
    USER: 'pat',
    IDENTITY_FILE: join(home.dir, 'id'),
    IDENTITY_AGENT: 'none',
    KNOWN_HOSTS: join(home.dir, 'known_hosts'),
  });
  const query = { host: 'work', user: undefined, port: undefined, options: new Map<string, string>() };
  const found = lookupAlias(readSettings(home.env), query);
  assert.ok(found.kind === 'managed');
  return { ...found.alias, connectTimeout };
}

/** Opens a mailbox and leaves it; undefined, or why there was none. */
async function visit(home: TempHome, alias: Alias): Promise<Failure | undefined> {
  const settings = readSettings(home.env);
  const log = new Log(settings.stateDir, 0);
  const signal = AbortSignal.timeout(2 * LONG_S * 1000);
  try {
    const connection = await dial(alias, { settings, log, family: 0, signal });
    try {
      const options = { command: undefined, signal, log, onStderr: nothing };
      const { stream } = await openImapd(connection, alias, options);
      await new Promise<void>((resolve, reject) => {
        let output = '';
        stream.stdout.on('data', (chunk: Buffer) => {
          output = (output + chunk.toString('latin1')).slice(-LAST_LINE.length);
          if (output === LAST_LINE) resolve();
        });
        void stream.exit.then((exit) => reject(exit.kind === 'lost' ? exit.failure : new Error(output)));
        // It was paused behind the greeting.
        stream.stdout.resume();
        stream.stdin.write('a1 LOGOUT\r\n');
      });
      return undefined;
    } finally {
      connection.close();
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.code === 'internal') throw error;
    return error;
  }
}

function countSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
}

/** Visits as often as wanted; what came of it, counted. */
async function visitAll(t: TestContext, home: TempHome, alias: Alias): Promise<Map<string, number>> {
  const sockets = countSockets();
  const memory = residentMemoryOf(process.pid);
  const outcomes = new Map<string, number>();
  let left = CASES;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const outcome = (await visit(home, alias))?.code ?? 'opened';
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await waitUntil('every connection is closed', () => countSockets() <= sockets);
  const growth = residentMemoryOf(process.pid) - memory;
  const counts = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
  t.diagnostic(`${counts}; ${Math.round(growth / 1024 / 1024)} MiB more`);
  assert.ok(growth < GROWTH_MAX);
  return outcomes;
}

const NEEDS = requirePrograms('ssh-keygen');

describe('A server that keeps to nothing, many times', { skip: NEEDS }, () => {
  for (const [what, serve] of Object.entries(BEFORE)) {
    test(`Sends ${what}`, async (t) => {
      const home = openTempHome(t);
      // The keys, which every alias must have.
      await openHostileServer(t, home, nothing);
      const outcomes = await visitAll(t, home, openAlias(home, await openHostilePort(t, serve), SHORT_S));
      assert.ok(!outcomes.has('opened'));
    });
  }

  for (const [what, onLogin] of Object.entries(LOGIN)) {
    test(`Answers a login with ${what}`, async (t) => {
      const home = openTempHome(t);
      const port = await openHostileServer(t, home, nothing, onLogin);
      assert.ok(!(await visitAll(t, home, openAlias(home, port, 2 * SHORT_S))).has('opened'));
    });
  }

  for (const [what, onExec] of Object.entries(INSTEAD)) {
    test(`Answers a command with ${what}`, async (t) => {
      const home = openTempHome(t);
      const port = await openHostileServer(t, home, onExec);
      assert.ok(!(await visitAll(t, home, openAlias(home, port, LONG_S))).has('opened'));
    });
  }

  for (const [what, onExec] of Object.entries(BESIDE)) {
    test(`Sends ${what} beside a mailbox`, async (t) => {
      const home = openTempHome(t);
      const port = await openHostileServer(t, home, onExec);
      assert.deepEqual([...(await visitAll(t, home, openAlias(home, port, LONG_S))).keys()], ['opened']);
    });
  }
});

test('A server that takes whatever comes, and reads none of it, does not fill memory', {
  skip: NEEDS,
}, async (t) => {
  const home = openTempHome(t);
  let goOn: () => void = nothing;
  const port = await openHostileServer(t, home, (channel, id, connection) => {
    // RFC 4254 section 5.2, a window of almost 2 GiB.
    const adjust = Buffer.from([93, 0, 0, 0, 0, 0x7f, 0, 0, 0]);
    adjust.writeUInt32BE(id, 1);
    connection.send(adjust);
    const { _sock: line } = (channel as unknown as { _client: { _sock: Socket } })._client;
    setTimeout(() => line.pause(), 100);
    goOn = () => {
      channel.resume();
      line.resume();
    };
  });
  const settings = readSettings(home.env);
  const log = new Log(settings.stateDir, 0);
  const alias = openAlias(home, port, LONG_S);
  const signal = AbortSignal.timeout(3 * LONG_S * 1000);
  const connection = await dial(alias, { settings, log, family: 0, signal });
  t.after(() => connection.close());
  const { stdin } = await connection.exec({ kind: 'exec', text: 'cat' });
  await sleep(300);
  const chunk = Buffer.alloc(MIB);
  let taken = 0;
  for (let count = 0; count < UPLOAD_MIB; count += 1) stdin.write(chunk, () => (taken += 1));
  await sleep(1_000);
  t.diagnostic(`${taken} MiB taken`);
  // What both ends' sockets hold, and a little.
  assert.ok(taken < UPLOAD_MIB / 2, `${taken} MiB`);
  goOn();
  await waitUntil('the rest', () => taken === UPLOAD_MIB);
});
