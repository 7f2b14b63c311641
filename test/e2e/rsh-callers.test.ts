/**
 * Programs that take an rsh or ssh, run with OpenSSH's ssh and with each build of pine-rsh in its place, over a shared
 * connection and directly. What they leave on both sides, and how they end, must be the same, also where they fail.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { BUILDS } from '../helpers/builds.ts';
import { giveTo } from '../helpers/login-user.ts';
import { openRealSshd, type RealSshd } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { type RunOptions, type RunResult, runProgram } from '../helpers/run-program.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';

const NEEDS = requirePrograms('sshd', 'ssh');

const READY = BUILDS.filter(({ skip }) => skip === false);

/** One of those that are compared, with folders of its own on either side. */
interface Side {
  /** The absolute path of the program that is called as an rsh. */
  readonly rsh: string;
  /** A folder here, also the working folder. */
  readonly near: string;
  /** A folder there. */
  readonly far: string;
  readonly run: (
    command: string,
    words: readonly string[],
    options?: Partial<RunOptions>,
  ) => Promise<RunResult>;
}

const ROUTES = { shared: / session .* route=(?:shared|warm) /, direct: / session .* route=direct / };

interface Setup {
  readonly server: RealSshd;
  /** Does the same with each of them and compares what `act` gives. */
  compare<T>(act: (side: Side) => Promise<T>): Promise<T>;
  /** The first build of pine-rsh, for what need not be compared. */
  readonly first: Side;
  /** One more side. */
  openSide(rsh: string, way?: Way): Side;
}

/** How pine-rsh reaches the server; ssh knows nothing of it. */
type Way = 'shared' | 'direct';

async function openSetup(t: TestContext): Promise<Setup> {
  const server = await openRealSshd(t);
  const home = openTrialHome(t);
  home.writeAlias('work', server.aliasKeys);
  const direct = openTempHome(t);
  direct.writeAlias('work', { ...server.aliasKeys, SHARE: 'no' });
  const configDirs = { shared: home.configDir, direct: direct.configDir };
  const { HOSTNAME, PORT, USER, IDENTITY_FILE, KNOWN_HOSTS } = server.aliasKeys;
  const config = home.writeFile(
    'ssh_config',
    `Host work
  HostName ${HOSTNAME}
  Port ${PORT}
  User ${USER}
  IdentityFile ${IDENTITY_FILE}
  UserKnownHostsFile ${KNOWN_HOSTS}
  BatchMode yes
  LogLevel ERROR
`,
  );
  const ssh = home.writeScript('ssh', `exec ${programPath('ssh')} -F ${config} "$@"`);
  let opened = 0;
  const openSide = (rsh: string, way: Way = 'shared'): Side => {
    opened += 1;
    const name = `side${opened}`;
    const [near, far] = [join(home.dir, name), join(server.home, name)];
    for (const dir of [near, far]) mkdirSync(dir);
    giveTo(server.login, far);
    return {
      rsh,
      near,
      far,
      run: async (command, words, options = {}) =>
        await runProgram(programPath(command), words, {
          cwd: near,
          timeout: 60_000,
          ...options,
          env: { ...home.env, PINE_RSH_CONFIG_DIR: configDirs[way], ...QUIET_GIT, ...options.env },
        }),
    };
  };
  const ours = (['shared', 'direct'] as const).flatMap((way) =>
    READY.map(({ rshPath }) => ({ way, side: openSide(rshPath, way) })),
  );
  const sides = [openSide(ssh), ...ours.map(({ side }) => side)];
  const [, first] = sides;
  assert.ok(first !== undefined);
  return {
    server,
    first,
    openSide,
    compare: async (act) => {
      const [expected, ...others] = await inTurn(sides, act);
      for (const actual of others) assert.deepEqual(actual, expected);
      for (const { way } of ours) assert.match(home.log(), ROUTES[way]);
      return expected as Awaited<ReturnType<typeof act>>;
    },
  };
}

