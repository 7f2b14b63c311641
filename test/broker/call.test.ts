/** The short way: from a call to its broker, and what the broker makes of the call. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { listAliases } from '../../src/alias/list.ts';
import { lookupAlias, queryOf } from '../../src/alias/lookup.ts';
import { parseArgv } from '../../src/argv.ts';
import { type Call, findCall, linkCall, removeDeadCalls } from '../../src/broker/call.ts';
import { CallCheck } from '../../src/broker/call-check.ts';
import { FrameError } from '../../src/broker/frame.ts';
import { listenSocket, type SocketListener } from '../../src/broker/socket.ts';
import { listBrokerSockets } from '../../src/broker/socket-path.ts';
import { brokerFileName } from '../../src/broker/spec.ts';
import { findWanted, parseTake, readCall } from '../../src/broker/take-request.ts';
import { BROKER_TAKE_MS, CALLS_MAX } from '../../src/limits.ts';
import { readCallerSettings, readSettings } from '../../src/settings.ts';
import { defer } from '../helpers/scope.ts';
import { type AliasKeys, openTempHome } from '../helpers/temp-home.ts';

const PINE = ['work', '-l', 'pat', 'exec', '/etc/rimapd'];
const KEYS: AliasKeys = { HOSTNAME: 'mail.example.org', USER: 'pat' };
const UID = process.getuid?.() ?? 0;

/** A home with the alias `work`, and calls that are made there. */
function openCaller(t: TestContext, keys = KEYS) {
  const home = openTempHome(t);
  home.writeAlias('work', keys);
  const settings = readSettings(home.env);
  const call = (args: readonly string[] = PINE, env = {}): Call => ({
    args,
    env: { ...settings.callEnv, ...env },
  });
  /** The name that a client gives the broker it finds by itself. */
  const ownName = (args: readonly string[] = PINE): string => {
    const parsed = parseArgv(args);
    assert.ok(parsed.kind === 'session');
    const found = lookupAlias(settings, queryOf(parsed.invocation));
    assert.ok(found.kind === 'managed');
    return brokerFileName(found.alias, parsed.invocation.family, settings);
  };
  return { home, settings, call, ownName };
}

async function listen(t: TestContext, path: string): Promise<SocketListener> {
  const listener = await listenSocket(path, UID, () => {});
  assert.ok(listener !== undefined);
  defer(t, () => listener.server.close());
  return listener;
}

