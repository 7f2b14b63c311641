/** The log's file: private, short, and nobody's trouble when it cannot be written. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LOG_FILE_MAX } from '../src/limits.ts';
import { Log, logPath } from '../src/log.ts';
import { makeTempDir } from './helpers/temp-dir.ts';

test('a log that others can read is made private before it is written', (t) => {
  const dir = makeTempDir(t, 'log');
  writeFileSync(logPath(dir), '');
  chmodSync(logPath(dir), 0o644);
  new Log(dir, 0).record('test', { alias: 'work' });
  assert.equal(statSync(logPath(dir)).mode & 0o777, 0o600);
  assert.match(readFileSync(logPath(dir), 'utf8'), / test alias=work\n$/);
});

test('a log that has grown too long goes on in a new file, the old one beside it', (t) => {
  const dir = makeTempDir(t, 'log');
  writeFileSync(logPath(dir), 'x'.repeat(LOG_FILE_MAX + 1), { mode: 0o600 });
  new Log(dir, 0).record('test', {});
  assert.match(readFileSync(logPath(dir), 'utf8'), /^\S+ \d+ test\n$/);
  assert.equal(statSync(`${logPath(dir)}.1`).size, LOG_FILE_MAX + 1);
});

test('a log that leads elsewhere, or cannot be, costs nobody anything', (t) => {
  const dir = makeTempDir(t, 'log');
  const target = join(dir, 'target');
  writeFileSync(target, '');
  symlinkSync(target, logPath(dir));
  new Log(dir, 0).record('test', {});
  assert.equal(readFileSync(target, 'utf8'), '');
  const folder = join(dir, 'state');
  mkdirSync(logPath(folder), { recursive: true });
  new Log(folder, 0).record('test', {});
});
