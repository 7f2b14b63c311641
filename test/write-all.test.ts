import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { WRITE_PATIENCE_MS } from '../src/limits.ts';
import { writeAll } from '../src/write-all.ts';
import type { Scope } from './helpers/scope.ts';
import { makeTempDir } from './helpers/temp-dir.ts';

/** A pipe that is full and does not block, as another program may leave one behind. */
function openFullPipe(scope: Scope): { fd: number; path: string; held: number } {
  const path = join(makeTempDir(scope, 'pipe'), 'fifo');
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  scope.after(() => closeSync(fd));
  let held = 0;
  try {
    for (;;) held += writeSync(fd, Buffer.alloc(4096));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
  }
  return { fd, path, held };
}

test('a reader that takes nothing is waited for without work, and not for ever', (t) => {
  const { fd } = openFullPipe(t);
  const [started, before] = [performance.now(), process.cpuUsage()];
  writeAll(fd, 'lost\n');
  const [ms, used] = [performance.now() - started, process.cpuUsage(before)];
  assert.ok(ms >= WRITE_PATIENCE_MS, `${ms} ms`);
  assert.ok((used.user + used.system) / 1000 < ms / 2, JSON.stringify(used));
});

test('a reader that is slow gets everything', async (t) => {
  const { fd, path, held } = openFullPipe(t);
  const reading = `
    const { openSync } = require('node:fs');
    setTimeout(() => require('node:fs').readSync(openSync(${JSON.stringify(path)}, 'r'), Buffer.alloc(65536)), 100);`;
  const worker = new Worker(reading, { eval: true });
  t.after(() => worker.terminate());
  writeAll(fd, 'kept\n');
  const rest = Buffer.alloc(2 * held);
  const got = readSync(fd, rest);
  assert.equal(rest.toString('latin1', got - 5, got), 'kept\n');
});
