/**
 * Starts pine-rsh the way Pine does and speaks IMAP with it.
 *
 * c-client (tcp_unix.c, tcp_aopen) gives its rsh one pipe for fd 1 and fd 2 and leaves SIGINT, SIGPIPE and the stop
 * signals ignored; the shell does both here before it becomes pine-rsh.
 */
import { spawn } from 'node:child_process';
import { Failure } from '../../errors.ts';
import { ANSWER_MS, RSH_OPEN_MS } from '../limits.ts';

const AS_PINE = 'trap "" INT PIPE TSTP TTIN TTOU; exec "$@" 2>&1';

/** One message as the demo lists it, fields as the server sent them. */
export interface ListedMessage {
  readonly from: string;
  readonly subject: string;
  readonly date: string;
}

export interface PineSession {
  /** The first line without its line end. */
  readonly greeting: string;
  /** Milliseconds from starting pine-rsh to the end of that line. */
  readonly openedAfter: number;
  /** Opens INBOX read-only and lists all messages in it. */
  list(): Promise<ListedMessage[]>;
  /** Logs out and waits for pine-rsh to end; gives its exit status. */
  logout(): Promise<number | null>;
  /** Ends it at once, whatever it does. */
  kill(): void;
}

/** Something did not go as a mail client needs it; `what` may quote the other side. */
export function demoFailed(what: string): Failure {
  return new Failure('demo-failed', { what });
}

/** @throws {Failure} `demo-failed` when no `* PREAUTH` comes within the time Alpine waits */
export async function openPineSession(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<PineSession> {
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
  async function take(pattern: RegExp, withinMs: number, what: string): Promise<string> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const match = pattern.exec(received);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = received.slice(0, end);
        received = received.slice(end);
        return taken;
      }
      const left = deadline - performance.now();
      if (signal.aborted) throw demoFailed('interrupted');
      if (exited) throw demoFailed(`pine-rsh ended before ${what}${received && `; it said: ${received}`}`);
      if (left <= 0) throw demoFailed(`${what} did not come within ${withinMs / 1000} s`);
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
      throw demoFailed(`${command} was answered: ${answer.trim()}`);
    }
    return answer;
  }

  const kill = (): void => {
    child.stdin.destroy();
    child.kill('SIGKILL');
  };
  try {
    const greeting = (await take(/^.*\r\n/, RSH_OPEN_MS, 'the greeting')).trimEnd();
    const openedAfter = performance.now() - started;
    if (!greeting.startsWith('* PREAUTH')) throw demoFailed(`the greeting is: ${greeting}`);
    // A refusal of pine-rsh greets too, so that Pine never asks for a password; its alert is the reason.
    if (greeting.startsWith('* PREAUTH [ALERT]')) throw demoFailed(greeting.slice('* PREAUTH '.length));
    return {
      greeting,
      openedAfter,
      kill,
      async list() {
        await ask('EXAMINE INBOX');
        return parseFetched(await ask('FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])'));
      },
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

/** Reads the header literals of FETCH responses (RFC 3501 section 7.4.2). */
function parseFetched(text: string): ListedMessage[] {
  return [...text.matchAll(/^\* \d+ FETCH .*\{(\d+)\}\r\n/gm)].map((match) => {
    const start = match.index + match[0].length;
    const header = text.slice(start, start + Number(match[1])).replace(/\r\n(?=[ \t])/g, '');
    const field = (name: string): string => new RegExp(`^${name}:[ \t]*(.*)`, 'im').exec(header)?.[1] ?? '';
    return { from: field('From'), subject: field('Subject'), date: field('Date') };
  });
}
