/**
 * pine-rshctl where the folders of an ordinary user cannot be entered, or are none: each command says in words which it
 * is and what to do, and never how its own code looks.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { asUser } from '../helpers/as-user.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { findLoginUser, giveTo } from '../helpers/login-user.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';

const NEEDS = process.getuid?.() === 0 ? requirePrograms('setpriv') : false;

async function openWorld(scope: Scope, build: Build) {
  const user = await findLoginUser();
  const home = openTempHome(scope);
  home.writeAlias('work', { USER: 'pat' });
  mkdirSync(home.stateDir, { recursive: true });
  giveTo(user, home.dir);
  const run = async (words: readonly string[]): Promise<{ code: number | null; errors: string }> => {
    const [command, ...rest] = asUser(user, [build.ctlPath, ...words]);
    const { code, stderr } = await runProgram(command, rest, { env: home.env, cwd: '/' });
    return { code, errors: stderr.toString().replaceAll(/\s+/g, ' ').replaceAll(home.dir, '~').trim() };
  };
  return { home, run };
}

function shut(scope: Scope, folder: string): void {
  chmodSync(folder, 0o000);
  defer(scope, () => chmodSync(folder, 0o700));
}

const CASES: readonly {
  readonly what: string;
  readonly plant: (scope: Scope, home: TempHome) => void;
  readonly words: readonly string[];
  readonly said: string;
}[] = [
  ...[['log'], ['log', '-f']].map((words) => ({
    what: 'a state folder that nobody may enter',
    plant: (scope: Scope, { stateDir }: TempHome) => shut(scope, stateDir),
    words,
    said: 'pine-rshctl: ~/.local/state/pine-rsh: permission denied hint: make it readable: chmod u+rwx ~/.local/state/pine-rsh',
  })),
  ...[['status'], ['stop', '--all'], ['stop', 'work']].map((words) => ({
    what: 'a runtime folder that nobody may enter',
    plant: (scope: Scope, { runtimeDir }: TempHome) => shut(scope, runtimeDir),
    words,
    said: 'pine-rshctl: ~/run: cannot be read (EACCES) hint: run: chmod 700 ~/run',
  })),
];

for (const build of BUILDS) {
  describe(`Folders that cannot be read (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 4,
  }, () => {
    for (const { what, plant, words, said } of CASES) {
      test(`${words.join(' ')}: ${what}`, async (t) => {
        const { home, run } = await openWorld(t, build);
        plant(t, home);
        assert.deepEqual(await run(words), { code: 1, errors: said });
      });
    }
  });
}
