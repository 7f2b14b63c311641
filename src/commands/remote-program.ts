/** Which program a mail host has: the first of some usual places. */

import type { Connection, RemoteStream } from '../transport/transport.ts';
import { REMOTE_ANSWER_MAX, REMOTE_ANSWER_MS } from './limits.ts';

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
  let stream: RemoteStream;
  try {
    stream = await connection.exec({ kind: 'exec', text });
  } catch {
    return undefined;
  }
  const answer = await readAnswer(stream);
  // Login scripts may print before it.
  const found = /^FOUND (\S+)$/m.exec(answer)?.[1];
  return found !== undefined && places.includes(found) ? found : undefined;
}

/** What a remote command prints until it ends, within bounds. */
async function readAnswer(stream: RemoteStream): Promise<string> {
  let answer = '';
  stream.stderr.resume();
  stream.stdin.end();
  stream.stdout.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
    if (answer.length > REMOTE_ANSWER_MAX) stream.kill();
  });
  const timer = setTimeout(() => stream.kill(), REMOTE_ANSWER_MS);
  await stream.exit;
  clearTimeout(timer);
  return answer;
}
