/** pine-rsh as an rsh for everything that is not mail: bytes, exit status and the programs that call an rsh. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { endBrokers } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { peakMemoryOf, signalProcess } from '../helpers/processes.ts';
import { openRealSshd, type RealSshd } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunOptions, type RunResult, runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import { openScreen } from '../helpers/screen.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil, within } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd');

const MIB = 1024 * 1024;
const SLOW_READER_BYTES = 300_000_000;
const PEAK_MEMORY_MAX = 256 * MIB;
const STALL_MS = 3_000;

interface Setup {
  readonly server: RealSshd;
  readonly home: TempHome;
  /** Runs `pine-rsh WORDS`. */
  rsh(words: readonly string[], options?: Omit<RunOptions, 'env'>): Promise<RunResult>;
  /** Runs another program that calls pine-rsh. @throws when it fails */
  run(command: string, words: readonly string[], options?: Partial<RunOptions>): Promise<RunResult>;
}

async function openSetup(t: TestContext, build: Build): Promise<Setup> {
  const server = await openRealSshd(t);
  const home = openTempHome(t);
  home.writeAlias('work', { ...server.aliasKeys, SHARE: 'no' });
  return {
    server,
    home,
    rsh: async (words, options = {}) => await runProgram(build.rshPath, words, { ...options, env: home.env }),
    run: async (command, words, options = {}) => {
      const env = { ...home.env, ...options.env };
      const result = await runProgram(programPath(command), words, { cwd: home.dir, ...options, env });
      assert.equal(result.code, 0, `${command} ${words.join(' ')}: ${result.stdout}${result.stderr}`);
      return result;
    },
  };
}

