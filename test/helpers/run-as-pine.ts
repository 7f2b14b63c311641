/**
 * Starting a program the way c-client starts rsh (tcp_unix.c, tcp_aopen): stdin is a pipe, stdout and stderr are one
 * and the same pipe, five signals are ignored, the process group is its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { openPipePair } from './pipe-pair.ts';
import { isRunning, signalProcess } from './processes.ts';
import { defer, type Scope } from './scope.ts';
import { type WaitOptions, waitUntil, within } from './wait.ts';

/** A child of a POSIX shell starts with the signals ignored that the shell ignores. */
const IGNORE_SIGNALS = 'trap "" INT PIPE TSTP TTIN TTOU; exec "$@"';

export interface PineOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Milliseconds from the start to the end of the process. */
  readonly ms: number;
}

export interface PineChild {
  readonly pid: number;
  /** What came on the pipe of descriptors 1 and 2 so far. */
  output(): Buffer;
  /** The same, with milliseconds since the start. */
  readonly chunks: readonly { readonly at: number; readonly data: Buffer }[];
  write(data: string | Buffer): void;
  /** Closes the child's stdin. */
  endInput(): void;
  /** The reader stays, and reads no more. */
  pauseOutput(): void;
  /** The reader goes away: the child's next write fails with EPIPE. */
  closeOutput(): void;
  kill(signal: NodeJS.Signals): void;
  /** The first line, without its CRLF. */
  waitForLine(options?: WaitOptions): Promise<string>;
  waitForText(pattern: RegExp | string, options?: WaitOptions): Promise<void>;
  waitForExit(options?: WaitOptions): Promise<Ending>;
  /** Exit, and the end of the pipe: nobody else holds it open. */
  finish(options?: WaitOptions): Promise<Ending & { output: Buffer }>;
}

/** Starts `command`; if it still runs when the test is over, it is killed. */
export function runAsPine(
  scope: Scope,
  command: string,
  words: readonly string[],
  options: PineOptions,
): PineChild {
  const toChild = openPipePair();
  const fromChild = openPipePair();
  const start = performance.now();
  const child: ChildProcess = spawn('/bin/sh', ['-c', IGNORE_SIGNALS, 'sh', command, ...words], {
    env: options.env,
    cwd: options.cwd,
    detached: true,
    stdio: [toChild.readFd, fromChild.writeFd, fromChild.writeFd],
  });
  closeSync(toChild.readFd);
  closeSync(fromChild.writeFd);

  const exited = new Promise<Ending>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal, ms: performance.now() - start }));
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error('no process for /bin/sh');

  const chunks: { at: number; data: Buffer }[] = [];
  const reader = new Socket({ fd: fromChild.readFd, readable: true, writable: false });
  const ended = new Promise<void>((resolve) => reader.once('close', () => resolve()));
  reader.on('data', (data) => chunks.push({ at: performance.now() - start, data }));
  reader.on('error', () => {});
  const writer = new Socket({ fd: toChild.writeFd, readable: false, writable: true });
  // EPIPE: the child is gone, which its exit status tells better.
  writer.on('error', () => {});

  defer(scope, () => {
    if (isRunning(pid)) signalProcess(pid, 'SIGKILL');
    writer.destroy();
    reader.destroy();
  });

  const output = () => Buffer.concat(chunks.map((chunk) => chunk.data));
  const detail = () => `its output so far: ${JSON.stringify(output().toString('latin1').slice(-2000))}`;
  const waitForText = async (pattern: RegExp | string, wait: WaitOptions = {}): Promise<void> => {
    const has = () => {
      const text = output().toString('latin1');
      return typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text);
    };
    await waitUntil(`output ${pattern}`, has, { detail, ...wait });
  };
  const waitForExit = (wait: WaitOptions = {}) => within(`exit of ${command}`, exited, { detail, ...wait });

  return {
    pid,
    output,
    chunks,
    write: (data) => writer.write(data),
    endInput: () => writer.end(),
    pauseOutput: () => {
      reader.pause();
    },
    closeOutput: () => reader.destroy(),
    kill: (signal) => signalProcess(pid, signal),
    waitForText,
    waitForLine: async (wait = {}) => {
      await waitForText('\n', wait);
      return output().toString('latin1').split(/\r?\n/, 1)[0] ?? '';
    },
    waitForExit,
    finish: async (wait = {}) => {
      const ending = await waitForExit(wait);
      await within(`end of output of ${command}`, ended, { detail, ...wait });
      return { ...ending, output: output() };
    },
  };
}
