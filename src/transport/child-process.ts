/**
 * Programs that a user names: PASSPHRASE_COMMAND, SSH_ASKPASS, PROXY_COMMAND. Each runs in a session of its own, so
 * that it never touches the terminal of the mail client, and goes with whoever started it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { CLOSE_GRACE_MS, PROGRAM_KILL_MS, PROGRAM_LINE_MAX, PROGRAM_STDERR_MAX } from '../limits.ts';

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** How a program ended, in words: `status 1`, `SIGKILL`. */
export interface ProgramEnd {
  readonly how: string;
  readonly success: boolean;
}

export interface RunningProgram {
  /** Undefined if stdin is /dev/null. */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  /** Settles when the process has ended, or could not be started; never rejects. */
  readonly ended: Promise<ProgramEnd>;
  /** What it wrote to stderr so far, up to a limit. */
  said(): string;
  /** Ends it and all that it started and that stayed in its group. */
  kill(): void;
}

/** All that run; nothing else would end them when we are ended ourselves. */
const running = new Set<RunningProgram>();
let watching = false;

/** Starts a program in `/`, as the broker stands there. */
export function startProgram({ file, args, env }: Program, stdin: 'null' | 'pipe'): RunningProgram {
  const child = spawn(file, args, {
    cwd: '/',
    detached: true,
    env,
    stdio: [stdin === 'null' ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk.toString('latin1')}`.slice(0, PROGRAM_STDERR_MAX);
  });
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {});
  const ended = new Promise<ProgramEnd>((resolve) => {
    child.once('error', (error) => resolve({ how: error.message, success: false }));
    child.once('exit', (status, signal) => {
      resolve({ how: signal ?? `status ${status}`, success: status === 0 });
    });
  });
  const program: RunningProgram = {
    stdin: child.stdin ?? undefined,
    stdout: child.stdout as Readable,
    ended,
    said: () => stderr.trim(),
    kill: () => killGroup(child, ended),
  };
  running.add(program);
  void ended.then(() => running.delete(program));
  if (!watching) {
    watching = true;
    process.once('exit', () => {
      for (const each of running) each.kill();
    });
  }
  return program;
}

/** The process leads its group: whatever it started goes too (kill(2) with a negative number). */
function killGroup({ pid, exitCode, signalCode }: ChildProcess, ended: Promise<ProgramEnd>): void {
  // What it left in the background on purpose (an agent) may stay, and its number may be somebody else's.
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  signalGroup(pid, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), PROGRAM_KILL_MS);
  timer.unref();
  void ended.then(() => clearTimeout(timer));
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}

/** What a program answered; one character a byte. */
export interface ProgramAnswer {
  /** The first line of its output; undefined where it wrote none. */
  readonly line: string | undefined;
  readonly end: ProgramEnd;
  /** Its stderr, with `***` for whatever stands in its output too: a shell that traces would show a secret. */
  readonly said: string;
}

/**
 * Runs a program for the first line of its output. One that takes longer than `timeoutMs` is ended, without success.
 *
 * @throws the signal's reason when it is aborted; the program is ended then
 */
export async function readFirstLine(
  program: Program,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProgramAnswer> {
  signal.throwIfAborted();
  const child = startProgram(program, 'null');
  let text = '';
  const outputEnded = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text = `${text}${chunk.toString('latin1')}`.slice(0, PROGRAM_LINE_MAX);
    });
    child.stdout.once('close', () => resolve());
  });
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
  });
  signal.addEventListener('abort', onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ProgramEnd>((resolve) => {
    const how = `no answer within ${timeoutMs / 1000} s`;
    timer = setTimeout(() => resolve({ how, success: false }), timeoutMs);
  });
  try {
    const end = await Promise.race([child.ended, aborted, late]);
    // Something that it left in the background (an agent) may hold its output open for ever.
    if (end.success) await Promise.race([outputEnded, pause(CLOSE_GRACE_MS)]);
    const [line, ...more] = text === '' ? [] : text.split(/\r?\n/);
    const secrets = [line ?? '', ...more].filter((secret) => secret !== '');
    const said = secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), child.said());
    return { line, end, said };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    child.kill();
    child.stdout.destroy();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
