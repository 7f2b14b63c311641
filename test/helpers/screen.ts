/**
 * A terminal program on a real screen: tmux with a server of its own (socket in a folder of its own, no
 * configuration), 80 x 24 characters. Tests type keys and wait for what a person would see.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { descendantsOf, isBroker, isRunning, signalProcess } from './processes.ts';
import { programPath } from './requirements.ts';
import { defer, type Scope } from './scope.ts';
import { makeTempDir } from './temp-dir.ts';
import { PATIENCE_MS, type WaitOptions, waitUntil } from './wait.ts';

export interface ScreenOptions {
  /** The program's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Screen {
  /** The program's process. */
  readonly pid: number;
  /** Types keys by tmux's names (`Enter`, `C-c`); any other word is typed as it is. */
  keys(...keys: string[]): void;
  /** Types text, letter by letter. */
  type(text: string): void;
  /** Types text and Return. */
  enter(text: string): void;
  /** The lines on the screen now. */
  text(): string;
  /** Waits until the screen shows `pattern` and gives the screen. */
  waitFor(pattern: RegExp | string, options?: WaitOptions): Promise<string>;
  /** Waits for the program to end by itself and gives its exit status, 128 + n after a signal. */
  waitForExit(options?: WaitOptions): Promise<number>;
  /** Takes the terminal away (SIGHUP), then the program if it stays. */
  close(): Promise<void>;
}

/** `remain-on-exit` keeps the last screen of a program that ended. */
const TMUX_CONFIG = `set -g status off
set -g remain-on-exit on
set -g escape-time 0
set -g default-terminal screen
`;

/** Starts a program on a screen of its own; it ends with the test. */
export function openScreen(
  scope: Scope,
  command: string,
  words: readonly string[],
  options: ScreenOptions,
): Screen {
  const dir = makeTempDir(scope, 'tmux');
  const config = join(dir, 'tmux.conf');
  writeFileSync(config, TMUX_CONFIG);
  // TMUX in the environment would make tmux talk to the server of the person who runs the tests.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TERM: 'screen' };
  const tmux = (...args: string[]): string => {
    const done = spawnSync(programPath('tmux'), ['-S', join(dir, 'socket'), '-f', config, ...args], {
      encoding: 'utf8',
      env,
    });
    if (done.status !== 0) throw new Error(`tmux ${args.join(' ')}: ${done.stderr}`);
    return done.stdout;
  };

  // In a file: the command line of tmux itself must not look like a process of the test's home. A shell waits for the
  // program: tmux does not always learn how it ended.
  const launch = join(dir, 'launch');
  const statusFile = join(dir, 'status');
  const pidFile = join(dir, 'pid');
  const assignments = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  const program = ['env', '-i', ...assignments, command, ...words].map(quoteForShell).join(' ');
  const home = quoteForShell(options.cwd ?? options.env['HOME'] ?? '/');
  writeFileSync(
    launch,
    `trap : INT QUIT
sh -c 'echo $$ >"$0.new"; mv "$0.new" "$0"; cd "$1" && shift && exec "$@"' ${pidFile} ${home} ${program}
echo $? >${statusFile}
`,
  );
  tmux('new-session', '-d', '-x', '80', '-y', '24', '-c', dir, '/bin/sh', launch);
  const ask = (format: string) => tmux('display-message', '-p', format).trimEnd();
  const shell = Number(ask('#{pane_pid}'));
  const server = Number(ask('#{pid}'));
  const text = () => tmux('capture-pane', '-p');

  const close = async (): Promise<void> => {
    if (!isRunning(server)) return;
    const left = [server, shell, ...descendantsOf(shell, (each) => !isBroker(each))];
    tmux('kill-server');
    try {
      await waitUntil('the terminal closes', () => !left.some(isRunning), { timeout: 5_000 });
    } catch {
      for (const each of left) signalProcess(each, 'SIGKILL');
    }
  };
  defer(scope, close);

  const detail = () => `the screen:\n${text()}`;
  return {
    pid: readPid(pidFile),
    keys: (...keys) => {
      tmux('send-keys', ...keys);
    },
    type: (letters) => {
      tmux('send-keys', '-l', letters);
    },
    enter: (letters) => {
      if (letters !== '') tmux('send-keys', '-l', letters);
      tmux('send-keys', 'Enter');
    },
    text,
    waitFor: async (pattern, wait = {}) =>
      await waitUntil(
        `screen with ${pattern}`,
        () => {
          const shown = text();
          return (typeof pattern === 'string' ? shown.includes(pattern) : pattern.test(shown)) && shown;
        },
        { detail, ...wait },
      ),
    waitForExit: async (wait = {}) => {
      const ended = () => existsSync(statusFile) && readFileSync(statusFile, 'utf8').trim();
      const status = await waitUntil('the program ends', () => ended() || undefined, { detail, ...wait });
      return Number(status);
    },
    close,
  };
}

/** The program is there at once, in a few milliseconds at most. */
function readPid(file: string): number {
  const end = performance.now() + PATIENCE_MS;
  while (!existsSync(file)) {
    if (performance.now() > end) throw new Error('the program did not start');
    spawnSync('sleep', ['0.005']);
  }
  return Number(readFileSync(file, 'utf8'));
}

function quoteForShell(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