describe('A call', () => {
  test('leads to the broker that served it, and no other call does', async (t) => {
    const { home, settings, call } = openCaller(t);
    const socket = join(home.runtimeDir, 'b-00000000-0000000000000000');
    await listen(t, socket);
    assert.equal(findCall(call(), settings), undefined);
    linkCall(call(), socket, UID);
    linkCall(call(), socket, UID);
    const found = findCall(call(), settings);
    assert.match(basename(found ?? ''), /^c-[0-9a-f]{16}$/);
    assert.equal(readdirSync(home.runtimeDir).length, 2);
    for (const other of [
      call(['work', '-l', 'pat', 'exec', '/etc/rimapd', '']),
      call(['work', '-l', 'pa', 't', 'exec', '/etc/rimapd']),
      call(PINE, { SSH_AUTH_SOCK: '/run/other' }),
      call(PINE, { HOME: '/home/pat' }),
      call(PINE, { PINE_RSH_CONFIG_DIR: '/srv' }),
    ]) {
      assert.equal(findCall(other, settings), undefined, JSON.stringify(other));
    }
    assert.deepEqual(listBrokerSockets(settings), [socket], 'it is no broker of its own');
  });

  test('leads to the newest broker that served it', async (t) => {
    const { home, settings, call } = openCaller(t);
    const [older, newer] = ['b-00000000-0000000000000000', 'b-00000000-1111111111111111'];
    for (const name of [older, newer] as const) {
      const socket = join(home.runtimeDir, name);
      await listen(t, socket);
      linkCall(call(), socket, UID);
    }
    rmSync(join(home.runtimeDir, older as string));
    removeDeadCalls(home.runtimeDir);
    assert.notEqual(findCall(call(), settings), undefined);
    rmSync(join(home.runtimeDir, newer as string));
    removeDeadCalls(home.runtimeDir);
    assert.deepEqual(readdirSync(home.runtimeDir), []);
  });

  test('leads nowhere through a folder that others can enter', async (t) => {
    const { home, settings, call } = openCaller(t);
    const socket = join(home.runtimeDir, 'b-00000000-0000000000000000');
    await listen(t, socket);
    linkCall(call(), socket, UID);
    chmodSync(home.runtimeDir, 0o755);
    assert.equal(findCall(call(), settings), undefined);
    chmodSync(home.runtimeDir, 0o700);
    assert.notEqual(findCall(call(), settings), undefined);
  });

  test('that leads nowhere leaves no folder behind', (t) => {
    const { home, settings, call } = openCaller(t);
    rmSync(home.runtimeDir, { recursive: true });
    assert.equal(findCall(call(), settings), undefined);
    linkCall(call(), join(home.runtimeDir, 'b-00000000-0000000000000000'), UID);
    removeDeadCalls(home.runtimeDir);
    assert.equal(existsSync(home.runtimeDir), false);
  });

  test('holds all of the environment that decides which broker serves it', (t) => {
    const { home } = openCaller(t);
    const read = new Set<string>();
    const env = new Proxy<Record<string, string>>(
      {},
      {
        get(_, name) {
          read.add(String(name));
          return undefined;
        },
      },
    );
    readSettings(env);
    assert.ok(read.size > 20, [...read].join(' '));
    /** What is found with an environment: the folders that are looked into, and the name of the broker. */
    const find = (set: Record<string, string>): string => {
      const settings = readSettings(set);
      const { configDirs, loginName } = settings;
      const [alias] = listAliases(readSettings(home.env)).aliases;
      assert.ok(alias?.alias !== undefined);
      return JSON.stringify([configDirs, loginName, settings.home, brokerFileName(alias.alias, 0, settings)]);
    };
    const known = new Set<string>();
    for (const name of read) {
      // With and without the others: some count only where another one is not set.
      for (const others of [{}, { ...home.env }]) {
        const one = { ...others, [name]: '/one' };
        const two = { ...others, [name]: '/two' };
        const settings = readSettings(one);
        assert.equal(find(settings.callEnv), find(one), name);
        if (find(one) === find(two)) continue;
        known.add(name);
        assert.equal(settings.callEnv[name], '/one', `${name} decides`);
      }
    }
    for (const name of ['HOME', 'SSH_AUTH_SOCK', 'KRB5CCNAME', 'XDG_CONFIG_HOME', 'PINE_RSH_CONFIG_DIR']) {
      assert.ok(known.has(name), name);
    }
    const { uid, runtimeDirs, callEnv } = readSettings(home.env);
    assert.deepEqual(readCallerSettings(home.env), { uid, runtimeDirs, callEnv });
  });

  test('is forgotten with all others where there are too many, and comes back', async (t) => {
    const { home, settings, call } = openCaller(t);
    const socket = join(home.runtimeDir, 'b-00000000-0000000000000000');
    await listen(t, socket);
    const numbered = (number: number): Call => call(['work', '-l', `pat${number}`, 'exec', '/etc/rimapd']);
    for (let number = 0; number < 3 * CALLS_MAX; number += 1) {
      linkCall(numbered(number), socket, UID);
      assert.notEqual(findCall(numbered(number), settings), undefined);
      assert.ok(readdirSync(home.runtimeDir).length <= 1 + CALLS_MAX);
    }
    assert.equal(findCall(numbered(0), settings), undefined);
    linkCall(numbered(0), socket, UID);
    assert.notEqual(findCall(numbered(0), settings), undefined);
    assert.deepEqual(listBrokerSockets(settings), [socket]);
  });
});

