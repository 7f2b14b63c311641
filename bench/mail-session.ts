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
  let text = '';
  const ms = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${file} ${words.join(' ')}: no greeting`));
    }, PATIENCE_MS);
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\n')) return;
      clearTimeout(timer);
      resolve(performance.now() - start);
    });
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(timer);
      reject(new Error(`${file} ${words.join(' ')}: ended; it said: ${text}`));
    });
  });
  if (!/^\* PREAUTH (?!.*pine-rsh:)/.test(text)) throw new Error(`${file}: ${text}`);
  child.stdin.on('error', () => {});
  return {
    pid: child.pid ?? 0,
    ms,
    close: async () => {
      child.stdin.end('a LOGOUT\r\n');
      await ended;
    },
  };
}

/** One whole session; what counts is the time to its greeting. */
export async function timeMail(command: Command): Promise<number> {
  await sleep(SETTLE_MS);
  const session = await openMail(command);
  await session.close();
  return session.ms;
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
