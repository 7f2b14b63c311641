/** Short commands on a mail host: which programs it has, and whatever setup does there. */
import type { Connection, RemoteExit, RemoteStream } from '../transport/transport.ts';
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
  let stderr = '';
  stream.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('latin1')).slice(0, REMOTE_ANSWER_MAX);
  });
  stream.stdin.end(input);
  const stdout = await readOutput(stream);
  return { stdout, stderr, exit: await stream.exit };
}

/** What a command prints on stdout until it ends, within bounds. */
export async function readOutput(stream: RemoteStream): Promise<string> {
  let output = '';
  stream.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
    if (output.length > REMOTE_ANSWER_MAX) stream.kill();
  });
  // Whoever has read the beginning has paused it.
  stream.stdout.resume();
  const timer = setTimeout(() => stream.kill(), REMOTE_ANSWER_MS);
  await stream.exit;
  clearTimeout(timer);
  return output;
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
