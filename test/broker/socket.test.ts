/** The broker's socket: private from birth, one for all who race for it, and nobody else's file is ever touched. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listenSocket, ownsSocket, type SocketListener } from '../../src/broker/socket.ts';
import {
  brokerSocketPath,
  connectFrames,
  isBrokerLive,
  listBrokerSockets,
} from '../../src/broker/socket-path.ts';
import { SOCKET_PATH_MAX } from '../../src/limits.ts';
import { readSettings } from '../../src/settings.ts';
import { defer } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { within } from '../helpers/wait.ts';

const UID = process.getuid?.() ?? 0;
const NAME = 'b-00000000-0000000000000000';
const AS_ROOT = UID === 0 ? false : 'only root can make files of another user';
const NOBODY = 65_534;

/** Listens and stops with the test. */
async function listen(t: TestContext, path: string): Promise<SocketListener | undefined> {
  const listener = await listenSocket(path, UID, (socket) => socket.resume());
  if (listener !== undefined) defer(t, () => listener.server.close());
  return listener;
}

/** What a broker leaves that was killed. */
async function makeStale(path: string): Promise<void> {
  const server = createServer();
  server.listen(`${path}.first`);
  await once(server, 'listening');
  linkSync(`${path}.first`, path);
  server.close();
  await once(server, 'close');
}

const NO_HANDLER = { onFrame: () => {}, onClose: () => {} };

test('A listening socket is ours, private, and has no other name', async (t) => {
  const dir = makeTempDir(t, 'socket');
  const path = join(dir, NAME);
  const listener = await listen(t, path);
  assert.ok(listener);
  const stat = lstatSync(path);
  assert.ok(stat.isSocket());
  assert.equal(stat.mode & 0o777, 0o600);
  assert.equal(stat.uid, UID);
  assert.equal(stat.nlink, 1);
  assert.deepEqual(readdirSync(dir), [NAME]);
  assert.equal(ownsSocket(path, listener), true);
  assert.equal(await isBrokerLive(path, UID), true);
});

test('The umask does not open a socket to others', async (t) => {
  const path = join(makeTempDir(t, 'socket'), NAME);
  const before = process.umask(0);
  try {
    await listen(t, path);
  } finally {
    process.umask(before);
  }
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
});

test('A runtime folder is made private, and its sockets are found by their names', async (t) => {
  const dir = join(makeTempDir(t, 'socket'), 'run');
  const settings = readSettings({ PINE_RSH_RUNTIME_DIR: dir });
  const path = brokerSocketPath(NAME, settings);
  assert.equal(path, join(dir, NAME));
  assert.equal(lstatSync(dir).mode & 0o777, 0o700);
  await listen(t, join(dir, NAME));
  writeFileSync(join(dir, 'timeout-0000'), '');
  writeFileSync(join(dir, `${NAME}.4711`), '');
  assert.deepEqual(listBrokerSockets(settings), [path]);
});

for (const [what, spoil] of [
  ['others can write to', (dir: string) => chmodSync(dir, 0o770)],
  ['others can look into', (dir: string) => chmodSync(dir, 0o755)],
  [
    'is a link',
    (dir: string) => {
      rmSync(dir, { recursive: true });
      mkdirSync(`${dir}.elsewhere`, { mode: 0o700 });
      symlinkSync(`${dir}.elsewhere`, dir);
    },
  ],
  [
    'is a file',
    (dir: string) => {
      rmSync(dir, { recursive: true });
      writeFileSync(dir, '');
    },
  ],
] as const) {
  test(`A runtime folder that ${what} is not used`, (t) => {
    const dir = join(makeTempDir(t, 'socket'), 'run');
    mkdirSync(dir, { mode: 0o700 });
    spoil(dir);
    const settings = readSettings({ PINE_RSH_RUNTIME_DIR: dir });
    assert.equal(brokerSocketPath(NAME, settings), undefined);
    assert.deepEqual(listBrokerSockets(settings), []);
  });
}

test('A runtime folder of somebody else is not used', { skip: AS_ROOT }, (t) => {
  const dir = join(makeTempDir(t, 'socket'), 'run');
  mkdirSync(dir, { mode: 0o700 });
  chownSync(dir, NOBODY, NOBODY);
  assert.equal(brokerSocketPath(NAME, readSettings({ PINE_RSH_RUNTIME_DIR: dir })), undefined);
});

test('A runtime folder in a folder where others can put another in its place is not used', (t) => {
  const parent = join(makeTempDir(t, 'socket'), 'shared');
  mkdirSync(join(parent, 'run'), { recursive: true, mode: 0o700 });
  chmodSync(parent, 0o777);
  const settings = readSettings({ PINE_RSH_RUNTIME_DIR: join(parent, 'run') });
  assert.equal(brokerSocketPath(NAME, settings), undefined);
});

