/**
 * `npm test`: sets up what is missing, then runs all tests, or the files named: `npm test -- test/argv.test.ts`.
 * Under CI=true a skipped test is a failure: there everything that a test needs is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ensureReady, ROOT } from './setup.mjs';

function findTests(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return findTests(path);
    return entry.name.endsWith('.test.ts') ? [path] : [];
  });
}

await ensureReady();
const named = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const options = process.argv.slice(2).filter((word) => word.startsWith('-'));
const files = named.length > 0 ? named : findTests(join(ROOT, 'test')).sort();
const missing = files.filter((file) => !existsSync(resolve(ROOT, file)));
if (missing.length > 0) {
  console.error(`test: no such file: ${missing.join(', ')}`);
  process.exit(1);
}
const scratch = mkdtempSync(join(tmpdir(), 'pine-rsh-test-'));
const summary = join(scratch, 'summary.tap');
const run = spawnSync(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    '--test-concurrency=2',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=tap',
    `--test-reporter-destination=${summary}`,
    ...options,
    ...files,
  ],
  { cwd: ROOT, stdio: 'inherit' },
);
const counts = readFileSync(summary, 'utf8');
rmSync(scratch, { recursive: true });
const skipped = Number(/^# skipped (\d+)$/m.exec(counts)?.[1] ?? 0);
if (skipped > 0 && process.env.CI === 'true') {
  console.error(`test: ${skipped} skipped, and under CI=true nothing may be`);
  process.exit(1);
}
process.exit(run.status ?? 1);
