/** Sharing one connection: what Alpine gets from it, and how a broker is born, replaced and ended. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { openThroughBroker } from '../../src/broker/client.ts';
import { openFrozenLine } from '../broker/frozen-line.ts';
import { type LiveBroker, openSharing } from '../broker/sharing.ts';
import { NO_SUCH_HOST_ENV, openAlpine } from '../helpers/alpine.ts';
import { BUILDS } from '../helpers/builds.ts';
import { writeKnownHosts } from '../helpers/faulty-host.ts';
import { isRunning, signalProcess, waitForNoProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap');
const NEEDS_ALPINE = requirePrograms('alpine', 'tmux', 'sshd', 'imap');

/** What ends "at once" on an idle machine, with room for a busy one. */
const PROMPT = { timeout: 5_000 };

/** A probe may take 2 s; the rest is a login on a busy machine. */
const DEAD_CONNECTION_MS = 5_000;

const isWarm = ({ warm }: LiveBroker) => warm >= 1;

/** Field 7 of proc_pid_stat(5): the controlling terminal, 0 without one. */
function terminalOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[4];
}

function descriptorsOf(pid: number): Map<number, string> {
  const folder = `/proc/${pid}/fd`;
  return new Map(
    readdirSync(folder).flatMap((fd) => {
      try {
        return [[Number(fd), readlinkSync(`${folder}/${fd}`)] as const];
      } catch {
        return [];
      }
    }),
  );
}

