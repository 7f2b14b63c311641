/**
 * `npm run bench`: sets up what is missing, then measures everything and writes it down, or measures the parts named:
 * `npm run bench -- warm cold --rtt 50 --runs 15`.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { findBun } from './find-bun.mjs';
import { ensureReady, ROOT } from './setup.mjs';

await ensureReady();
const bun = findBun();
if (bun === undefined) {
  console.error('bench: this platform has no standalone to measure');
  process.exit(1);
}
// Not Node: its spawn costs 3 ms where Bun's costs 1, and what is measured takes 10.
const bench = spawnSync(bun, [join(ROOT, 'bench', 'main.ts'), ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exit(bench.status ?? 1);