/** A few files, one of them large enough for many packets. */
function writeTree(dir: string): Map<string, Buffer> {
  const files = new Map([
    ['notes.txt', Buffer.from('a line\n')],
    ['empty', Buffer.alloc(0)],
    ['sub/large.bin', randomBytes(3 * MIB)],
  ]);
  mkdirSync(join(dir, 'sub'), { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes);
  return files;
}

function assertTree(dir: string, files: ReadonlyMap<string, Buffer>): void {
  for (const [name, bytes] of files) assert.ok(readFileSync(join(dir, name)).equals(bytes), name);
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

for (const build of BUILDS) {
  describe(`A plain remote command (${build.name})`, { skip: NEEDS || build.skip }, () => {
    test('-G prints the alias and reaches nobody; its status tells whether there is one', async (t) => {
      const home = openTempHome(t);
      home.writeAlias('work', { HOSTNAME: 'mail.invalid', USER: 'pat', TRANSPORT: 'openssh' });
      const ask = (...words: string[]) => runProgram(build.rshPath, ['-G', ...words], { env: home.env });
      const { code, stdout, stderr } = await ask('-p', '2222', 'work');
      assert.deepEqual([code, stderr.toString()], [0, '']);
      assert.match(
        stdout.toString(),
        /^host work\nhostname mail\.invalid\nport 2222\nuser pat\n(?:\w+ .+\n)+$/,
      );
      assert.match(stdout.toString(), /^transport openssh$/m);
      const other = await ask('other');
      assert.deepEqual([other.code, other.stdout.toString()], [255, '']);
    });

    for (const [what, command] of [
      ['much', 'head -c 1000000 /dev/zero'],
      ['little', 'echo hello'],
    ] as const) {
      test(`A full disk behind stdout is told, however ${what} is written`, {
        skip: existsSync('/dev/full') ? false : 'no /dev/full',
      }, async (t) => {
        const { home } = await openSetup(t, build);
        const words = ['-c', 'exec "$@" >/dev/full', 'sh', build.rshPath, 'work', command];
        const { stderr, code } = await runProgram('/bin/sh', words, { env: home.env });
        assert.match(
          stderr.toString(),
          /^pine-rsh: work: standard output cannot be written \(ENOSPC\); make room .*\n$/,
        );
        assert.equal(code, 255);
        assert.match(home.log(), / session .* end=lost status=255 .* why=".*ENOSPC.*"/);
      });
    }

    test('50 MB go through cat and come back unchanged', async (t) => {
      const { rsh } = await openSetup(t, build);
      const input = randomBytes(50_000_000);
      const { stdout, stderr, code } = await rsh(['work', 'cat'], { input });
      assert.deepEqual({ code, stderr: stderr.toString() }, { code: 0, stderr: '' });
      assert.equal(digest(stdout), digest(input));
    });

    test('The exit status is that of the remote command', async (t) => {
      const { rsh } = await openSetup(t, build);
      const statuses = [0, 1, 7, 255];
      const results = await Promise.all(statuses.map((status) => rsh(['work', `exit ${status}`])));
      assert.deepEqual(
        results.map(({ code, stdout, stderr }) => ({ code, text: `${stdout}${stderr}` })),
        statuses.map((code) => ({ code, text: '' })),
      );
    });

    test('An output that is a socket stays open for the program that comes next', async (t) => {
      const { home } = await openSetup(t, build);
      // Node gives its children sockets for pipes.
      const script = home.writeScript('twice', `${build.rshPath} work echo one && echo two`);
      const done = await runProgram(script, [], { env: home.env });
      assert.deepEqual([done.code, done.stdout.toString()], [0, 'one\ntwo\n']);
    });

    test('A remote command that a signal ended gives 128 and the number of the signal', async (t) => {
      const { rsh } = await openSetup(t, build);
      assert.equal((await rsh(['work', 'kill -TERM $$'])).code, 128 + 15);
      assert.equal((await rsh(['work', 'kill -KILL $$'])).code, 128 + 9);
    });

    test('The words of a command are joined by single blanks and read by the remote shell once', async (t) => {
      const { rsh } = await openSetup(t, build);
      const { stdout } = await rsh([
        'work',
        'printf',
        "'<%s>\\n'",
        'a',
        '"b  c"',
        '$((1+1))',
        '-l',
        '--',
        '*.no-such-file',
      ]);
      assert.equal(stdout.toString(), '<a>\n<b  c>\n<2>\n<-l>\n<-->\n<*.no-such-file>\n');
    });

    test('stdout and stderr stay apart', async (t) => {
      const { rsh } = await openSetup(t, build);
      const { stdout, stderr, code } = await rsh(['work', 'echo out; echo err >&2; exit 3']);
      assert.deepEqual([stdout.toString(), stderr.toString(), code], ['out\n', 'err\n', 3]);
    });

    test('stderr is written even when it is the same pipe as stdout', async (t) => {
      const { home } = await openSetup(t, build);
      const child = runAsPine(t, build.rshPath, ['work', 'echo out; sleep 0.2; echo err >&2'], {
        env: home.env,
      });
      const { output, code } = await child.finish();
      assert.deepEqual([output.toString(), code], ['out\nerr\n', 0]);
    });

    test('A reader that comes late finds all of stdout and stderr, though the remote command ended long ago', async (t) => {
      const { home, server } = await openSetup(t, build);
      // More than the descriptors hold and less than an SSH window: the remote ends before anything is read.
      const command = 'head -c 600000 /dev/zero >&2; head -c 600000 /dev/zero; : >"$HOME/ended"; exit 5';
      const child = spawn(build.rshPath, ['work', command], {
        env: home.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const { pid } = child;
      assert.ok(pid !== undefined);
      defer(t, () => signalProcess(pid, 'SIGKILL'));
      const exited = new Promise((resolve) => child.once('exit', resolve));
      await waitUntil('the remote command ends', () => existsSync(join(server.home, 'ended')));
      await Promise.all([readZeros(child.stderr, 600_000), readZeros(child.stdout, 600_000)]);
      assert.equal(await within('exit', exited), 5);
    });

    test('Of many sessions that end right after their last bytes none loses one', async (t) => {
      const { rsh } = await openSetup(t, build);
      const command = 'head -c 1000000 /dev/zero >&2 & head -c 2000000 /dev/zero; wait';
      for (let round = 0; round < 10; round++) {
        const results = await Promise.all(Array.from({ length: 4 }, () => rsh(['work', command])));
        for (const { stdout, stderr, code } of results) {
          assert.deepEqual([stdout.length, stderr.length, code], [2_000_000, 1_000_000, 0], `round ${round}`);
        }
      }
    });

    test('-n gives the remote command an empty input', async (t) => {
      const { rsh } = await openSetup(t, build);
      const { stdout, code } = await rsh(['-n', 'work', 'cat; echo end'], { input: 'not for the remote\n' });
      assert.deepEqual([stdout.toString(), code], ['end\n', 0]);
    });

    test('End of input reaches the remote command, whose answer still arrives', async (t) => {
      const { rsh } = await openSetup(t, build);
      const { stdout, code } = await rsh(['work', 'sort; sleep 0.3; echo done'], { input: 'b\nc\na\n' });
      assert.deepEqual([stdout.toString(), code], ['a\nb\nc\ndone\n', 0]);
    });

    test('A reader that has seen enough ends the remote command, without a word', async (t) => {
      const { home, server } = await openSetup(t, build);
      const line = `"$0" work yes | head -n 3`;
      const { stdout, stderr, code, ms } = await runProgram('/bin/sh', ['-c', line, build.rshPath], {
        env: home.env,
      });
      assert.deepEqual([stdout.toString(), stderr.toString(), code], ['y\ny\ny\n', '', 0]);
      assert.ok(ms < 5_000, `${ms} ms`);
      await waitUntil('yes ends', () => server.remoteProcesses().length === 0);
    });

    test('A reader of stderr that has gone stops neither stdout nor the end', async (t) => {
      const { home } = await openSetup(t, build);
      const command = 'seq 1 200000 >&2; echo done; exit 3';
      const line = `{ { "$0" work "${command}"; echo $?; } 2>&1 >&3 | true; } 3>&1`;
      const { stdout } = await runProgram('/bin/sh', ['-c', line, build.rshPath], { env: home.env });
      assert.equal(stdout.toString(), 'done\n3\n');
    });

    test('A reader of stdout that goes while stderr is still read ends it all the same', async (t) => {
      const { home } = await openSetup(t, build);
      // More than a pipe holds, so that something waits to be written when the reader goes.
      const command = 'head -c 100000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3';
      const line = `{ "$0" work '${command}' 2>&3 | sleep 1; } 3>&1 | { sleep 2; wc -c; }`;
      const { stdout } = await within(
        'the end',
        runProgram('/bin/sh', ['-c', line, build.rshPath], { env: home.env }),
      );
      // How much of stderr there was by then is a matter of time.
      assert.ok(Number(stdout) <= 200_000, stdout.toString());
    });

    test('Whoever shares the outputs finds them as they were', async (t) => {
      const { home } = await openSetup(t, build);
      const line = `{ "$0" work 'echo hi; echo ho >&2' </dev/null; head -c 3000000 /dev/zero; } 2>&1 | { sleep 1; wc -c; }`;
      const { stdout, stderr } = await runProgram('/bin/sh', ['-c', line, build.rshPath], { env: home.env });
      assert.deepEqual([stdout.toString().trim(), stderr.toString()], ['3000006', '']);
    });

    test('An input that is a folder is an empty one', async (t) => {
      const { home } = await openSetup(t, build);
      const { stdout, code } = await runProgram('/bin/sh', ['-c', '"$0" work "wc -c" </', build.rshPath], {
        env: home.env,
      });
      assert.deepEqual([stdout.toString(), code], ['0\n', 0]);
    });

    test('A command may be longer than a frame of the broker', async (t) => {
      const { home, server, rsh } = await openSetup(t, build);
      endBrokers(t, home);
      home.writeAlias('shared', { ...server.aliasKeys, SHARE: 'yes' });
      for (const name of ['work', 'shared']) {
        const { stdout, code } = await rsh([name, `: ${'x'.repeat(100_000)}; echo done`]);
        assert.deepEqual([stdout.toString(), code], ['done\n', 0], `${name}: ${home.log()}`);
      }
    });

    test('A reader that stalls and then drains 300 MB costs bounded memory', async (t) => {
      const { home } = await openSetup(t, build);
      // The remote waits at the end, so that the process is still there to be measured.
      const command = `head -c ${SLOW_READER_BYTES} /dev/zero; read end`;
      const child = spawn(build.rshPath, ['work', command], {
        env: home.env,
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const { pid } = child;
      assert.ok(pid !== undefined);
      defer(t, () => signalProcess(pid, 'SIGKILL'));
      const exited = new Promise((resolve) => child.once('exit', resolve));

      await sleep(STALL_MS);
      await readZeros(child.stdout, SLOW_READER_BYTES);
      const peak = peakMemoryOf(pid);
      t.diagnostic(`peak resident set ${Math.round(peak / MIB)} MiB`);
      assert.ok(peak < PEAK_MEMORY_MAX, `${peak} bytes`);
      child.stdin.end('end\n');
      assert.equal(await within('exit', exited), 0);
    });

    test('rsync -e copies a tree there and back', {
      skip: requirePrograms('rsync'),
    }, async (t) => {
      const { home, server, run } = await openSetup(t, build);
      const files = writeTree(join(home.dir, 'tree'));
      await run('rsync', ['-a', '-e', build.rshPath, 'tree/', `work:${server.home}/copy/`]);
      assertTree(join(server.home, 'copy'), files);
      await run('rsync', ['-a', '-e', build.rshPath, `work:${server.home}/copy/`, 'back/']);
      assertTree(join(home.dir, 'back'), files);
    });

    test('GIT_SSH clones and pushes', { skip: requirePrograms('git') }, async (t) => {
      const { home, server, rsh, run } = await openSetup(t, build);
      const git = (...words: string[]) => run('git', words, { env: gitEnvironment(build) });
      const remote = `${server.home}/repo.git`;
      assert.equal((await rsh(['work', `git init -q --bare ${remote}`])).code, 0);
      await git('clone', '-q', `work:${remote}`, 'first');
      const files = writeTree(join(home.dir, 'first'));
      await git('-C', 'first', 'add', '.');
      await git('-C', 'first', 'commit', '-q', '-m', 'a tree');
      await git('-C', 'first', 'push', '-q', 'origin', 'HEAD');
      await git('clone', '-q', `ssh://${server.user}@work${remote}`, 'second');
      assertTree(join(home.dir, 'second'), files);
    });

    test('CVS_RSH imports and checks out', { skip: requirePrograms('cvs') }, async (t) => {
      const { home, server, run } = await openSetup(t, build);
      const cvs = (cwd: string, ...words: string[]) =>
        run('cvs', ['-Q', '-d', `:ext:${server.user}@work:${server.home}/cvs`, ...words], {
          cwd,
          env: { CVS_RSH: build.rshPath },
        });
      home.writeFile('tree/notes.txt', 'a line\n');
      await cvs(home.dir, 'init');
      await cvs(join(home.dir, 'tree'), 'import', '-m', 'a tree', 'tree', 'pat', 'start');
      await cvs(home.dir, 'checkout', '-d', 'back', 'tree');
      assert.equal(readFileSync(join(home.dir, 'back', 'notes.txt'), 'utf8'), 'a line\n');
    });

    test('sftp -S and scp -S use the sftp subsystem', {
      skip: requirePrograms('sftp', 'scp'),
    }, async (t) => {
      const { home, server, run } = await openSetup(t, build);
      const files = writeTree(join(home.dir, 'tree'));
      const batch = home.writeFile(
        'batch',
        `put -r tree ${server.home}/copy\nget -r ${server.home}/copy back\n`,
      );
      await run('sftp', ['-q', '-S', build.rshPath, '-b', batch, 'work']);
      assertTree(join(server.home, 'copy'), files);
      assertTree(join(home.dir, 'back'), files);
      await run('scp', ['-q', '-s', '-S', build.rshPath, 'tree/sub/large.bin', `work:${server.home}/single`]);
      assert.ok(
        readFileSync(join(server.home, 'single')).equals(files.get('sub/large.bin') ?? Buffer.alloc(0)),
      );
    });

    test('Without a command a person at a terminal gets a word, not an imapd', {
      skip: requirePrograms('tmux'),
    }, async (t) => {
      const home = openTempHome(t);
      home.writeAlias('work', { HOSTNAME: 'mail.invalid' });
      // The shell stays: a screen whose program has ended scrolls away.
      const script = '"$0" work; echo status $?; read stay';
      const screen = openScreen(t, '/bin/sh', ['-c', script, build.rshPath], { env: home.env });
      const shown = (await screen.waitFor('status 255')).replace(/\n/g, '');
      assert.match(
        shown,
        /^pine-rsh: work: an imapd on a terminal is of no use to a person; give a command, or open work/,
      );
    });

    test('-W joins stdin and stdout to an address on the far side', async (t) => {
      const { rsh } = await openSetup(t, build);
      const port = await openUpperCaseServer(t);
      const { stdout, code } = await rsh(['-W', `127.0.0.1:${port}`, 'work'], {
        input: 'hello over there\n',
      });
      assert.deepEqual([stdout.toString(), code], ['HELLO OVER THERE\n', 0]);
    });
  });
}

/** git would otherwise look for its settings outside the test's home. */
function gitEnvironment(build: Build): Record<string, string> {
  return {
    GIT_SSH: build.rshPath,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Pat',
    GIT_AUTHOR_EMAIL: 'pat@example.org',
    GIT_COMMITTER_NAME: 'Pat',
    GIT_COMMITTER_EMAIL: 'pat@example.org',
  };
}

/** Reads exactly `count` zero bytes and keeps none. */
async function readZeros(stream: Readable, count: number): Promise<void> {
  let left = count;
  const done = new Promise<void>((resolve, reject) => {
    stream.on('data', (data: Buffer) => {
      if (!data.equals(Buffer.alloc(data.length))) reject(new Error('other bytes than were sent'));
      left -= data.length;
      if (left <= 0) resolve();
    });
    stream.once('end', () => reject(new Error(`${left} bytes too few`)));
  });
  await within(`${count} bytes`, done, { timeout: 30_000, detail: () => `${left} left` });
  assert.equal(left, 0);
}

/** Reads to the end of input, then answers with it in capitals and closes. */
async function openUpperCaseServer(t: TestContext): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (data) => chunks.push(data));
    socket.on('end', () => socket.end(Buffer.concat(chunks).toString().toUpperCase()));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  defer(t, () => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}
