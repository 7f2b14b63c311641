/** The command line of the benchmark: a wrong word is one line and the usage, never a stack trace. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../helpers/builds.ts';
import { runProgram } from '../helpers/run-program.ts';

const USAGE = /^npm run bench -- \[PART\.\.\.\] \[--rtt MS,\.\.\.\] \[--runs N\]$/m;

function runBench(words: readonly string[]) {
  const main = join(ROOT, 'bench', 'main.ts');
  return runProgram(process.execPath, ['--import', 'tsx', main, ...words], { env: {}, cwd: ROOT });
}

test('--help prints the usage alone', async () => {
  const done = await runBench(['--help']);
  assert.deepEqual([done.code, done.stderr.toString()], [0, '']);
  assert.match(done.stdout.toString(), USAGE);
});

for (const [words, problem] of [
  [['--rrt', '50'], "unknown option '--rrt'"],
  [['wram'], 'no part wram; there are: cold shared warm'],
  [['--runs', 'many'], 'not a number from 1 on: many'],
  [['--runs', '0'], 'not a number from 1 on: 0'],
  [['--rtt'], "option '--rtt <value>' argument missing"],
] as const) {
  test(`bench ${words.join(' ')} says what is wrong`, async () => {
    const done = await runBench(words);
    assert.deepEqual([done.code, done.stdout.toString()], [64, '']);
    const [first = '', blank] = done.stderr.toString().split('\n');
    assert.ok(first.startsWith(`bench: ${problem}`), first);
    assert.equal(blank, '');
    assert.match(done.stderr.toString(), USAGE);
    assert.doesNotMatch(done.stderr.toString(), /^\s+at /m);
  });
}
