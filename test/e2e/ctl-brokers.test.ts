/** `pine-rshctl status` and `stop` against brokers that real sessions have started. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { isRunning, signalProcess, waitForNoProcess } from '../helpers/processes.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd');

interface Broker {
  readonly alias: string;
  readonly pid: number;
  readonly version: string;
  readonly retired: boolean;
  readonly sessions: number;
  readonly warm: number;
  readonly age_s: number;
  readonly bytes: number;
}

async function openWork(t: TestContext): Promise<TempHome> {
  const server = await openRealSshd(t);
  const home = openTempHome(t);
  for (const name of ['work', 'other']) home.writeAlias(name, server.aliasKeys);
  return home;
}

async function ctl(build: Build, home: TempHome, ...words: string[]): Promise<RunResult> {
  return await runProgram(build.ctlPath, words, { env: home.env });
}

async function listBrokers(build: Build, home: TempHome): Promise<Broker[]> {
  const done = await ctl(build, home, 'status', '--json');
  assert.equal(done.code, 0, done.stderr.toString());
  return JSON.parse(done.stdout.toString()).brokers;
}

for (const build of BUILDS) {
  const skip = NEEDS || build.skip;

  test(`${build.name}: status shows brokers, stop ends those of one alias and waits for them`, {
    skip,
  }, async (t) => {
    const home = await openWork(t);
    for (const name of ['work', 'other']) {
      const done = await runProgram(build.rshPath, [name, 'echo', 'hello'], { env: home.env });
      assert.equal(done.stdout.toString(), 'hello\n', done.stderr.toString());
    }
    const brokers = await listBrokers(build, home);
    assert.deepEqual(
      brokers.map(({ alias }) => alias),
      ['other', 'work'],
    );
    for (const { pid, sessions, warm, age_s, bytes, version } of brokers) {
      assert.ok(isRunning(pid));
      assert.deepEqual([sessions, warm, bytes], [0, 0, 6]);
      assert.ok(Number.isInteger(age_s) && age_s >= 0);
      assert.match(version, /^\d+\.\d+\.\d+ \((standalone|node bundle)\)$/);
    }
    const shown = (await ctl(build, home, 'status')).stdout.toString();
    assert.match(shown, /^work {3}0 sessions {2}0 warm {2}6 B {2}\d+ s {2}pid \d+ +\d.*\)$/m);

    const stopped = await ctl(build, home, 'stop', 'work');
    assert.equal(stopped.code, 0);
    const pid = brokers.find(({ alias }) => alias === 'work')?.pid ?? 0;
    assert.equal(stopped.stdout.toString(), `stopped the broker of work (pid ${pid})\n`);
    assert.ok(!isRunning(pid));
    assert.deepEqual(
      (await listBrokers(build, home)).map(({ alias }) => alias),
      ['other'],
    );
    assert.equal((await ctl(build, home, 'stop', '--all')).code, 0);
    await waitForNoProcess(home.dir, { timeout: 1_000 });
    assert.equal((await ctl(build, home, 'stop', 'work')).stdout.toString(), 'no broker runs for work\n');
  });

  test(`${build.name}: stop ends sessions that are open, and the alias file need not exist any more`, {
    skip,
  }, async (t) => {
    const home = await openWork(t);
    const session = runAsPine(t, build.rshPath, ['work', 'echo started; exec sleep 60'], { env: home.env });
    await session.waitForText('started');
    await waitUntil('the session counts', async () => (await listBrokers(build, home))[0]?.sessions === 1);
    home.writeAlias('work', { NONSENSE: 1 });
    const stopped = await ctl(build, home, 'stop', 'WORK');
    assert.match(stopped.stdout.toString(), /^stopped the broker of work \(pid \d+\) with 1 session\n$/);
    assert.equal((await session.waitForExit()).code, 255);
    await waitForNoProcess(home.dir);
  });

  test(`${build.name}: a broker that takes no more sessions is shown, and ended, as long as it has one`, {
    skip,
  }, async (t) => {
    const server = await openRealSshd(t);
    const home = openTempHome(t);
    home.writeAlias('work', server.aliasKeys);
    const hold = ['work', 'echo started; exec sleep 60'];
    const sessions = [];
    for (const seconds of [11, 12]) {
      home.writeAlias('work', { ...server.aliasKeys, CONNECT_TIMEOUT: seconds });
      const session = runAsPine(t, build.rshPath, hold, { env: home.env });
      await session.waitForText('started');
      sessions.push(session);
    }
    const two = async () => {
      const brokers = await listBrokers(build, home);
      return brokers.length === 2 && brokers.some(({ retired }) => retired) && brokers;
    };
    const brokers = await waitUntil('the older one takes no more', two);
    assert.deepEqual(
      brokers.map(({ sessions: count }) => count),
      [1, 1],
    );
    assert.match(
      (await ctl(build, home, 'status')).stdout.toString(),
      /^work {2}1 session {2}ends with them /m,
    );
    // What is used goes to the other one.
    const done = await runProgram(build.rshPath, ['work', 'echo', 'hello'], { env: home.env });
    assert.equal(done.stdout.toString(), 'hello\n');
    assert.equal((await ctl(build, home, 'stop', 'work')).code, 0);
    for (const session of sessions) assert.equal((await session.waitForExit()).code, 255);
    await waitForNoProcess(home.dir);
    assert.deepEqual(readdirSync(home.runtimeDir), []);
  });

  test(`${build.name}: a broker that hangs is named, and stop ends it`, {
    skip: skip || (existsSync('/proc/net/unix') ? false : 'this machine does not tell who holds a socket'),
  }, async (t) => {
    const home = await openWork(t);
    for (const name of ['work', 'other'])
      await runProgram(build.rshPath, [name, 'echo', 'hello'], { env: home.env });
    const pids = new Map((await listBrokers(build, home)).map(({ alias, pid }) => [alias, pid]));
    for (const pid of pids.values()) signalProcess(pid, 'SIGSTOP');
    const [work, other] = [pids.get('work'), pids.get('other')];

    const status = await ctl(build, home, 'status');
    const said = (name: string, pid = 0): string =>
      `pine-rshctl: the broker of ${name} (pid ${pid}) does not answer\n  hint: run: pine-rshctl stop ${name}\n`;
    assert.equal(status.code, 1);
    assert.equal(status.stdout.toString(), '');
    const problems = status.stderr.toString();
    for (const [name, pid] of pids) assert.ok(problems.includes(said(name, pid)), problems);
    const json = JSON.parse((await ctl(build, home, 'status', '--json')).stdout.toString());
    assert.deepEqual(json.brokers, []);
    assert.deepEqual(json.silent.map(({ alias, pid }: Broker) => `${alias} ${pid}`).toSorted(), [
      `other ${other}`,
      `work ${work}`,
    ]);

    const stopped = await ctl(build, home, 'stop', 'Work');
    assert.equal(
      stopped.stdout.toString(),
      `killed the broker of work (pid ${work}), which did not answer\n`,
      stopped.stderr.toString(),
    );
    assert.equal(stopped.code, 0);
    assert.deepEqual([isRunning(work ?? 0), isRunning(other ?? 0)], [false, true]);
    const all = await ctl(build, home, 'stop', '--all');
    assert.equal(all.stdout.toString(), `killed the broker of other (pid ${other}), which did not answer\n`);
    assert.equal(all.code, 0);
    await waitForNoProcess(home.dir);
    assert.equal((await ctl(build, home, 'status')).stdout.toString(), 'no broker runs\n');
  });
}
