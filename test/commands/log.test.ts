/** `pine-rshctl log`: the right lines, nothing for the terminal to obey, and no line lost when the file turns over. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runLog } from '../../src/commands/log.ts';
import { readSettings } from '../../src/settings.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';
import { captureOutput } from './capture.ts';

function openLog(t: TestContext) {
  const home = openTempHome(t);
  mkdirSync(home.stateDir, { recursive: true, mode: 0o700 });
  return { settings: readSettings(home.env), file: join(home.stateDir, 'log') };
}

const numbered = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join('');

test('log shows the last lines, the older file included', async (t) => {
  const { settings, file } = openLog(t);
  writeFileSync(`${file}.1`, numbered(1, 10));
  writeFileSync(file, numbered(11, 13));
  const output = captureOutput();
  assert.equal(await runLog(settings, { follow: false, lines: 5 }, output), 0);
  assert.equal(output.text(), numbered(9, 13));
});

test('log shows no lines when asked for none', async (t) => {
  const { settings, file } = openLog(t);
  writeFileSync(file, numbered(1, 3));
  const output = captureOutput();
  await runLog(settings, { follow: false, lines: 0 }, output);
  assert.equal(output.text(), '');
});

test('log neutralises what a terminal would obey', async (t) => {
  const { settings, file } = openLog(t);
  writeFileSync(file, Buffer.from('a\x1b]0;owned\x07 \xe2\x80\xae \xff\n', 'latin1'));
  const output = captureOutput();
  await runLog(settings, { follow: false, lines: 5 }, output);
  assert.equal(output.text(), 'a\\x1b]0;owned\\x07 \\u{202e} \\xff\n');
});

test('log says where it looked when nothing is logged yet', async (t) => {
  const { settings, file } = openLog(t);
  const output = captureOutput({ columns: 500 });
  assert.equal(await runLog(settings, { follow: false, lines: 5 }, output), 0);
  assert.ok(output.errors().includes(file));
});

test('log -f shows every line once, through rotation and truncation, until nobody reads', async (t) => {
  const { settings, file } = openLog(t);
  const output = captureOutput();
  const shown = (line: string) => waitUntil(line, () => output.text().includes(`${line}\n`));
  const followed = runLog(settings, { follow: true, lines: 3 }, output);
  writeFileSync(file, numbered(1, 3));
  await shown('line 3');
  appendFileSync(file, 'line 4\nline');
  await shown('line 4');
  appendFileSync(file, ' 5\n');
  await shown('line 5');
  // A last line goes into the old file just before the new one begins.
  appendFileSync(file, 'line 6\n');
  renameSync(file, `${file}.1`);
  writeFileSync(file, 'line 7\n');
  await shown('line 7');
  truncateSync(file, 0);
  await new Promise((resolve) => setTimeout(resolve, 600));
  appendFileSync(file, 'line 8\n');
  await shown('line 8');
  output.hangUp();
  assert.equal(await followed, 141);
  assert.equal(output.text(), numbered(1, 8));
});

test('log -f begins with the last lines of an existing log', async (t) => {
  const { settings, file } = openLog(t);
  writeFileSync(file, numbered(1, 9));
  const output = captureOutput();
  const followed = runLog(settings, { follow: true, lines: 2 }, output);
  await waitUntil('lines', () => output.text() === numbered(8, 9));
  output.hangUp();
  assert.equal(await followed, 141);
});

test('log shows a last line without an end', async (t) => {
  const { settings, file } = openLog(t);
  writeFileSync(file, 'whole\nhalf');
  const output = captureOutput();
  await runLog(settings, { follow: false, lines: 5 }, output);
  assert.equal(output.text(), 'whole\nhalf\n');
});

for (const follow of [false, true]) {
  const name = follow ? 'log -f' : 'log';

  test(`${name} says what is in the place of a file, and of the folder`, async (t) => {
    const { settings, file } = openLog(t);
    const run = () => runLog(settings, { follow, lines: 5 }, captureOutput());
    writeFileSync(file, 'new\n');
    mkdirSync(`${file}.1`);
    await assert.rejects(run(), { code: 'file-unusable', message: `${file}.1: is a folder` });
    rmSync(file);
    mkdirSync(file);
    await assert.rejects(run(), { code: 'file-unusable', message: `${file}: is a folder` });
    rmSync(settings.stateDir, { recursive: true });
    writeFileSync(settings.stateDir, '');
    const hint = 'move it away';
    await assert.rejects(run(), { hint, message: `${settings.stateDir}: is not a folder` });
  });
}

test('log -f waits for a log that is not there yet', async (t) => {
  const { settings, file } = openLog(t);
  const output = captureOutput();
  const running = runLog(settings, { follow: true, lines: 5 }, output);
  writeFileSync(`${file}.new`, 'first\n');
  renameSync(`${file}.new`, file);
  await waitUntil('the first line', () => output.text() === 'first\n');
  output.hangUp();
  assert.equal(await running, 128 + 13);
});
