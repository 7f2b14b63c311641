/**
 * The next folder of a mail client, which its broker hands over without the client looking anything up: it has to be
 * the same folder, by the alias file as it is now, and whatever is wrong has to be said as on the long way.
 */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeControl, encodeFrame, FRAME, PROTOCOL_VERSION } from '../../src/broker/frame.ts';
import { connectFrames } from '../../src/broker/socket-path.ts';
import { stopBroker } from '../../src/broker/status.ts';
import { BROKER_TAKE_MS, EARLY_BYTE_MS } from '../../src/limits.ts';
import { openFakeBroker } from '../broker/fake-broker.ts';
import { openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openImapClient } from '../helpers/imap-client.ts';
import { signalProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap');

const HELLO = encodeControl(FRAME.HELLO, { version: PROTOCOL_VERSION, pid: 1 });

const TOLD = { name: 'work', queue: false, fallback: 'deny', serverAliveInterval: 0, serverAliveCountMax: 3 };

const isWarm = ({ warm }: { warm: number }) => warm >= 1;

/** A home that has opened one folder and has the next one ready. */
async function openReady(t: TestContext, build: Build): Promise<Sharing> {
  const sharing = await openSharing(t, build);
  await sharing.leave(await sharing.open());
  await sharing.broker(isWarm);
  return sharing;
}

/** The path by which Pine's call finds its broker. */
function callPath({ home }: Sharing): string {
  const [name, another] = readdirSync(home.runtimeDir).filter((each) => each.startsWith('c-'));
  assert.ok(name !== undefined && another === undefined);
  return join(home.runtimeDir, name);
}

/** Puts something else where Pine's call leads to; the broker itself goes on. */
async function replaceBroker(
  t: TestContext,
  sharing: Sharing,
  onFrame: Parameters<typeof openFakeBroker>[2],
): Promise<void> {
  const path = callPath(sharing);
  rmSync(path);
  await openFakeBroker(t, path, onFrame);
}

/** What the broker at `path` makes of Pine's call; a session that it opens is given up. */
async function askTake(path: string, { host, settings }: Sharing): Promise<string> {
  let answer: (said: string) => void = () => {};
  const answered = new Promise<string>((resolve) => {
    answer = resolve;
  });
  const frames = await connectFrames(path, settings.uid, {
    onFrame: ({ type }) => {
      if (type === FRAME.OPENED) answer('OPENED');
      if (type === FRAME.NONE) answer('NONE');
      if (type === FRAME.STARTING) answer('STARTING');
    },
    onClose: () => answer('nobody'),
  });
  if (frames === undefined) return 'nobody';
  const args = ['work', '-l', host.user, 'exec', '/etc/rimapd'];
  frames.controls(
    [FRAME.HELLO, { version: PROTOCOL_VERSION }],
    [FRAME.TAKE, { args, env: settings.callEnv }],
  );
  const said = await answered;
  frames.destroy();
  return said;
}

for (const build of BUILDS) {
  describe(`The short way (${build.name})`, { skip: NEEDS || build.skip, concurrency: 2 }, () => {
    test('opens a whole session: both directions, its end and its status', async (t) => {
      const { open, leave, home, host, broker } = await openReady(t, build);
      assert.equal((await broker()).taken, 0);
      const session = await open();
      assert.equal((await broker()).taken, 1);
      assert.equal((await session.imap.ask('SELECT INBOX')).status, 'OK');
      const { lines } = await session.imap.ask('FETCH 1:20 (BODY.PEEK[])');
      assert.ok(lines.length > 20 * 5);
      await leave(session);
      assert.match(home.log(), / session .* route=warm open_ms=\d+ .* status=0 bytes_in=\d{4,}/);
      assert.equal(host.sessionPids().length, 1);
    });

    for (const [what, stopped] of [
      ['whose call was made before', false],
      ['that is stopped for longer than it would wait', true],
    ] as const) {
      test(`is what a client takes ${what}`, async (t) => {
        const sharing = await openReady(t, build);
        let pid = 0;
        await replaceBroker(t, sharing, async ({ type, payload }, socket) => {
          if (type !== FRAME.TAKE) return;
          if (stopped) signalProcess(pid, 'SIGSTOP');
          const { args } = JSON.parse(payload.toString());
          const greeting = `* PREAUTH ${args.join(' ')}\r\n`;
          socket.write(HELLO);
          socket.write(encodeControl(FRAME.OPENED, { route: 'warm', steps: {}, greeting, alias: TOLD }));
          socket.write(encodeFrame(FRAME.DATA, Buffer.from('* BYE\r\n')));
          socket.write(encodeControl(FRAME.EOF));
          socket.write(encodeControl(FRAME.EXIT, { status: 7 }));
          if (!stopped) return;
          await sleep(3 * BROKER_TAKE_MS);
          signalProcess(pid, 'SIGCONT');
        });
        const child = sharing.start();
        pid = child.pid;
        const { code } = await child.finish();
        const said = `* PREAUTH work -l ${sharing.host.user} exec /etc/rimapd\r\n* BYE\r\n`;
        assert.deepEqual([child.output().toString(), code], [said, 7], sharing.home.log());
      });
    }

    for (const [what, onFrame] of [
      ['says nothing', () => {}],
      ['has nothing ready', 'NONE'],
      ['breaks off', 'end'],
    ] as const) {
      test(`leads past whoever ${what} to the broker`, async (t) => {
        const sharing = await openReady(t, build);
        let asked = 0;
        await replaceBroker(t, sharing, ({ type }, socket) => {
          if (type === FRAME.TAKE) asked += 1;
          if (type !== FRAME.TAKE || typeof onFrame === 'function') return;
          socket.write(HELLO);
          if (onFrame === 'NONE') socket.write(encodeControl(FRAME.NONE, {}));
          else socket.end();
        });
        await sharing.leave(await sharing.open());
        assert.equal(sharing.routes().at(-1), 'warm', sharing.home.log());
        // The way was mended.
        await sharing.broker(isWarm);
        await sharing.leave(await sharing.open());
        assert.deepEqual([asked, sharing.logins(), (await sharing.broker()).taken], [1, 1, 1]);
      });
    }

    test('has an imapd started where none is ready', async (t) => {
      const sharing = await openSharing(t, build, { alias: () => ({ WARM: 0 }) });
      const { open, leave, home, broker } = sharing;
      await leave(await open());
      assert.equal(await askTake(callPath(sharing), sharing), 'STARTING');
      const session = await open();
      assert.equal((await session.imap.ask('SELECT INBOX')).status, 'OK');
      await leave(session);
      assert.deepEqual(
        [(await broker()).taken, sharing.logins(), sharing.routes()],
        [0, 1, ['shared', 'shared']],
      );
      // Nothing of it was done twice, and who only asked is no error.
      assert.doesNotMatch(home.log(), /useless|broker-error/);
    });

    test('tells why the imapd that is started does not come up', async (t) => {
      const script = '[ -e "$HOME/broken" ] && { echo no quota >&2; exit 3; }; exec "$0.real"';
      const sharing = await openSharing(t, build, {
        alias: (host) => ({
          WARM: 0,
          IMAPD: host.writeProgram('brittle', script.replace('"$0.real"', host.rimapd)),
        }),
      });
      const { open, leave, start, host } = sharing;
      await leave(await open());
      writeFileSync(join(host.home, 'broken'), '');
      const child = start();
      assert.match(
        await openImapClient(child).greeting(),
        /^\* PREAUTH \[ALERT\] pine-rsh: work: .*status 3.*no quota/,
      );
      child.endInput();
      assert.equal((await child.finish()).code, 255);
    });

    test('ends in the long way where the broker dies while it starts one', async (t) => {
      const sharing = await openReady(t, build);
      await replaceBroker(t, sharing, ({ type }, socket) => {
        if (type !== FRAME.TAKE) return;
        socket.write(HELLO);
        socket.end(encodeControl(FRAME.STARTING, { alias: TOLD }));
      });
      const session = await sharing.open();
      assert.equal((await session.imap.ask('SELECT INBOX')).status, 'OK');
      await sharing.leave(session);
      assert.match(sharing.home.log(), /useless.*closed the connection/);
    });

    test('sends the first byte early where an imapd takes long to start', async (t) => {
      const sharing = await openReady(t, build);
      await replaceBroker(t, sharing, async ({ type }, socket) => {
        if (type !== FRAME.TAKE) return;
        socket.write(HELLO);
        socket.write(encodeControl(FRAME.STARTING, { alias: TOLD }));
        await sleep(EARLY_BYTE_MS + 500);
        socket.write(
          encodeControl(FRAME.OPENED, { route: 'shared', steps: {}, greeting: '* PREAUTH late\r\n' }),
        );
        socket.write(encodeControl(FRAME.EOF));
        socket.write(encodeControl(FRAME.EXIT, { status: 0 }));
      });
      const child = sharing.start();
      await child.waitForText(/^\*$/);
      await child.finish();
      assert.equal(child.output().toString(), '* PREAUTH late\r\n');
    });

    test('ends at a broker that is told to stop, with a session it still has', async (t) => {
      const sharing = await openReady(t, build);
      const session = await sharing.open();
      const { socket } = await sharing.broker(isWarm);
      const path = `${socket}.still-there`;
      linkSync(callPath(sharing), path);
      assert.equal(await askTake(path, sharing), 'OPENED');
      await sharing.broker(isWarm);
      assert.equal(await stopBroker(socket, sharing.settings, false), true);
      assert.equal(await askTake(path, sharing), 'NONE');
      rmSync(path);
      await sharing.leave(session);
    });

    test('leads no further than to a broker that has its own place', async (t) => {
      const sharing = await openReady(t, build);
      const { socket } = await sharing.broker(isWarm);
      assert.equal(await askTake(callPath(sharing), sharing), 'OPENED');
      await sharing.broker(isWarm);
      renameSync(socket, `${socket}.moved`);
      assert.equal(await askTake(callPath(sharing), sharing), 'NONE');
      renameSync(`${socket}.moved`, socket);
      assert.equal(await askTake(callPath(sharing), sharing), 'OPENED');
    });

    test('is barred by what is edited in the alias file, and open again when that is undone', async (t) => {
      const sharing = await openReady(t, build);
      const { home } = sharing;
      const file = join(home.configDir, 'hosts', 'work.env');
      const before = readFileSync(file, 'utf8');
      const path = callPath(sharing);
      appendFileSync(file, 'CONNECT_TIMEOUT=17\n');
      assert.equal(await askTake(path, sharing), 'NONE');
      writeFileSync(file, before);
      chmodSync(file, 0o666);
      assert.equal(await askTake(path, sharing), 'NONE');
      chmodSync(file, 0o600);
      assert.equal(await askTake(path, sharing), 'OPENED');
    });

    test('tells a mistake in the alias file that was just made', async (t) => {
      const { home, host, start, open, leave, broker } = await openReady(t, build);
      home.writeAlias('work', { ...host.aliasKeys, HOSTNME: 'mail' });
      const child = start();
      assert.match(await openImapClient(child).greeting(), /work\.env:\d+: .*HOSTNME/);
      child.endInput();
      await child.finish();
      home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, SHARE: 'yes', PERSIST: 60 });
      await broker(isWarm);
      await leave(await open());
    });

    test('ends where the alias file is gone', async (t) => {
      const { home, start } = await openReady(t, build);
      rmSync(join(home.configDir, 'hosts', 'work.env'));
      const child = start();
      const { code } = await child.finish();
      assert.deepEqual([child.output().toString(), code], ['', 255], home.log());
    });

    test('is no way for another word, another user or another home', async (t) => {
      const { home, host, start, open } = await openReady(t, build);
      const { stdout } = await runProgram(build.rshPath, ['work', 'echo', 'done'], { env: home.env });
      assert.equal(stdout.toString(), 'done\n');
      const child = start(['work', '-l', 'nobody-here', 'exec', '/etc/rimapd']);
      assert.match(await openImapClient(child).greeting(), /^\* (BYE|OK|PREAUTH) .*pine-rsh:/);
      child.endInput();
      await child.finish();
      const empty = start(undefined, { PINE_RSH_CONFIG_DIR: host.dir });
      const { code } = await empty.finish();
      assert.deepEqual([empty.output().toString(), code], ['', 255]);
      await open();
    });

    for (const name of ['SIGTERM', 'SIGHUP'] as const) {
      test(`is left by ${name} with a refusal, and not in silence`, async (t) => {
        const sharing = await openReady(t, build);
        // So that nobody opens the folder, should the signal come late.
        signalProcess((await sharing.broker()).pid, 'SIGSTOP');
        let told = false;
        await replaceBroker(t, sharing, ({ type }) => {
          if (type === FRAME.TAKE) told = true;
        });
        const child = sharing.start();
        await waitUntil('its call', () => told);
        // It obeys signals while it waits, from a moment after its call.
        await sleep(BROKER_TAKE_MS / 2);
        signalProcess(child.pid, name);
        assert.match(await openImapClient(child).greeting(), new RegExp(`pine-rsh: .*ended by ${name}`));
        child.endInput();
        assert.equal((await child.finish()).code, 255, sharing.home.log());
      });
    }
  });
}
