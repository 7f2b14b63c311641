/** Running a program to its end, with its output and exit status; a program that hangs is killed and reported. */
import { spawn } from 'node:child_process';
import { signalProcess } from './processes.ts';

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to stdin, which is closed then; without it stdin is empty. */
  readonly input?: string | Buffer;
  /** Milliseconds. */
  readonly timeout?: number;
}

export interface RunResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly ms: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Waits for the process and for the end of both outputs: a descriptor left to a background process counts as a
 * hang. @throws after `timeout`, with what was printed until then
 */
export async function runProgram(
  command: string,
  words: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const start = performance.now();
  const child = spawn(command, words, { env: options.env, cwd: options.cwd, stdio: 'pipe' });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (data) => stdout.push(data));
  child.stderr.on('data', (data) => stderr.push(data));
  // EPIPE: a program need not read its input.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);

  const timeout = options.timeout ?? DEFAULT_TIMEOUT_MS;
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      if (child.pid !== undefined) signalProcess(child.pid, 'SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      const printed = Buffer.concat([...stdout, ...stderr])
        .toString('latin1')
        .slice(-2000);
      const state = child.exitCode === null ? 'still ran' : 'had ended, but somebody held its output open,';
      reject(
        new Error(`${[command, ...words].join(' ')} ${state} after ${timeout} ms; it printed: ${printed}`),
      );
    }, timeout);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr),
        code,
        signal,
        ms: performance.now() - start,
      });
    });
  });
}
