/**
 * What `npm run demo` and `npm test` need before they can start, from a fresh clone on: packages and a build. Only
 * Node's own modules, as there may be no others yet.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const NODE_OLDEST = 20;

/** Installs packages and builds, each only if missing or out of date. Ends the process when that fails. */
export async function ensureReady() {
  if (Number(process.versions.node.split('.')[0]) < NODE_OLDEST) {
    fail(`Node ${NODE_OLDEST} or newer is needed, this is ${process.version}`);
  }
  // npm writes this file last, so that an interrupted installation counts as none.
  if (modified('node_modules', '.package-lock.json') < modified('package-lock.json')) installPackages();
  if (builtAt() < sourcesChangedAt()) build();
}

function installPackages() {
  console.error('setup: installing packages (npm ci)');
  // dev: the build tools, which NODE_ENV=production or an omit= in somebody's npmrc would leave out. No package needs its
  // scripts run.
  const words = ['ci', '--include=dev', '--ignore-scripts', '--prefer-offline'];
  words.push('--no-audit', '--no-fund', '--loglevel=error');
  const npm = process.env.npm_execpath ?? '';
  // Under `npm run` the npm that runs us; its own name may not be in PATH.
  const [file, ...first] = npm.endsWith('npm-cli.js') ? [process.execPath, npm] : ['npm'];
  const done = spawnSync(file, [...first, ...words], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  if (done.status !== 0) fail('npm ci failed; it needs the registry or a filled npm cache');
}

function build() {
  console.error('setup: building');
  const script = join('scripts', 'build.mjs');
  const done = spawnSync(process.execPath, [script], { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (done.status !== 0) fail(`${script} failed`);
}

/** When the older of the two programs was made; the standalone may rightly be absent. */
function builtAt() {
  const standalone = modified('dist', 'pine-rsh.ok');
  const bundle = modified('dist', 'pine-rsh.mjs');
  return standalone === NEVER ? bundle : Math.min(standalone, bundle);
}

function sourcesChangedAt() {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true }).map((name) => modified('src', name));
  return Math.max(
    ...sources,
    modified('package-lock.json'),
    ...BUILD_SCRIPTS.map((name) => modified('scripts', name)),
  );
}

const BUILD_SCRIPTS = ['build.mjs', 'build-standalone.mjs', 'no-native-code.mjs', 'one-common-chunk.mjs'];

const NEVER = 0;

/** Milliseconds since 1970. */
function modified(...path) {
  return statSync(join(ROOT, ...path), { throwIfNoEntry: false })?.mtimeMs ?? NEVER;
}

function fail(reason) {
  console.error(`setup: ${reason}`);
  process.exit(1);
}