async function inTurn<A, B>(all: readonly A[], act: (each: A) => Promise<B>): Promise<B[]> {
  const results: B[] = [];
  for (const each of all) results.push(await act(each));
  return results;
}

const DATES = { GIT_AUTHOR_DATE: '2026-01-02T03:04:05Z', GIT_COMMITTER_DATE: '2026-01-02T03:04:05Z' };
const QUIET_GIT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Pat',
  GIT_AUTHOR_EMAIL: 'pat@example.org',
  GIT_COMMITTER_NAME: 'Pat',
  GIT_COMMITTER_EMAIL: 'pat@example.org',
  ...DATES,
};

/** Every entry of a tree with kind, mode, time and content; `.git` and `CVS` hold paths and times of their own. */
function readTree(dir: string, below = ''): string[] {
  return readdirSync(join(dir, below), { withFileTypes: true })
    .filter(({ name }) => name !== '.git' && name !== 'CVS')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(below, entry.name);
      const full = join(dir, path);
      if (entry.isSymbolicLink()) return [`${path} -> ${readlinkSync(full)}`];
      if (entry.isDirectory()) return [`${path}/`, ...readTree(dir, path)];
      const digest = createHash('sha256').update(readFileSync(full)).digest('hex');
      return [`${path} ${(statSync(full).mode & 0o777).toString(8)} ${digest}`];
    });
}

interface Ending {
  readonly code: number | null;
  readonly stdout: string;
}

/** What a program did, with the folders of its side taken out. */
function ending({ code, stdout }: RunResult): Ending {
  return { code, stdout: stdout.toString().replaceAll(/\bside\d\b/g, 'SIDE') };
}

const MANY = 10_000;
const FEW = 400;
const FOLDERS = 40;

function writeFiles(dir: string, count: number): void {
  const inOne = count / FOLDERS;
  for (let at = 0; at < count; at += 1) {
    const folder = join(dir, `d${Math.floor(at / inOne)}`);
    if (at % inOne === 0) mkdirSync(folder, { recursive: true });
    const file = join(folder, `f${at}`);
    writeFileSync(file, `${at}\n`.repeat(at % 50));
    utimesSync(file, 1_700_000_000, 1_700_000_000 + at);
  }
}