test('A path that is too long for a socket, with its process id while it is made, is none', (t) => {
  const base = makeTempDir(t, 'socket');
  const room = SOCKET_PATH_MAX - `/${NAME}.4194304`.length;
  const fits = join(base, 'x'.repeat(room - base.length - 1));
  const path = brokerSocketPath(NAME, readSettings({ PINE_RSH_RUNTIME_DIR: fits }));
  assert.equal(path, join(fits, NAME));
  assert.equal(brokerSocketPath(NAME, readSettings({ PINE_RSH_RUNTIME_DIR: `${fits}y` })), undefined);
  // Counted in bytes.
  const wide = `${fits.slice(0, -1)}\u00e9`;
  assert.equal(brokerSocketPath(NAME, readSettings({ PINE_RSH_RUNTIME_DIR: wide })), undefined);
});

test('A live socket is left alone', async (t) => {
  const path = join(makeTempDir(t, 'socket'), NAME);
  const first = await listen(t, path);
  assert.ok(first);
  for (let again = 0; again < 3; again += 1) assert.equal(await listen(t, path), undefined);
  assert.equal(ownsSocket(path, first), true);
  assert.equal(await isBrokerLive(path, UID), true);
  assert.deepEqual(readdirSync(join(path, '..')), [NAME]);
});

test('A stale socket is replaced, whatever the folder is called', async (t) => {
  for (const name of ['run', 'b-team', 'bob-b-1']) {
    const dir = join(makeTempDir(t, 'socket'), name);
    mkdirSync(dir, { mode: 0o700 });
    const path = join(dir, NAME);
    await makeStale(path);
    assert.equal(await isBrokerLive(path, UID), false);
    const listener = await listen(t, path);
    assert.ok(listener, name);
    assert.equal(ownsSocket(path, listener), true);
    assert.deepEqual(readdirSync(dir), [NAME]);
  }
});

test('A socket that was removed or replaced is not owned any more', async (t) => {
  const path = join(makeTempDir(t, 'socket'), NAME);
  const listener = await listen(t, path);
  assert.ok(listener);
  rmSync(path);
  assert.equal(ownsSocket(path, listener), false);
  const next = await listen(t, path);
  assert.ok(next);
  assert.equal(ownsSocket(path, listener), false);
  assert.equal(ownsSocket(path, next), true);
});

/** Something else in the socket's place: nobody listens, nobody speaks to it, and it stays. */
async function assertLeftAlone(t: TestContext, path: string): Promise<void> {
  const before = lstatSync(path);
  const notOurs = { code: 'file-unusable', message: `${path}: it is not our socket`, hint: 'remove it' };
  await assert.rejects(connectFrames(path, UID, NO_HANDLER), notOurs);
  await assert.rejects(listen(t, path), notOurs);
  const after = lstatSync(path);
  assert.equal(after.ino, before.ino);
  assert.equal(after.mode, before.mode);
  assert.deepEqual(readdirSync(dirname(path)), [basename(path)]);
}

for (const [what, make] of [
  ['file', (path: string) => writeFileSync(path, 'precious')],
  ['folder', (path: string) => mkdirSync(path)],
  ['link to nothing', (path: string) => symlinkSync('/nonexistent', path)],
] as const) {
  test(`A ${what} in the socket's place stays as it is`, async (t) => {
    const path = join(makeTempDir(t, 'socket'), NAME);
    make(path);
    await assertLeftAlone(t, path);
  });
}

test("A link to a live socket in the socket's place stays as it is", async (t) => {
  const real = join(makeTempDir(t, 'socket'), NAME);
  assert.ok(await listen(t, real));
  const path = join(makeTempDir(t, 'socket'), NAME);
  symlinkSync(real, path);
  await assertLeftAlone(t, path);
});

test("A socket of somebody else in the socket's place stays as it is", { skip: AS_ROOT }, async (t) => {
  const path = join(makeTempDir(t, 'socket'), NAME);
  const server = createServer((socket) => socket.resume());
  server.listen(path);
  await once(server, 'listening');
  defer(t, () => server.close());
  chownSync(path, NOBODY, NOBODY);
  await assertLeftAlone(t, path);
});

