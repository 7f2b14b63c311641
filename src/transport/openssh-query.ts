/** What the system's ssh makes of ssh_config for a host (ssh(1) -G): the one exact reader of that language. */
import { spawn } from 'node:child_process';
import { errnoOf, Failure, toFailure } from '../errors.ts';
import { LOG_SAMPLE_MAX, SSH_OUTPUT_MAX } from '../limits.ts';
import type { Log } from '../log.ts';

/** Values of a keyword in lower case, one for each line. */
export type SshAnswer = ReadonlyMap<string, readonly string[]>;

export interface QueryContext {
  readonly log: Pick<Log, 'record' | 'detail'>;
  /** For the log. */
  readonly alias: string;
  /** Ends the question; its reason is thrown. */
  readonly signal: AbortSignal;
}

/**
 * Asks `ssh -G WORDS`. Commands of `Match exec` run, with all that ssh lets them do: in a session of their own, without
 * input, and in `/`: a file that is named without its folder must not be one of whatever folder Pine stands in.
 *
 * @returns undefined if ssh is not installed
 * @throws {Failure} `ssh-config-refused`
 */
export async function querySsh(
  words: readonly string[],
  { log, alias, signal }: QueryContext,
): Promise<SshAnswer | undefined> {
  signal.throwIfAborted();
  const { status, stdout, stderr } = await runSsh(['-G', '-T', ...words], signal);
  if (status === undefined) return undefined;
  const said = stderr.trim();
  if (said !== '') log.record('ssh-config', { alias, text: said });
  if (status !== 0) {
    const why = (said.split('\n', 1)[0] as string).trim().slice(0, LOG_SAMPLE_MAX);
    throw new Failure('ssh-config-refused', { why: why || `ssh -G ended with ${status}` });
  }
  return parseAnswer(stdout);
}

interface SshOutput {
  /** An exit status or a signal; undefined: there is no ssh. */
  readonly status: number | string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function runSsh(words: readonly string[], signal: AbortSignal): Promise<SshOutput> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh', words, { cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const onAbort = (): void => {
      killGroup(child.pid);
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const stdout = collect(child.stdout, () => killGroup(child.pid));
    const stderr = collect(child.stderr, () => killGroup(child.pid));
    child.once('error', (error) => {
      signal.removeEventListener('abort', onAbort);
      if (errnoOf(error) === 'ENOENT') resolve({ status: undefined, stdout: '', stderr: '' });
      else reject(toFailure(error));
    });
    // One of the two is there (node:child_process).
    child.once('close', (code, killer) => {
      signal.removeEventListener('abort', onAbort);
      resolve({ status: code ?? (killer as string), stdout: stdout(), stderr: stderr() });
    });
  });
}

function collect(stream: NodeJS.ReadableStream, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > SSH_OUTPUT_MAX) onTooMuch();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString();
}

/** A process group of its own: what `Match exec` has started ends too. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** One `keyword value` a line (OpenSSH readconf.c, dump_client_config). */
export function parseAnswer(text: string): SshAnswer {
  const answer = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const match = /^(\w+) (.*)$/s.exec(line);
    if (match === null) continue;
    const keyword = (match[1] as string).toLowerCase();
    const value = match[2] as string;
    const values = answer.get(keyword);
    if (values === undefined) answer.set(keyword, [value]);
    else values.push(value);
  }
  return answer;
}