describe('What a call asks for', () => {
  const wanted = (call: Call): string | undefined => {
    const query = readCall(call);
    return query && findWanted(query);
  };
  for (const args of [
    PINE,
    ['work'],
    ['work', 'exec', '/etc/rimapd'],
    ['-l', 'kim', 'work', 'imapd'],
    ['-4', '-p', '2222', 'kim@work', 'rimapd'],
    ['WORK', '-l', 'pat', 'exec', '/etc/rimapd'],
  ]) {
    test(`${args.join(' ')}: the alias that the client finds, too`, (t) => {
      const { call, ownName } = openCaller(t);
      assert.equal(wanted(call(args)), ownName(args));
    });
  }

  for (const args of [
    ['other', '-l', 'pat', 'exec', '/etc/rimapd'],
    ['work', 'uptime'],
    ['work', '-s', 'sftp'],
    ['-W', 'news:119', 'work'],
    ['-G', 'work'],
    ['work', '/opt/other/imapd'],
    ['--version'],
    ['--help'],
  ]) {
    test(`${args.join(' ')}: no imapd of an alias`, (t) => {
      const { call } = openCaller(t);
      assert.equal(wanted(call(args)), undefined);
    });
  }

  test('is what the alias file says now', (t) => {
    const { home, call, ownName } = openCaller(t);
    const before = wanted(call());
    home.writeAlias('work', { ...KEYS, HOSTNAME: 'other.example.org' });
    assert.notEqual(wanted(call()), before);
    assert.equal(wanted(call()), ownName());
    home.writeAlias('work', KEYS);
    assert.equal(wanted(call()), before);
    home.writeDefaults({ CONNECT_TIMEOUT: 11 });
    assert.notEqual(wanted(call()), before);
    home.writeAlias('work', { HOSTNME: 'mail.example.org' });
    assert.throws(() => wanted(call()), { code: 'alias-syntax' });
  });

  test('is nothing that a frame does not hold whole', () => {
    for (const body of [
      {},
      { args: 'work', env: {} },
      { args: [1], env: {} },
      { args: ['work'] },
      { args: ['work'], env: null },
      { args: ['work'], env: { HOME: 1 } },
    ]) {
      assert.throws(() => parseTake(body), FrameError, JSON.stringify(body));
    }
  });
});

describe('A broker that is called', () => {
  const openCheck = (t: TestContext) => {
    const caller = openCaller(t);
    const bugs: unknown[] = [];
    const check = new CallCheck(caller.ownName(), (error) => bugs.push(error));
    return { ...caller, check, bugs };
  };
  const spoil: AliasKeys = { ...KEYS, HOSTNAME: 'other.example.org' };

  test('serves its own alias, and no other', (t) => {
    const { home, call, check } = openCheck(t);
    home.writeAlias('play', KEYS);
    assert.equal(check.leadsHere(call()), true);
    assert.equal(check.leadsHere(call(['play', '-l', 'pat', 'exec', '/etc/rimapd'])), false);
    assert.equal(check.leadsHere(call(PINE, { PINE_RSH_CONFIG_DIR: home.dir })), false);
    assert.equal(check.leadsHere(call(PINE, { SSH_AUTH_SOCK: '/run/other' })), false);
  });

  test('sees what was changed before it looked', (t) => {
    const { home, call, check } = openCheck(t);
    assert.equal(check.leadsHere(call()), true);
    check.foresee();
    assert.equal(check.leadsHere(call()), true);
    home.writeAlias('work', spoil);
    check.foresee();
    assert.equal(check.leadsHere(call()), false);
    home.writeAlias('work', KEYS);
    assert.equal(check.leadsHere(call()), true, 'one look is for one client');
  });

  test('does not rely on a look that is old', (t) => {
    const { home, call, check } = openCheck(t);
    assert.equal(check.leadsHere(call()), true);
    check.foresee();
    home.writeAlias('work', spoil);
    const { now } = performance;
    t.mock.method(performance, 'now', () => now.call(performance) + BROKER_TAKE_MS);
    assert.equal(check.leadsHere(call()), false);
  });

  test('does not take one call for another', (t) => {
    const { call, check } = openCheck(t);
    assert.equal(check.leadsHere(call()), true);
    check.foresee();
    assert.equal(check.leadsHere(call(['play'])), false);
  });

  test('forgets what it saw for a client that went away', (t) => {
    const { home, call, check } = openCheck(t);
    assert.equal(check.leadsHere(call()), true);
    check.foresee();
    home.writeAlias('work', spoil);
    check.foresee();
    assert.equal(check.leadsHere(call()), false);
  });

  test('tells of what no client would', (t) => {
    const { home, call, check, bugs } = openCheck(t);
    home.writeAlias('work', { HOSTNME: 'mail.example.org' });
    assert.equal(check.leadsHere(call()), false);
    assert.deepEqual(bugs, []);
    const broken = { ...call(), args: undefined } as unknown as Call;
    assert.equal(check.leadsHere(broken), false);
    assert.equal(bugs.length, 1);
  });

  test('serves nobody while the alias file is not to be trusted', (t) => {
    const { home, call, check } = openCheck(t);
    const file = home.writeAlias('work', KEYS);
    chmodSync(file, 0o666);
    assert.equal(check.leadsHere(call()), false);
    chmodSync(file, 0o600);
    assert.equal(check.leadsHere(call()), true);
  });
});