test('Another user can neither connect to a socket nor replace it', { skip: AS_ROOT }, async (t) => {
  const dir = makeTempDir(t, 'socket');
  const path = join(dir, NAME);
  let connections = 0;
  const listener = await listenSocket(path, UID, (socket) => {
    connections += 1;
    socket.destroy();
  });
  assert.ok(listener);
  defer(t, () => listener.server.close());
  // Even if the folder let him in, the socket's own mode does not.
  for (const mode of [0o700, 0o711]) {
    chmodSync(dir, mode);
    assert.equal(
      await tryAsNobody(`require('node:net').connect(PATH).on('connect', ok).on('error', fail)`, path),
      'EACCES',
    );
    assert.equal(await tryAsNobody(`require('node:fs').rmSync(PATH); ok()`, path), 'EACCES');
    assert.equal(
      await tryAsNobody(`require('node:net').createServer().on('error', fail).listen(PATH + 'x', ok)`, path),
      'EACCES',
    );
  }
  assert.equal(connections, 0);
  assert.equal(ownsSocket(path, listener), true);
});

/** Runs a line of code as another user: `ok`, or the code of the error. */
async function tryAsNobody(code: string, path: string): Promise<string> {
  const script = `
    const PATH = ${JSON.stringify(path)};
    const ok = () => { process.stdout.write('ok'); process.exit(); };
    const fail = (error) => { process.stdout.write(error.code); process.exit(); };
    process.on('uncaughtException', fail);
    ${code}`;
  const child = spawn(process.execPath, ['-e', script], { uid: NOBODY, gid: NOBODY, cwd: '/', env: {} });
  let said = '';
  child.stdout.on('data', (data) => {
    said += String(data);
  });
  await within('the other user', once(child, 'close'));
  return said;
}

test('A client that goes while it is accepted harms nobody', async (t) => {
  const path = join(makeTempDir(t, 'socket'), NAME);
  const listener = await listen(t, path);
  assert.ok(listener);
  for (let i = 0; i < 50; i += 1) {
    const socket = connect(path);
    socket.on('error', () => {});
    socket.destroy();
  }
  assert.equal(await isBrokerLive(path, UID), true);
  assert.ok(listener.server instanceof EventEmitter);
  listener.server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
  assert.equal(await isBrokerLive(path, UID), true);
});

const RACERS = 5;
const ROUNDS = 12;
const START_MS = 4_000;

interface Race {
  /** For each path, how many said that they had won. */
  readonly winners: readonly number[];
  /** For each path, how many own what is there now. */
  readonly owners: readonly number[];
}

async function race(t: TestContext, paths: readonly string[]): Promise<Race> {
  const script = fileURLToPath(new URL('./racing-listener.ts', import.meta.url));
  const start = String(Date.now() + START_MS);
  const racers = Array.from({ length: RACERS }, () => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, start, ...paths], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    defer(t, () => void child.kill('SIGKILL'));
    return { child, said: collect(child) };
  });
  for (const { said } of racers) await within('a racer', said.until('done\n'));
  for (const path of paths) assert.equal(await isBrokerLive(path, UID), true);
  for (const { child } of racers) child.stdin.end();
  await within('the racers', Promise.all(racers.map(({ child }) => once(child, 'close'))));
  const count = (word: string) =>
    paths.map((path) => racers.filter(({ said }) => said.text().includes(`${word} ${path}\n`)).length);
  return { winners: count('won'), owners: count('owns') };
}

function collect({ stdout }: ChildProcess): { text(): string; until(end: string): Promise<void> } {
  let text = '';
  let check = (): void => {};
  stdout?.on('data', (data) => {
    text += String(data);
    check();
  });
  return {
    text: () => text,
    until: (end) =>
      new Promise((resolve) => {
        check = () => {
          if (text.includes(end)) resolve();
        };
        check();
      }),
  };
}

test('Of several that listen at once exactly one wins', async (t) => {
  const dir = makeTempDir(t, 'socket');
  const paths = Array.from({ length: ROUNDS }, (_, round) => join(dir, `${NAME.slice(0, -2)}${10 + round}`));
  const { winners, owners } = await race(t, paths);
  assert.deepEqual(
    winners,
    paths.map(() => 1),
  );
  assert.deepEqual(
    owners,
    paths.map(() => 1),
  );
});

test('Of several that find a stale socket at once exactly one has the place', async (t) => {
  const dir = makeTempDir(t, 'socket');
  const paths = Array.from({ length: ROUNDS }, (_, round) => join(dir, `${NAME.slice(0, -2)}${10 + round}`));
  for (const path of paths) await makeStale(path);
  const { winners, owners } = await race(t, paths);
  assert.deepEqual(
    winners,
    paths.map(() => 1),
  );
  assert.deepEqual(
    owners,
    paths.map(() => 1),
  );
  assert.deepEqual(readdirSync(dir).sort(), paths.map((path) => basename(path)).sort());
});