describe('In place of ssh', { skip: NEEDS, concurrency: 2 }, () => {
  /** Pushes a tree, pushes it again with a fifth of it deleted, and pulls it over something else. */
  async function runRsync(
    { rsh, near, far, run }: Side,
    count: number,
  ): Promise<{ tree: string[]; results: Ending[] }> {
    const rsync = async (...words: string[]) => ending(await run('rsync', ['-e', rsh, ...words]));
    writeFiles(join(near, 'tree'), count);
    const results = [await rsync('-a', 'tree/', `work:${far}/tree/`)];
    for (let folder = 0; folder < FOLDERS / 5; folder += 1) {
      rmSync(join(near, 'tree', `d${folder}`), { recursive: true });
    }
    writeFileSync(join(near, 'tree', 'd9', 'new name; $(x)'), 'new\n');
    results.push(await rsync('-aiO', '--delete', '-s', 'tree/', `work:${far}/tree/`));
    mkdirSync(join(near, 'back'));
    writeFileSync(join(near, 'back', 'stale'), 'stale\n');
    results.push(await rsync('-a', '--delete', `work:${far}/tree/`, 'back/'));
    const tree = readTree(join(near, 'tree'));
    assert.deepEqual(readTree(join(far, 'tree')), tree);
    assert.deepEqual(readTree(join(near, 'back')), tree);
    return { tree, results };
  }

  test('rsync pulls, pushes and deletes, and fails alike', { skip: requirePrograms('rsync') }, async (t) => {
    const { compare } = await openSetup(t);
    const { results } = await compare(async (side) => {
      const { tree, results } = await runRsync(side, FEW);
      const rsync = async (...words: string[]) => ending(await side.run('rsync', ['-e', side.rsh, ...words]));
      results.push(await rsync('-a', `work:${side.far}/nothing`, 'none/'));
      const missing = await rsync('-a', '--rsync-path=/nowhere/rsync', 'tree/', `work:${side.far}/tree/`);
      // The shell's 127, or 12 where rsync saw the stream break before its ssh had ended; plain ssh gives either, too.
      results.push({ ...missing, code: missing.code === 127 ? 12 : missing.code });
      return { tree, results };
    });
    assert.deepEqual(
      results.map(({ code }) => code),
      [0, 0, 0, 23, 12],
    );
  });

  for (const { name, rshPath, skip } of BUILDS) {
    test(`rsync carries ${MANY} files (${name})`, { skip: skip || requirePrograms('rsync') }, async (t) => {
      const { openSide } = await openSetup(t);
      const { tree, results } = await runRsync(openSide(rshPath), MANY);
      assert.equal(tree.filter((line) => /\/f\d+ /.test(line)).length, (MANY * 4) / 5);
      assert.deepEqual(
        results.map(({ code }) => code),
        [0, 0, 0],
      );
    });
  }

  /** The other ways to name an ssh to git; git passes options to some of them and not to others. */
  const variants: readonly ((rsh: string) => Record<string, string>)[] = [
    (rsh) => ({ GIT_SSH_COMMAND: `'${rsh}' -4 -q` }),
    (rsh) => ({ GIT_SSH: rsh, ...gitConfig('ssh.variant', 'ssh') }),
    (rsh) => ({ GIT_SSH: rsh, ...gitConfig('ssh.variant', 'simple') }),
    (rsh) => gitConfig('core.sshCommand', rsh),
  ];

  test('git clones, pushes and fetches by each of its ways to name an ssh, and fails alike', {
    skip: requirePrograms('git'),
  }, async (t) => {
    const { compare, openSide, server, first } = await openSetup(t);
    const runGit = async ({ near, far, run }: Side, env: Record<string, string>): Promise<Ending[]> => {
      const results: Ending[] = [];
      const git = async (...words: string[]): Promise<void> => {
        results.push(ending(await run('git', words, { env })));
      };
      const url = `ssh://${server.user}@work${far}/repo.git`;
      await run('git', ['init', '-q', '--bare', '-b', 'main', join(far, 'repo.git')]);
      giveTo(server.login, join(far, 'repo.git'));
      await git('clone', '-q', `work:${far}/repo.git`, 'first');
      writeFileSync(join(near, 'first', 'large'), 'line\n'.repeat(100_000));
      await run('git', ['-C', 'first', 'add', '.']);
      await run('git', ['-C', 'first', 'commit', '-qm', 'one']);
      await git('-C', 'first', 'push', '-q', 'origin', 'HEAD:main');
      await git('clone', '-q', '-b', 'main', url, 'second');
      assert.deepEqual(readTree(join(near, 'second')), readTree(join(near, 'first')));
      await run('git', ['-C', 'first', 'commit', '--allow-empty', '-qm', 'two']);
      await git('-C', 'first', 'push', '-q', 'origin', 'HEAD:main');
      await git('-C', 'second', 'fetch', '-q');
      await git('-C', 'second', 'rev-parse', 'origin/main');
      await git('ls-remote', url, 'main');
      // Not a fast forward, and no repository.
      await run('git', ['-C', 'second', 'commit', '--allow-empty', '-qm', 'three']);
      await git('-C', 'second', 'push', '-q', 'origin', 'HEAD:main');
      await git('clone', '-q', `work:${far}/none.git`, 'none');
      return results;
    };
    const expected = await compare((side) => runGit(side, { GIT_SSH: side.rsh }));
    assert.deepEqual(
      expected.map(({ code }) => code),
      [0, 0, 0, 0, 0, 0, 0, 1, 128],
    );
    for (const variant of variants) {
      assert.deepEqual(await runGit(openSide(first.rsh), variant(first.rsh)), expected, `${variant}`);
    }
  });

  test('cvs imports, checks out, commits and updates, and fails alike', {
    skip: requirePrograms('cvs'),
  }, async (t) => {
    const { compare, server } = await openSetup(t);
    const codes = await compare(async ({ rsh, near, far, run }) => {
      const cvs = async (cwd: string, ...words: string[]): Promise<number | null> => {
        const root = `:ext:${server.user}@work:${far}/cvs`;
        mkdirSync(join(near, cwd), { recursive: true });
        const options = { cwd: join(near, cwd), env: { CVS_RSH: rsh } };
        return (await run('cvs', ['-Q', '-d', root, ...words], options)).code;
      };
      mkdirSync(join(near, 'tree'));
      writeFileSync(join(near, 'tree', 'notes'), 'one\n');
      const codes = [
        await cvs('.', 'init'),
        await cvs('tree', 'import', '-m', 'a tree', 'module', 'pat', 'start'),
        await cvs('.', 'checkout', '-d', 'first', 'module'),
        await cvs('.', 'checkout', '-d', 'second', 'module'),
      ];
      writeFileSync(join(near, 'first', 'notes'), 'one\ntwo\n');
      codes.push(await cvs('first', 'commit', '-m', 'two'), await cvs('second', 'update'));
      assert.equal(readFileSync(join(near, 'second', 'notes'), 'utf8'), 'one\ntwo\n');
      codes.push(await cvs('second', 'diff', '-r', '1.1'), await cvs('.', 'checkout', 'nothing'));
      return codes;
    });
    assert.deepEqual(codes, [0, 0, 0, 0, 0, 0, 1, 1]);
  });

  test('scp copies both ways by its old protocol and by sftp, sftp too, and all fail alike', {
    skip: requirePrograms('scp', 'sftp'),
  }, async (t) => {
    const { compare } = await openSetup(t);
    const codes = await compare(async ({ rsh, near, far, run }) => {
      mkdirSync(join(near, 'tree', 'sub'), { recursive: true });
      writeFileSync(join(near, 'tree', 'sub', 'large'), Buffer.alloc(3_000_000, 'large'));
      writeFileSync(join(near, 'tree', 'empty'), '', { mode: 0o600 });
      const results: unknown[] = [];
      for (const [protocol, name] of [
        ['-O', 'old'],
        ['-s', 'new'],
      ] as const) {
        const scp = async (...words: string[]): Promise<void> => {
          results.push(ending(await run('scp', ['-q', protocol, '-S', rsh, ...words])).code);
        };
        await scp('-rp', 'tree', `work:${far}/${name}`);
        await scp('-rp', `work:${far}/${name}`, `back-${name}`);
        await scp(`work:${far}/nothing`, 'nothing');
        await scp('tree/empty', `work:/nowhere/at/all`);
        results.push(readTree(join(far, name)), readTree(join(near, `back-${name}`)));
      }
      writeFileSync(join(near, 'good'), `put -r tree ${far}/sftp\nget -r ${far}/sftp back-sftp\n`);
      writeFileSync(join(near, 'bad'), `get ${far}/nothing\n`);
      for (const batch of ['good', 'bad']) {
        results.push((await run('sftp', ['-q', '-S', rsh, '-b', batch, 'work'])).code);
      }
      results.push(readTree(join(near, 'back-sftp')));
      return results;
    });
    assert.deepEqual(
      codes.filter((each) => typeof each === 'number'),
      [0, 0, 1, 1, 0, 0, 1, 1, 0, 1],
    );
  });
});

/** git-config(1): a setting from the environment. */
function gitConfig(key: string, value: string): Record<string, string> {
  return { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: key, GIT_CONFIG_VALUE_0: value };
}
