/**
 * What surrounds the caller: the folder that a mail client happens to stand in, and its environment. Neither may run
 * code in pine-rsh, nor make it print what a mail client takes for IMAP.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { programPath } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';

/** What ssh2, its relatives and the runtimes may look for by name. */
const PACKAGES = ['cpu-features', 'ssh2', 'yargs', 'dotenv', 'bcrypt-pbkdf', 'asn1', 'nan'];

/** Native code is looked for below the importing file, which a standalone has none of. */
const NATIVE = ['crypto/build/Release/sshcrypto.node', 'build/Release/cpufeatures.node', 'sshcrypto.node'];

interface Trap {
  readonly dir: string;
  /** A module that leaves a trace when it is run, and prints. */
  readonly module: string;
  sprung(): boolean;
}

/** A folder in which everything lies that a runtime might take from there. */
function openTrap(scope: Scope): Trap {
  const dir = makeTempDir(scope, 'trap');
  const trace = join(dir, 'trace');
  const code = `process.getBuiltinModule('node:fs').writeFileSync(${JSON.stringify(trace)}, ''); console.log('trapped');`;
  const write = (name: string, text: string): string => {
    const file = join(dir, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  };
  const module = write('trap.mjs', code);
  write('trap.js', code);
  for (const name of PACKAGES) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: 'index.js' }));
    write(`node_modules/${name}/index.js`, code);
  }
  for (const name of NATIVE) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    // Opening it would wait for ever.
    assert.equal(spawnSync('mkfifo', [join(dir, name)]).status, 0);
  }
  write('bunfig.toml', `preload = ["./trap.js"]\n[run]\npreload = ["./trap.js"]\n`);
  const variables = `HOME=${dir}\nPINE_RSH_CONFIG_DIR=${dir}\nBUN_OPTIONS=--preload ./trap.js\nNODE_OPTIONS=--import ./trap.mjs\n`;
  for (const name of ['.env', '.env.local', '.env.production', '.env.development']) write(name, variables);
  write(
    'package.json',
    '{"type":"commonjs","yargs":{"extends":"./trap.js"},"bun":{"preload":["./trap.js"]}}',
  );
  write('.yargsrc', '{"extends":"./trap.js"}');
  write('tsconfig.json', '{"compilerOptions":{"baseUrl":".","paths":{"*":["./trap.js"]}}}');
  return { dir, module, sprung: () => existsSync(trace) };
}

/** A home whose alias `work` leads to a port where nobody listens: the whole way to ssh2 and back. */
async function openDeadHome(scope: Scope): Promise<TempHome> {
  const home = openTempHome(scope);
  home.writeAlias('work', { HOSTNAME: '127.0.0.1', PORT: await findFreePort(), USER: 'pat', SHARE: 'no' });
  return home;
}

/** All that a mail client gets to read. */
async function readRefusal(
  scope: Scope,
  build: Build,
  home: TempHome,
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const words = ['work', '-l', 'pat', 'exec', '/etc/rimapd'];
  const child = runAsPine(scope, build.rshPath, words, { env: { ...home.env, ...env }, cwd });
  child.write('a1 CAPABILITY\r\na2 SELECT INBOX\r\n');
  child.endInput();
  return (await child.finish()).output.toString('latin1');
}

const REFUSAL =
  /^\* PREAUTH \[ALERT\] (pine-rsh: work: \S+ refused the connection;.*)\r\n\* CAPABILITY IMAP4rev1\r\na1 OK done\r\na2 NO \1\r\n\* BYE \1\r\n$/;

