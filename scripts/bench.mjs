/**
 * `npm run bench`: sets up what is missing, then measures everything and writes it down, or measures the parts named:
 * `npm run bench -- warm cold --rtt 50 --runs 15`.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureReady, ROOT } from './setup.mjs';

await ensureReady();
const main = join(ROOT, 'bench', 'main.ts');
const bench = spawnSync(process.execPath, ['--import', 'tsx', main, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exit(bench.status ?? 1);
