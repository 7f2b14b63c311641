/**
 * The programs under test, as a user gets them: `bin/pine-rsh` of this checkout, which starts the standalone
 * executable, and the same launcher in a tree that has only the Node bundle. `npm run build` makes both.
 *
 * PINE_RSH_TEST_BIN names a folder with another `pine-rsh` and `pine-rshctl` to test in their place, such as an
 * installed package.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Build {
  readonly name: string;
  /** For rsh-path in Pine. Absolute. */
  readonly rshPath: string;
  readonly ctlPath: string;
  /** The executable that /proc/PID/exe must show; undefined when any will do. */
  readonly executable: string | undefined;
  /** For `{ skip }` of node:test. */
  readonly skip: string | false;
}

/** The checkout's root. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const BUNDLES = ['pine-rsh.mjs', 'pine-rshctl.mjs'];

/** Every end-to-end test runs once for each of them. */
export const BUILDS: readonly Build[] = findBuilds();

function findBuilds(): Build[] {
  const other = process.env['PINE_RSH_TEST_BIN'];
  if (other !== undefined) return [makeBuild(other, other, undefined, false)];
  if (!existsSync(join(ROOT, 'dist', 'pine-rsh.mjs')))
    throw new Error('nothing is built; run: npm run build');
  const standalone = join(ROOT, 'dist', 'pine-rsh');
  return [
    makeBuild('standalone', join(ROOT, 'bin'), standalone, findStandaloneFault()),
    makeBuild('node bundle', join(makeBundleTree(), 'bin'), realpathSync(process.execPath), false),
  ];
}

function makeBuild(name: string, bin: string, executable: string | undefined, skip: string | false): Build {
  return { name, rshPath: join(bin, 'pine-rsh'), ctlPath: join(bin, 'pine-rshctl'), executable, skip };
}

/** The build notes in `pine-rsh.ok` that it saw the standalone run; some platforms have none. */
function findStandaloneFault(): string | false {
  if (existsSync(join(ROOT, 'dist', 'pine-rsh.ok'))) return false;
  const fault = 'no standalone executable was built for this machine';
  if (process.env['CI'] === 'true') throw new Error(`${fault} (CI=true)`);
  return fault;
}

/** A tree as an npm install makes it where no standalone exists; removed when the test file is done. */
function makeBundleTree(): string {
  const dir = mkdtempSync(join(realpathSync(tmpdir()), 'pine-rsh-bundle-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  // A test may run it as another user.
  chmodSync(dir, 0o755);
  cpSync(join(ROOT, 'bin'), join(dir, 'bin'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(dir, 'package.json'));
  mkdirSync(join(dir, 'dist'));
  for (const name of BUNDLES)
    cpSync(join(ROOT, 'dist', name), join(dir, 'dist', name), { verbatimSymlinks: true });
  return dir;
}
