/**
 * Starts pine-rsh the way Pine does and speaks IMAP with it, for commands that must know what Pine would see.
 *
 * c-client (tcp_unix.c, tcp_aopen) gives its rsh one pipe for fd 1 and fd 2 and leaves SIGINT, SIGPIPE and the stop
 * signals ignored; the shell does both here before it becomes pine-rsh.
 */
import { spawn } from 'node:child_process';
import { ANSWER_MS } from './limits.ts';

const AS_PINE = 'trap "" INT PIPE TSTP TTIN TTOU; exec "$@" 2>&1';

export interface PineProcessOptions {
  /** pine-rsh and its arguments. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** How long to wait for the greeting. */
  readonly withinMs: number;
  /** Makes what is thrown when something does not go as a mail client needs it; `what` may quote the other side. */
  readonly fail: (what: string) => Error;
}

export interface PineProcess {
  /** The first line without its line end; a `* PREAUTH` without an alert. */
  readonly greeting: string;
  /** Milliseconds from starting pine-rsh to the end of that line. */
  readonly openedAfter: number;
  /** Sends a command and gives its answer, an OK. */
  ask(command: string): Promise<string>;
  /** Logs out and waits for pine-rsh to end; gives its exit status. */
  logout(): Promise<number | null>;
  /** Ends it at once, whatever it does. */
  kill(): void;
}

/** Starts pine-rsh and waits for the greeting. @throws what `fail` makes */
export async function openPineProcess(options: PineProcessOptions): Promise<PineProcess> {
  const { argv, env, signal, withinMs, fail } = options;
  const started = performance.now();
  const child = spawn('/bin/sh', ['-c', AS_PINE, 'sh', ...argv], {
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
    signal,
    killSignal: 'SIGTERM',
  });
  let received = '';
  let wake = (): void => {};
  let exited = false;
  const exit = new Promise<number | null>((resolve) => {
    child.on('error', () => {}).on('exit', resolve);
    child.on('close', () => {
      exited = true;
      wake();
    });
  });
  child.stdin.on('error', () => {});
  child.stdout.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    wake();
  });

  /** Takes everything up to and including the first match of `pattern`. */
  async function take(pattern: RegExp, timeoutMs: number, what: string): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(received);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = received.slice(0, end);
        received = received.slice(end);
        return taken;
      }
      const left = deadline - performance.now();
      if (signal.aborted) throw fail('interrupted');
      if (exited) throw fail(`pine-rsh ended before ${what}${received && `; it said: ${received}`}`);
      if (left <= 0) throw fail(`${what} did not come within ${timeoutMs / 1000} s`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  let tags = 0;
  async function ask(command: string): Promise<string> {
    const tag = `d${++tags}`;
    child.stdin.write(`${tag} ${command}\r\n`);
    const answer = await take(new RegExp(`^${tag} .*\r\n`, 'm'), ANSWER_MS, `the answer to ${command}`);
    if (!answer.includes(`\n${tag} OK`) && !answer.startsWith(`${tag} OK`)) {
      throw fail(`${command} was answered: ${answer.trim()}`);
    }
    return answer;
  }

  const kill = (): void => {
    child.stdin.destroy();
    child.kill('SIGKILL');
  };
  try {
    const greeting = (await take(/^.*\r\n/, withinMs, 'the greeting')).trimEnd();
    const openedAfter = performance.now() - started;
    if (!greeting.startsWith('* PREAUTH')) throw fail(`the greeting is: ${greeting}`);
    // A refusal of pine-rsh greets too, so that Pine never asks for a password; its alert is the reason.
    if (greeting.startsWith('* PREAUTH [ALERT]')) throw fail(greeting.slice('* PREAUTH '.length));
    return {
      greeting,
      openedAfter,
      ask,
      kill,
      async logout() {
        await ask('LOGOUT');
        child.stdin.end();
        const timer = setTimeout(kill, ANSWER_MS);
        const status = await exit;
        clearTimeout(timer);
        return status;
      },
    };
  } catch (thrown) {
    kill();
    throw thrown;
  }
}
