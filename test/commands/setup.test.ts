/** The set-up before `npm run demo` and `npm test`: does what is missing, and nothing twice. */
import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ROOT } from '../helpers/builds.ts';
import { runProgram } from '../helpers/run-program.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

const NPM = "require('node:fs').writeFileSync('node_modules/.package-lock.json', '');";
const BUILD = "import { writeFileSync } from 'node:fs';\nwriteFileSync('dist/pine-rsh.mjs', '');\n";

/** A checkout that is up to date, with stand-ins for npm and the build. Times are seconds since 1970. */
function openTree(t: TestContext) {
  const dir = makeTempDir(t, 'setup');
  for (const name of ['scripts', 'src/deep', 'node_modules', 'dist']) {
    mkdirSync(join(dir, name), { recursive: true });
  }
  cpSync(join(ROOT, 'scripts', 'setup.mjs'), join(dir, 'scripts', 'setup.mjs'));
  const touch = (path: string, seconds: number, text = ''): void => {
    appendFileSync(join(dir, path), text);
    utimesSync(join(dir, path), seconds, seconds);
  };
  touch('npm-cli.js', 100, NPM);
  touch('scripts/build.mjs', 100, BUILD);
  touch('package-lock.json', 100);
  touch('src/deep/main.ts', 100);
  // A folder's own time counts, so that a removed file is noticed.
  utimesSync(join(dir, 'src', 'deep'), 100, 100);
  touch('node_modules/.package-lock.json', 200);
  touch('dist/pine-rsh.mjs', 200);
  const script = `import(${JSON.stringify(join(dir, 'scripts', 'setup.mjs'))}).then((m) => m.ensureReady())`;
  const run = async (npm = join(dir, 'npm-cli.js')) =>
    await runProgram(process.execPath, ['-e', script], {
      env: { PATH: '/nonexistent', npm_execpath: npm },
      cwd: '/',
    });
  return { touch, run };
}

test('nothing is done when all is up to date', async (t) => {
  const { run } = openTree(t);
  const done = await run();
  assert.deepEqual([done.code, done.stdout.toString(), done.stderr.toString()], [0, '', '']);
});

for (const [what, path, seconds] of [
  ['a source file changed', 'src/deep/main.ts', 300],
  ['the build itself changed', 'scripts/build.mjs', 300],
  ['the standalone is older than the sources', 'dist/pine-rsh.ok', 50],
] as const) {
  test(`it builds again when ${what}`, async (t) => {
    const { touch, run } = openTree(t);
    touch(path, seconds);
    const done = await run();
    assert.deepEqual([done.code, done.stderr.toString()], [0, 'setup: building\n']);
  });
}

test('it installs packages once when the lock file is newer than they are', async (t) => {
  const { touch, run } = openTree(t);
  touch('package-lock.json', 150);
  touch('node_modules/.package-lock.json', 120);
  const done = await run();
  assert.deepEqual([done.code, done.stderr.toString()], [0, 'setup: installing packages (npm ci)\n']);
  assert.equal((await run()).stderr.toString(), '');
});

test('it says what to do when packages cannot be installed', async (t) => {
  const { touch, run } = openTree(t);
  touch('node_modules/.package-lock.json', 10);
  const done = await run('/nowhere/npm-cli.js');
  assert.equal(done.code, 1);
  assert.match(
    done.stderr.toString(),
    /setup: npm ci failed; it needs the registry or a filled npm cache\n$/,
  );
});
