/**
 * `npm run demo`: sets up what is missing, then shows pine-rsh at work (`npm run demo -- --alpine` in Alpine).
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { ensureReady, ROOT } from './setup.mjs';

await ensureReady();
const demo = spawn(join(ROOT, 'bin', 'pine-rshctl'), ['demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// The demo cleans up behind itself; we stay until it has. Ctrl-C reaches it from the terminal.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => demo.kill(signal));
demo.on('error', (error) => {
  console.error(`demo: ${error.message}`);
  process.exit(1);
});
demo.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
