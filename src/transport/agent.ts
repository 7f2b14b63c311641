/**
 * A client of ssh-agent (draft-miller-ssh-agent). ssh2 has one too, but it hides the keys that it cannot parse (FIDO
 * keys, certificates), and waits for ever.
 */
import { connect } from 'node:net';
import { toError } from '../errors.ts';
import { AGENT_ANSWER_MAX, AGENT_ANSWER_MS } from '../limits.ts';
import { encodeStrings, encodeUint32, keyTypeOf, WireReader } from './ssh-wire.ts';

// Section 5.1 of the draft.
const FAILURE = 5;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;

/** Section 5.3: with which hash an RSA key signs; without one of them with SHA-1. */
export const AGENT_RSA_FLAGS = { sha256: 2, sha512: 4 } as const;

/** A public key that the agent can sign with. */
export interface AgentKey {
  /** In wire format (RFC 4253 section 6.6). */
  readonly blob: Buffer;
  readonly type: string;
  readonly comment: string;
  /**
   * The signature as a server wants it: the name of its algorithm, then its parts. Takes as long as a person takes to
   * confirm it or to touch the key; `signal` ends the wait.
   */
  sign(data: Buffer, flags: number, signal: AbortSignal): Promise<Buffer>;
}

/** The keys behind a socket; undefined with the reason when nobody answers there (a stale SSH_AUTH_SOCK). */
export async function listAgentKeys(
  socketPath: string,
): Promise<{ keys: readonly AgentKey[] } | { keys: undefined; why: string }> {
  try {
    const signal = AbortSignal.timeout(AGENT_ANSWER_MS);
    const answer = await ask(socketPath, Buffer.from([REQUEST_IDENTITIES]), IDENTITIES_ANSWER, signal);
    const count = answer.uint32();
    const keys: AgentKey[] = [];
    for (let i = 0; i < count; i += 1) {
      const blob = answer.string();
      const comment = answer.text();
      keys.push({
        blob,
        type: readType(blob),
        comment,
        sign: (data, flags, patience) => sign(socketPath, blob, data, flags, patience),
      });
    }
    return { keys };
  } catch (error) {
    return { keys: undefined, why: toError(error).message };
  }
}

/** A key that is none is offered to nobody, and must not hide the others. */
function readType(blob: Buffer): string {
  try {
    return keyTypeOf(blob);
  } catch {
    return '';
  }
}

async function sign(
  socketPath: string,
  blob: Buffer,
  data: Buffer,
  flags: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const request = Buffer.concat([
    Buffer.from([SIGN_REQUEST]),
    encodeStrings(blob, data),
    encodeUint32(flags),
  ]);
  return (await ask(socketPath, request, SIGN_RESPONSE, signal)).string();
}

/** One question over a connection of its own; gives a reader of the answer behind its type. */
function ask(socketPath: string, request: Buffer, wanted: number, signal: AbortSignal): Promise<WireReader> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const finish = (act: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      act();
    };
    const onAbort = (): void => finish(() => reject(new Error('no answer')));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    let read = Buffer.alloc(0);
    socket.on('error', (error) => finish(() => reject(error)));
    socket.on('close', () => finish(() => reject(new Error('it closed the connection'))));
    socket.on('data', (chunk) => {
      read = Buffer.concat([read, chunk]);
      if (read.length < 5) return;
      const length = read.readUInt32BE(0);
      if (length > AGENT_ANSWER_MAX) return finish(() => reject(new Error('it is no agent')));
      if (read.length < 4 + length) return;
      const type = read[4];
      if (type === wanted) finish(() => resolve(new WireReader(read, 5)));
      else finish(() => reject(new Error(type === FAILURE ? 'it refused' : `it answered with type ${type}`)));
    });
    socket.write(Buffer.concat([encodeUint32(request.length), request]));
  });
}