/** `TRAP` stands for the module in the trap's folder. */
const VARIABLES: readonly string[] = [
  'BUN_OPTIONS=--preload ./trap.js',
  'BUN_BE_BUN=1',
  'BUN_INSPECT=1',
  'BUN_INSPECT_PRELOAD=./trap.js',
  'BUN_JSC_dumpOptions=2',
  'NODE_OPTIONS=--import TRAP',
  'NODE_OPTIONS=--inspect=0',
  'NODE_OPTIONS=--no-such-option',
  'NODE_DEBUG=net,fs,child_process,module',
  'NODE_CHANNEL_FD=x',
  'NODE_EXTRA_CA_CERTS=/nonexistent',
  'NODE_PATH=./node_modules',
  'OPENSSL_CONF=/etc/passwd',
  'MIMALLOC_VERBOSE=1',
  'mimalloc_show_stats=1',
  'DOTENV_CONFIG_PATH=./.env',
  'DOTENV_KEY=x',
  'DEBUG=*',
  'ENV=TRAP',
  'BASH_ENV=TRAP',
  'IFS=/',
  'CDPATH=/tmp',
  'TMPDIR=/nonexistent',
];

for (const build of BUILDS) {
  describe(`The surroundings of the caller (${build.name})`, { skip: build.skip, concurrency: 4 }, () => {
    test('Nothing in the folder it is started in is run, nor its .env read', async (t) => {
      const trap = openTrap(t);
      const home = await openDeadHome(t);
      assert.match(await readRefusal(t, build, home, trap.dir, {}), REFUSAL);
      for (const words of [['list'], ['show', 'work'], ['doctor', 'work'], ['--version']]) {
        const { stdout } = await runProgram(build.ctlPath, words, { env: home.env, cwd: trap.dir });
        assert.doesNotMatch(stdout.toString(), /trapped/);
      }
      assert.ok(!trap.sprung());
    });

    test('A log that is a FIFO without a reader holds nothing up', async (t) => {
      const home = await openDeadHome(t);
      mkdirSync(home.stateDir, { recursive: true, mode: 0o700 });
      assert.equal(spawnSync('mkfifo', [join(home.stateDir, 'log')]).status, 0);
      assert.match(await readRefusal(t, build, home, '/', {}), REFUSAL);
    });

    for (const name of ['PINE_RSH_CONFIG_DIR', 'PINE_RSH_STATE_DIR', 'PINE_RSH_RUNTIME_DIR']) {
      test(`A relative path in ${name} is told to every caller in its own way`, async (t) => {
        const home = await openDeadHome(t);
        const env = { ...home.env, [name]: 'pine' };
        const reason = `${name} is a relative path`;
        assert.match(
          await readRefusal(t, build, home, '/', env),
          new RegExp(
            `^\\* PREAUTH \\[ALERT\\] (pine-rsh: ${reason};.*)\r\n.*\r\na1 OK done\r\na2 NO \\1\r\n\\* BYE \\1\r\n$`,
          ),
        );
        for (const [path, words, status] of [
          [build.rshPath, ['work', 'true'], 255],
          [build.rshPath, ['work', 'sendmail', '-t'], 78],
          [build.ctlPath, ['list'], 1],
        ] as const) {
          const { code, stdout, stderr } = await runProgram(path, words, { env, cwd: '/' });
          assert.deepEqual([code, stdout.toString()], [status, '']);
          assert.match(
            stderr.toString(),
            new RegExp(`^pine-rsh(?:ctl)?: ${reason}\\b.*\n(?:  hint: .*\n)?$`),
          );
        }
      });
    }

    for (const variable of VARIABLES) {
      test(`Is what it is with ${variable}`, async (t) => {
        const trap = openTrap(t);
        const [name = '', value = ''] = variable.replace('TRAP', trap.module).split(/=(.*)/s);
        const home = await openDeadHome(t);
        assert.match(await readRefusal(t, build, home, trap.dir, { [name]: value }), REFUSAL);
        assert.ok(!trap.sprung());
      });
    }

    test('The trap springs where a program does take code from its folder', async (t) => {
      const trap = openTrap(t);
      await runProgram(programPath('node'), ['-e', 'require("cpu-features")'], { env: {}, cwd: trap.dir });
      assert.ok(trap.sprung());
    });
  });
}
