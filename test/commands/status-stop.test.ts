/** `status` and `stop`: what they show, and what they say where no broker runs or one hangs. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { RunningBroker } from '../../src/commands/find-brokers.ts';
import { formatBrokers, runStatus } from '../../src/commands/status.ts';
import { runStop } from '../../src/commands/stop.ts';
import { Failure } from '../../src/errors.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { displayWidth } from '../../src/terminal-columns.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

function openHome(t: TestContext): { home: TempHome; settings: Settings } {
  const home = openTempHome(t);
  return { home, settings: readSettings(home.env) };
}

/** A socket that looks like a broker's; somebody listens there and never says a word. */
async function openSilentBroker(t: TestContext, home: TempHome): Promise<string> {
  mkdirSync(home.runtimeDir, { recursive: true, mode: 0o700 });
  const path = join(home.runtimeDir, 'b-00000000-0000000000000000');
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  return path;
}

const BROKER: RunningBroker = {
  alias: 'work',
  pid: 4711,
  version: '0.1.0 (standalone)',
  retired: false,
  sessions: 2,
  taken: 0,
  warm: 1,
  age_s: 200,
  bytes: 1_600_000,
  socket: '/run/b',
};

test('status says that no broker runs', async (t) => {
  const { settings } = openHome(t);
  const output = captureOutput();
  assert.equal(await runStatus(settings, { json: false }, output), 0);
  assert.deepEqual([output.text(), output.errors()], ['no broker runs\n', '']);
});

test('status --json has empty lists where nothing runs', async (t) => {
  const { settings } = openHome(t);
  const output = captureOutput();
  assert.equal(await runStatus(settings, { json: true }, output), 0);
  const mail = { waiting: 0, held: 0 };
  assert.deepEqual(JSON.parse(output.text()), { brokers: [], silent: [], forwards: [], mail });
});

test('status tells of a broker that does not answer', async (t) => {
  const { home, settings } = openHome(t);
  const path = await openSilentBroker(t, home);
  const output = captureOutput({ columns: 500 });
  assert.equal(await runStatus(settings, { json: false }, output), 1);
  assert.equal(output.text(), '');
  // The process of this test is none.
  assert.ok(
    output
      .errors()
      .startsWith(`pine-rshctl: a broker does not answer: ${path}\n  hint: end its process with kill -9;`),
  );
  const json = captureOutput();
  assert.equal(await runStatus(settings, { json: true }, json), 1);
  assert.deepEqual(JSON.parse(json.text()).silent, [{ alias: null, pid: null, socket: path }]);
});

test('status puts brokers into columns', () => {
  const other = { ...BROKER, alias: 'pat@home', pid: 12, sessions: 1, warm: 0, age_s: 7, bytes: 900 };
  assert.deepEqual(formatBrokers([BROKER, other], captureOutput()), [
    'work      2 sessions  1 warm  1.5 MiB  3 min  pid 4711  0.1.0 (standalone)',
    'pat@home  1 session   0 warm  900 B    7 s    pid 12    0.1.0 (standalone)',
  ]);
});

test('status stacks what does not fit', () => {
  assert.deepEqual(formatBrokers([BROKER], captureOutput({ columns: 40 })), [
    'work',
    '  2 sessions, 1 warm, 1.5 MiB, 3 min,',
    '  pid 4711, 0.1.0 (standalone)',
  ]);
});

for (const columns of [20, 40, 80, 120]) {
  test(`status keeps to ${columns} columns`, () => {
    const long = { ...BROKER, alias: `pat@${'mail.'.repeat(20)}org`, bytes: 2 ** 50, age_s: 10_000_000 };
    const lines = formatBrokers([BROKER, long], captureOutput({ columns, color: true }));
    const plain = lines.map((line) => stripVTControlCharacters(line));
    assert.deepEqual(
      plain.filter((line) => displayWidth(line) > columns),
      [],
    );
  });
}

test('status neutralises what a terminal would obey', () => {
  const lines = formatBrokers([{ ...BROKER, version: '\x1b]0;owned\x07' }], captureOutput());
  assert.ok(lines.every((line) => !line.includes('\x1b')));
});

test('stop is content where no broker runs', async (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat' });
  for (const [alias, all, said] of [
    ['work', false, 'no broker runs for work\n'],
    [undefined, true, 'no broker runs\n'],
  ] as const) {
    const output = captureOutput();
    assert.equal(await runStop(settings, { alias, all }, output), 0);
    assert.deepEqual([output.text(), output.errors()], [said, '']);
  }
});

test('stop wants an alias or --all, and not both', async (t) => {
  const { settings } = openHome(t);
  for (const [alias, all, problem] of [
    [undefined, false, 'stop needs <alias> or --all'],
    ['work', true, 'stop takes <alias> or --all'],
  ] as const) {
    await assert.rejects(runStop(settings, { alias, all }, captureOutput()), (thrown) => {
      assert.ok(thrown instanceof Failure);
      assert.deepEqual([thrown.code, thrown.message], ['usage', problem]);
      return true;
    });
  }
});

test('stop knows a mistyped alias', async (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat' });
  await assert.rejects(runStop(settings, { alias: 'wokr', all: false }, captureOutput()), /no alias wokr/);
});

test('stop fails when a broker does not answer', async (t) => {
  const { home, settings } = openHome(t);
  await openSilentBroker(t, home);
  const output = captureOutput({ columns: 500 });
  assert.equal(await runStop(settings, { alias: undefined, all: true }, output), 1);
  assert.match(output.errors(), /does not answer/);
});
