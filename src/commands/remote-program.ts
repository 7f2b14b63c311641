/** Short commands on a mail host: which programs it has, and whatever setup does there. */
import type { Connection, RemoteExit } from '../transport/transport.ts';
import { REMOTE_ANSWER_MAX, REMOTE_ANSWER_MS } from './limits.ts';

export interface RemoteAnswer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: RemoteExit;
}

/**
 * Runs a command to its end, within bounds; what it prints beyond them ends it.
 *
 * @throws {Failure} `exec-refused`, `connection-lost`
 */
export async function runRemote(
  connection: Connection,
  text: string,
  input: Buffer = Buffer.alloc(0),
): Promise<RemoteAnswer> {
  const stream = await connection.exec({ kind: 'exec', text });
  const answer = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    stream[name].on('data', (chunk: Buffer) => {
      answer[name] += chunk.toString('latin1');
      if (answer[name].length > REMOTE_ANSWER_MAX) stream.kill();
    });
  }
  stream.stdin.end(input);
  const timer = setTimeout(() => stream.kill(), REMOTE_ANSWER_MS);
  const exit = await stream.exit;
  clearTimeout(timer);
  return { ...answer, exit };
}

/**
 * The first of `places` (absolute, plain paths) that can be executed there; undefined if there is none, and where
 * nothing can be asked: a key may be limited to one command, which then runs in place of the question.
 */
export async function findRemoteProgram(
  connection: Connection,
  places: readonly string[],
): Promise<string | undefined> {
  // As for IMAPD=auto: csh and fish too can start it.
  const text = `exec /bin/sh -c 'for i in ${places.join(' ')}; do if test -f $i && test -x $i; then echo FOUND $i; exit; fi; done'`;
  const answer = await runRemote(connection, text).catch(() => undefined);
  // Login scripts may print before it.
  const found = /^FOUND (\S+)$/m.exec(answer?.stdout ?? '')?.[1];
  return found !== undefined && places.includes(found) ? found : undefined;
}
