/**
 * pine-rshctl where the folders of an ordinary user cannot be entered, or are none: each command says in words which it
 * is and what to do, and never how its own code looks.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { QueueFolder } from '../../src/mail/queue-folder.ts';
import { readSettings } from '../../src/settings.ts';
import { asUser } from '../helpers/as-user.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { findLoginUser, giveTo } from '../helpers/login-user.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { keepMail } from '../mail/stored-mail.ts';

const NEEDS = process.getuid?.() === 0 ? requirePrograms('setpriv') : false;

async function openWorld(scope: Scope, build: Build) {
  const user = await findLoginUser();
  const home = openTempHome(scope);
  home.writeAlias('work', { USER: 'pat' });
  mkdirSync(join(home.stateDir, 'queue'), { recursive: true, mode: 0o700 });
  await keepMail(new QueueFolder(readSettings(home.env)), 'Hello.');
  giveTo(user, home.dir);
  const run = async (words: readonly string[]): Promise<{ code: number | null; errors: string }> => {
    const [command, ...rest] = asUser(user, [build.ctlPath, ...words]);
    const { code, stderr } = await runProgram(command, rest, { env: home.env, cwd: '/' });
    return { code, errors: stderr.toString().replaceAll(/\s+/g, ' ').replaceAll(home.dir, '~').trim() };
  };
  return { home, run };
}

function shut(scope: Scope, folder: string, mode = 0o000): void {
  chmodSync(folder, mode);
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
  ...[['queue', 'list'], ['queue', 'flush'], ['queue', 'flush', 'work'], ['status']].map((words) => ({
    what: 'a queue that nobody may enter',
    plant: (scope: Scope, { stateDir }: TempHome) => shut(scope, join(stateDir, 'queue')),
    words,
    said: 'pine-rshctl: cannot read the queue in ~/.local/state/pine-rsh/queue (EACCES) hint: mail may wait there unsent; run: chmod 700 ~/.local/state/pine-rsh/queue',
  })),
  {
    what: 'a state folder that nobody may enter',
    plant: (scope, { stateDir }) => shut(scope, stateDir),
    words: ['queue', 'list'],
    said: 'pine-rshctl: cannot read the queue in ~/.local/state/pine-rsh/queue (EACCES) hint: mail may wait there unsent; run: chmod 700 ~/.local/state/pine-rsh',
  },
  {
    what: 'a queue in which nothing may be changed',
    plant: (scope, { stateDir }) => shut(scope, join(stateDir, 'queue'), 0o500),
    words: ['queue', 'flush'],
    said: 'pine-rshctl: cannot change the queue in ~/.local/state/pine-rsh/queue (EACCES) hint: mail may wait there unsent; run: chmod 700 ~/.local/state/pine-rsh/queue',
  },
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