for (const build of BUILDS) {
  describe(`A shared connection (${build.name})`, { skip: NEEDS || build.skip, concurrency: 2 }, () => {
    test('Alpine has three folders open on one connection, and all but the first came warm', {
      skip: NEEDS_ALPINE,
    }, async (t) => {
      const { host, home, broker, routes, logins } = await openSharing(t, build, { env: NO_SUCH_HOST_ENV });
      host.makeMailbox('Sent');
      const alpine = openAlpine(t, home, {
        mailbox: `{work/secure/user=${host.user}}`,
        rshPath: build.rshPath,
        pinerc: ['max-remote-connections=3'],
      });
      await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*of 20/);
      for (const folder of ['Work', 'Sent', 'INBOX', 'Work', 'Sent']) {
        await broker(isWarm);
        await alpine.goTo(folder);
        await alpine.waitFor(new RegExp(`Folder: ${folder}\\b`));
      }
      const { pid, sessions, connections } = await broker();
      assert.deepEqual({ sessions, connections }, { sessions: 3, connections: 1 });
      assert.equal(host.sessionPids().length, 1);
      assert.equal(logins(), 1);
      assert.equal(terminalOf(pid), '0');
      assert.equal(await alpine.quit(), 0);
      await waitUntil('three sessions end', () => routes().length === 3);
      assert.deepEqual(routes().sort(), ['shared', 'warm', 'warm'], home.log());
    });

    test('Alpine shows a closed folder when the broker is killed', { skip: NEEDS_ALPINE }, async (t) => {
      const { host, home, broker } = await openSharing(t, build, { env: NO_SUCH_HOST_ENV });
      const mailbox = `{work/secure/user=${host.user}}`;
      const alpine = openAlpine(t, home, { mailbox, rshPath: build.rshPath });
      await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*of 20/);
      signalProcess((await broker()).pid, 'SIGKILL');
      alpine.keys('C-l');
      await alpine.waitFor(/CLOSED/);
      await alpine.goTo('Work');
      await alpine.waitFor(/Folder: Work\b/);
      assert.equal(await alpine.quit(), 0);
    });

    test('Eight first openings at once end with one broker and one connection', async (t) => {
      const { home, open, leave, broker, brokerProcesses, logins, routes } = await openSharing(t, build);
      const sessions = await Promise.all(Array.from({ length: 8 }, () => open()));
      const { sessions: held, connections } = await broker();
      assert.deepEqual({ held, connections }, { held: 8, connections: 1 });
      await waitUntil('one broker is left', () => brokerProcesses().length === 1);
      assert.equal(logins(), 1);
      for (const session of sessions) await leave(session);
      assert.ok(!routes().includes('direct'), home.log());
      assert.deepEqual(
        readdirSync(home.runtimeDir)
          .map((name) => name.split('-')[0])
          .filter((kind) => kind !== 'timeout')
          .sort(),
        ['b', 'c'],
        'nothing but the socket, and its name for the call, is left in the runtime folder',
      );
    });

    test('An edited alias gets a new broker; the old one ends with its last session', async (t) => {
      const { host, home, open, leave, broker, brokers, logins } = await openSharing(t, build);
      const before = await open();
      const old = await broker();
      home.writeAlias('work', {
        ...host.aliasKeys,
        IMAPD: host.rimapd,
        SHARE: 'yes',
        PERSIST: 60,
        CONNECT_TIMEOUT: 11,
      });
      const after = await open();
      await waitUntil('the old broker closes its socket', async () => (await brokers()).length === 1);
      const next = await broker();
      assert.notEqual(next.pid, old.pid);
      assert.equal(existsSync(old.socket), false);
      assert.equal(logins(), 2);
      assert.equal((await before.imap.ask('NOOP')).status, 'OK');
      assert.ok(isRunning(old.pid));
      await leave(before);
      await waitUntil('the old broker ends', () => !isRunning(old.pid), PROMPT);
      await leave(after);
      assert.ok(isRunning(next.pid));
    });

    test('Callers with different agents have different brokers', async (t) => {
      const { host, open, brokers, logins } = await openSharing(t, build);
      await open();
      await open(undefined, { SSH_AUTH_SOCK: `${host.dir}/no-agent` });
      assert.equal((await brokers()).length, 2);
      assert.equal(logins(), 2);
      await open();
      await open(undefined, { SSH_AUTH_SOCK: `${host.dir}/no-agent` });
      assert.equal((await brokers()).length, 2);
      assert.equal(logins(), 2);
    });

    test('A broker has nothing of its first caller but what it needs', async (t) => {
      const { host, home, broker } = await openSharing(t, build);
      const child = runAsPine(
        t,
        '/bin/sh',
        ['-c', 'exec 7</etc/passwd 9</etc/group; exec "$@"', 'sh', build.rshPath, 'work', '-l', host.user],
        { env: { ...home.env, FOO: 'bar', EDITOR: 'vi', LD_LIBRARY_PATH: '/nonexistent' }, cwd: home.dir },
      );
      await child.waitForText('* PREAUTH');
      const { pid } = await broker();
      const proc = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
      assert.equal(proc('cmdline').replace(/\0+$/, '').split('\0').join(' '), 'pine-rsh --broker work');
      const onBun = !/\/node$/.test(readlinkSync(`/proc/${pid}/exe`));
      const names = proc('environ')
        .split('\0')
        .map((line) => line.split('=', 1)[0])
        .filter((name) => name !== '');
      assert.deepEqual(names.sort(), [
        'HOME',
        'LANG',
        ...(onBun ? ['MIMALLOC_PURGE_DELAY'] : []),
        'PATH',
        'PINE_RSH_CONFIG_DIR',
        'PINE_RSH_RUNTIME_DIR',
        'PINE_RSH_STATE_DIR',
      ]);
      assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/');
      assert.equal(terminalOf(pid), '0');
      const open = descriptorsOf(pid);
      const callers = descriptorsOf(child.pid);
      for (const [fd, what] of open) {
        if (fd > 2) assert.match(what, /^(socket|pipe|anon_inode):|^\/dev\/null$/, `descriptor ${fd}`);
        for (const other of [0, 1, 2, 7, 9]) assert.notEqual(what, callers.get(other), `descriptor ${fd}`);
      }
    });

    test('A killed broker ends its sessions at once', async (t) => {
      const { home, open, leave, broker, routes } = await openSharing(t, build);
      const sessions = [await open(), await open()];
      signalProcess((await broker()).pid, 'SIGKILL');
      for (const { child } of sessions) {
        const { code, signal } = await child.finish(PROMPT);
        assert.deepEqual({ code, signal }, { code: 255, signal: null });
      }
      assert.equal(home.log().match(/ end=lost status=255 .*its process ended/g)?.length, 2, home.log());
      await leave(await open());
      assert.equal(routes().at(-1), 'shared', home.log());
    });

    test('A broker that is told to end takes everything with it', async (t) => {
      const { host, home, open, broker } = await openSharing(t, build);
      const { child } = await open();
      const { pid, socket } = await broker(isWarm);
      signalProcess(pid, 'SIGTERM');
      assert.equal((await child.finish(PROMPT)).code, 255);
      await waitForNoProcess(home.dir, PROMPT);
      await waitUntil('the remote imapds end', () => host.remoteProcesses().length === 0, PROMPT);
      assert.equal(existsSync(socket), false);
    });

    test('Three folders that are opened at once find three imapds waiting the next time', async (t) => {
      const { settings, open, leave, broker } = await openSharing(t, build);
      const held = await open();
      const { socket } = await broker(({ warm }) => warm === 1);
      // Not by processes of ours, which a busy machine starts one after the other.
      const openThree = async (): Promise<unknown[]> => {
        const ask = { kind: 'mail', command: undefined, host: undefined, port: undefined } as const;
        const { signal } = new AbortController();
        const opens = [1, 2, 3].map(() => openThroughBroker(socket, settings.uid, ask, signal, () => {}));
        const opened = await Promise.all(opens);
        for (const each of opened) each?.stream.kill();
        return opened.map((each) => each?.route).sort();
      };
      assert.deepEqual(await openThree(), ['shared', 'shared', 'warm']);
      await broker(({ sessions, warm }) => sessions === 1 && warm === 3);
      assert.deepEqual(await openThree(), ['warm', 'warm', 'warm']);
      await leave(held);
    });

    test('A warm imapd that died is not handed out', async (t) => {
      const { host, home, open, leave, broker, routes } = await openSharing(t, build);
      const first = await open();
      await broker(isWarm);
      const imapds = () => host.remoteProcesses().filter(({ command }) => command.includes('imap -c'));
      const warm = imapds().at(-1);
      assert.ok(warm);
      assert.equal(imapds().length, 2);
      signalProcess(warm.pid, 'SIGKILL');
      await broker((each) => each.warm === 0);
      const second = await open();
      assert.equal((await second.imap.ask('NOOP')).status, 'OK');
      await leave(second);
      await leave(first);
      assert.deepEqual(routes(), ['shared', 'shared'], home.log());
    });

    test('A server that was started anew is found again', async (t) => {
      const { host, home, open, leave, broker, routes } = await openSharing(t, build);
      const before = await open();
      const { pid } = await broker(isWarm);
      await host.restart();
      assert.equal((await before.child.finish(PROMPT)).code, 255);
      const after = await open();
      assert.equal((await after.imap.ask('SELECT INBOX')).status, 'OK');
      await leave(after);
      assert.equal((await broker()).pid, pid);
      assert.deepEqual(routes(), ['shared', 'shared'], home.log());
    });

    for (const [what, keys] of [
      // Heard of less than a second ago, it is not asked beforehand.
      ['just', { WARM: 0, SERVER_ALIVE_INTERVAL: 60 }],
      ['for a while', { WARM: 1, SERVER_ALIVE_INTERVAL: 1 }],
    ] as const) {
      test(`A connection that has been dead ${what} costs an opening two seconds`, async (t) => {
        const { host, home, open, leave, broker, logins, routes } = await openSharing(t, build);
        const line = await openFrozenLine(t, host.port);
        home.writeAlias('work', {
          ...host.aliasKeys,
          PORT: line.port,
          KNOWN_HOSTS: writeKnownHosts(host, line.port),
          IMAPD: host.rimapd,
          PERSIST: 60,
          ...keys,
        });
        await open();
        const { pid } = await broker(({ warm }) => warm === keys.WARM);
        line.freeze();
        if (keys.SERVER_ALIVE_INTERVAL === 1) await new Promise((resolve) => setTimeout(resolve, 1_200));
        const start = performance.now();
        const after = await open();
        const ms = performance.now() - start;
        assert.ok(ms < DEAD_CONNECTION_MS, `${ms} ms`);
        assert.equal((await after.imap.ask('NOOP')).status, 'OK');
        await leave(after);
        assert.equal(logins(), 2);
        assert.equal((await broker()).pid, pid);
        assert.deepEqual(routes(), ['shared'], home.log());
      });
    }
  });

  describe(`A broker that nobody needs (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 3,
  }, () => {
    test('leaves after PERSIST, and takes the warm imapds along', async (t) => {
      const { host, home, open, leave, broker } = await openSharing(t, build, {
        alias: () => ({ PERSIST: 1 }),
      });
      const session = await open();
      const { pid, socket } = await broker(isWarm);
      await leave(session);
      await waitUntil('the broker leaves', () => !isRunning(pid), { timeout: 10_000 });
      assert.equal(existsSync(socket), false);
      await waitForNoProcess(home.dir);
      await waitUntil('the remote imapds end', () => host.remoteProcesses().length === 0);
    });

    test('stays as long as a session is open', async (t) => {
      const { home, open, leave, broker, routes } = await openSharing(t, build, {
        alias: () => ({ PERSIST: 1 }),
      });
      const session = await open();
      const { pid } = await broker();
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      assert.equal((await broker(isWarm)).pid, pid);
      await leave(await open());
      await leave(session);
      assert.deepEqual(routes(), ['warm', 'shared'], home.log());
    });

    test('leaves when its socket is removed, with its last session', async (t) => {
      const { open, leave, broker } = await openSharing(t, build);
      const session = await open();
      const { pid, socket } = await broker();
      rmSync(socket);
      const next = await open();
      assert.notEqual((await broker()).pid, pid);
      assert.equal((await session.imap.ask('NOOP')).status, 'OK');
      await leave(session);
      await waitUntil('the broker leaves', () => !isRunning(pid), { timeout: 10_000 });
      await leave(next);
    });
  });
}
