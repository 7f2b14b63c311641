/**
 * Builds the program twice: `dist/pine-rsh`, a standalone executable, and `dist/pine-rsh.mjs` for Node.
 *
 * The standalone is hardened: as compiled by default it would run a preload named in ./bunfig.toml and load ./.env of
 * whatever folder a mail client happens to stand in. It is for the baseline CPU, as an illegal instruction would be a
 * cleartext login in Pine. `dist/pine-rsh.ok` names the machine that has seen it run; the launchers look at that.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBun } from './find-bun.mjs';
import { formatLicences } from './licences.mjs';
import { noNativeCode } from './no-native-code.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, 'dist');
const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const ssh2Version = JSON.parse(readFileSync(require.resolve('ssh2/package.json'), 'utf8')).version;

/** Names what this build was made of, so that a process of one build never serves another's. */
function sourceId() {
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package-lock.json')));
  for (const file of listFiles(join(ROOT, 'src')).sort()) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

function listFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? listFiles(path) : [path];
  });
}

function buildInfo(kind) {
  return JSON.stringify({ version, kind, ssh2: ssh2Version, source: sourceId() });
}

async function buildNodeBundle() {
  const { build } = await import('esbuild');
  const { metafile } = await build({
    entryPoints: [join(ROOT, 'src', 'main.ts')],
    outfile: join(DIST, 'pine-rsh.mjs'),
    metafile: true,
    bundle: true,
    // Names of modules are relative to this, and stand in the bundle: it is the same wherever it is built.
    absWorkingDir: ROOT,
    preserveSymlinks: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    // ssh2 looks for a Windows program beside itself, and a module with its WebAssembly inside for its folder.
    define: { PINE_RSH_BUILD: buildInfo('node bundle'), __dirname: '"/"' },
    plugins: [noNativeCode],
    // CommonJS inside an ES module still asks for `require`; --version of a bundle must not look for files.
    banner: {
      js: '#!/usr/bin/env node\nimport{createRequire as pineRshRequire}from"node:module";const require=pineRshRequire(import.meta.url);',
    },
    logLevel: 'warning',
  });
  writeFileSync(join(DIST, 'pine-rshctl.mjs'), '#!/usr/bin/env node\nimport "./pine-rsh.mjs";\n');
  for (const name of ['pine-rsh.mjs', 'pine-rshctl.mjs']) chmodSync(join(DIST, name), 0o755);
  writeFileSync(join(DIST, 'LICENSES'), formatLicences(ROOT, Object.keys(metafile.inputs)));
}

function buildStandalone() {
  for (const name of ['pine-rsh', 'pine-rshctl', 'pine-rsh.ok']) rmSync(join(DIST, name), { force: true });
  const bun = findBun();
  if (bun === undefined) {
    console.log(`build: no standalone for ${process.platform}-${process.arch}; the Node bundle serves`);
    return;
  }
  chmodSync(bun, 0o755);
  const made = join(DIST, 'pine-rsh.new');
  const script = join(ROOT, 'scripts', 'build-standalone.mjs');
  const words = [script, join(ROOT, 'src', 'main.ts'), made, bun, buildInfo('standalone')];
  const compile = (...more) =>
    execFileSync(bun, [...words, ...more], { cwd: DIST, stdio: ['ignore', 'ignore', 'inherit'] });
  compile();
  const order = join(DIST, 'bytecode.order');
  if (recordOrder(made, order)) compile(order);
  rmSync(order, { force: true });
  // In one go, as any copy is made: what the compiler writes bit by bit lies in memory bit by bit, and each start would
  // map it so, for 1 to 2 ms more.
  writeFileSync(join(DIST, 'pine-rsh'), readFileSync(made), { mode: 0o755 });
  rmSync(made);
  symlinkSync('pine-rsh', join(DIST, 'pine-rshctl'));
  const seen = spawnSync(join(DIST, 'pine-rsh'), ['--version'], { encoding: 'utf8' });
  if (seen.status !== 0 || !seen.stdout.startsWith(`pine-rsh ${version} `)) {
    console.log('build: the standalone does not run on this machine; the Node bundle serves');
    return;
  }
  writeFileSync(join(DIST, 'pine-rsh.ok'), `${machineId()}\n`);
}

/** Has a run that declines a host write down what it used of the program; false where it does not run. */
function recordOrder(program, file) {
  const home = mkdtempSync(join(tmpdir(), 'pine-rsh-build-'));
  const env = { HOME: home, BUN_BYTECODE_ORDER_OUT: file };
  const { status } = spawnSync(program, ['mail.example.net', '-l', 'pat', 'exec', '/etc/rimapd'], { env });
  rmSync(home, { recursive: true });
  return status === 255 && existsSync(file);
}

/** As the launchers read it: the first line of /etc/machine-id, empty where there is none. */
function machineId() {
  try {
    return readFileSync('/etc/machine-id', 'utf8').split('\n')[0].trim();
  } catch {
    return '';
  }
}

mkdirSync(DIST, { recursive: true });
await buildNodeBundle();
buildStandalone();
