/**
 * One start of a program, timed from before its spawn to the imapd's greeting or to its end. The runtime's own
 * spawn does it, the same for all: what that costs shows in the figure for /bin/true.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** What to start. */
export interface Command {
  readonly file: string;
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface MailSession {
  readonly pid: number;
  /** From before the spawn to the end of the greeting. */
  readonly ms: number;
  /** Asks for nothing; gives the time from before the spawn to the end of the answer. */
  ask(): Promise<number>;
  /** Logs out and waits for the end of the process. */
  close(): Promise<void>;
}

/** Lets what the one before left behind come to rest. */
const SETTLE_MS = 30;

const PATIENCE_MS = 60_000;

/** Starts the program and reads the greeting. @throws when something else comes */
export async function openMail({ file, words, env }: Command): Promise<MailSession> {
  const start = performance.now();
  const child = spawn(file, words, { env, cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = endOf(child);
  const text = await waitForText(child, /\n/);
  const ms = performance.now() - start;
  if (!/^\* PREAUTH (?!.*pine-rsh:)/.test(text)) throw new Error(`${file}: ${text}`);
  child.stdin.on('error', () => {});
  return {
    pid: child.pid ?? 0,
    ms,
    ask: async () => {
      const answered = waitForText(child, /^a (?:OK|NO|BAD)[^\n]*\n/m);
      child.stdin.write('a NOOP\r\n');
      await answered;
      return performance.now() - start;
    },
    close: async () => {
      child.stdin.end('b LOGOUT\r\n');
      await ended;
    },
  };
}

/** What the program says from now on, once it matches. @throws when it ends, or takes too long */
function waitForText(child: ChildProcess, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      child.stdout?.off('data', onData);
      child.off('exit', onExit);
      act();
    };
    const fail = (what: string): void => {
      settle(() => reject(new Error(`${child.spawnargs.join(' ')}: ${what}; it said: ${text}`)));
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (wanted.test(text)) settle(() => resolve(text));
    };
    const onExit = (): void => fail('ended');
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail('takes too long');
    }, PATIENCE_MS);
    child.stdout?.on('data', onData);
    child.once('exit', onExit);
    child.once('error', (error) => fail(error.message));
  });
}

/** One whole session; what counts is the time to its greeting. */
export async function timeMail(command: Command): Promise<number> {
  await sleep(SETTLE_MS);
  const session = await openMail(command);
  await session.close();
  return session.ms;
}

/** One whole session; what counts is the time to the answer to its first command. */
export async function timeAnswer(command: Command): Promise<number> {
  await sleep(SETTLE_MS);
  const session = await openMail(command);
  const ms = await session.ask();
  await session.close();
  return ms;
}

/** Several at once: the time to the last greeting. */
export async function timeBurst(command: Command, count: number): Promise<number> {
  await sleep(SETTLE_MS);
  const start = performance.now();
  const sessions = await Promise.all(Array.from({ length: count }, () => openMail(command)));
  const ms = performance.now() - start;
  await Promise.all(sessions.map((session) => session.close()));
  return ms;
}

/** Milliseconds from before the spawn to the end of the process, and what it printed. */
export async function timeRun({ file, words, env }: Command): Promise<{ ms: number; output: string }> {
  await sleep(SETTLE_MS);
  const start = performance.now();
  const child = spawn(file, words, { env, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
  });
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve(performance.now() - start));
  });
  await endOf(child);
  return { ms: await exited, output };
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('close', () => resolve()));
}
