/** What ssh2 says went wrong -> a `Failure` that says it to a person. ssh2's errors are plain texts and levels. */
import type { Alias } from '../alias/alias.ts';
import { errnoOf, Failure } from '../errors.ts';
import { LOG_SAMPLE_MAX } from '../limits.ts';
import { type Algorithms, algorithmRemedy } from './algorithms.ts';
import type { Attempt, Stage } from './attempt.ts';
import { type KexInit, parseKexInit } from './kexinit.ts';
import { noIdentity } from './no-identity.ts';

/** What is known about an attempt when it fails. */
export interface AttemptFacts {
  /** As messages call the host. */
  readonly address: string;
  readonly alias: Pick<Alias, 'name' | 'user' | 'identityFiles'>;
  readonly algorithms: Algorithms;
  /** How far it came; default: into the key exchange. */
  readonly stage?: Stage;
  /** Holds the verdict on the host key, if one was given. */
  readonly verifier: { readonly failure: Failure | undefined };
  readonly keys: {
    readonly tried: readonly string[];
    readonly wants: readonly string[];
    readonly exhausted?: boolean;
    readonly accepted?: { readonly label: string } | undefined;
  };
  /** Why keys could not be used. */
  readonly identities: { readonly unusable: readonly Failure[] };
  /** The server's first bytes. */
  readonly sniffed: Buffer;
  /** A person has answered the server's questions. */
  readonly asked?: boolean;
  /** Why the stream below ended, where that is known. */
  readonly routeFailure?: () => Failure | undefined;
}

/** What our own code says where ssh2 only says that a connection is closed. */
export const CLOSED = 'the other side closed it';

/** Never throws; an error it does not know becomes `connection-lost` with ssh2's own words. */
export function explainSshError(error: Error, facts: AttemptFacts): Failure {
  const { address, keys, stage = 'exchanging keys', verifier, sniffed } = facts;
  const cause = { cause: error };
  if (verifier.failure !== undefined) return verifier.failure;
  const mismatch = /no matching (key exchange|host key|.*cipher|.*MAC|.*compression)/.exec(error.message);
  if (mismatch !== null) return explainMismatch(mismatch[1] as string, facts, cause);
  if (/Too many authentication failures/i.test(error.message)) return explainTooMany(facts, cause);
  if ((error as { level?: string }).level === 'client-authentication') return explainRefusal(facts, cause);

  const closed = error.message === CLOSED || /lost before handshake/.test(error.message);
  if (closed || errnoOf(error) !== undefined) {
    const below = facts.routeFailure?.();
    if (below !== undefined) return below;
  }
  if (!sniffed.includes('SSH-')) return explainNoSsh(error, address, sniffed);
  if (!closed) return new Failure('connection-lost', { address, why: error.message }, cause);
  if (stage === 'open') return new Failure('connection-lost', { address, why: CLOSED }, cause);
  const after = keys.tried.length === 0 ? '' : `, after ${keys.tried.length} keys`;
  const why = `it was closed while ${stage}${after}`;
  return new Failure('connection-lost', { address, why }, cause);
}

/**
 * The reason for ending an attempt. One that took too long is not always the network's fault: a host that talks, but
 * not SSH, and an agent that does not answer are told apart.
 */
export function explainAbort(
  { signal, stage, unsigned }: Pick<Attempt, 'signal' | 'stage' | 'unsigned'>,
  address: string,
  sniffed: Buffer,
): unknown {
  const { reason } = signal;
  if (!(reason instanceof Failure) || reason.code !== 'connect-timeout') return reason;
  const cause = { cause: reason };
  if (unsigned !== undefined) return new Failure('agent-silent', { key: unsigned }, cause);
  if (stage !== 'exchanging keys' || sniffed.length === 0 || sniffed.includes('SSH-')) return reason;
  return new Failure('not-ssh', { address, why: `it said ${sampleOf(sniffed)}` }, cause);
}

/** What sshd says to connections that it will not serve, before the line that every SSH server begins with. */
const DROPPED = /^(Exceeded MaxStartups|Not allowed at this time)/;

function explainNoSsh(error: Error, address: string, sniffed: Buffer): Failure {
  const cause = { cause: error };
  const code = errnoOf(error);
  const early = 'it was closed before the key exchange';
  if (sniffed.length === 0) {
    return new Failure(
      'connection-lost',
      { address, why: code === undefined ? early : `${early}, ${code}` },
      cause,
    );
  }
  const sample = sampleOf(sniffed);
  if (DROPPED.test(sniffed.toString('latin1'))) {
    return new Failure('connection-lost', { address, why: `${early}: ${sample}` }, cause);
  }
  return new Failure('not-ssh', { address, why: `it said ${sample}` }, cause);
}

function sampleOf(bytes: Buffer): string {
  const line = bytes.toString('latin1').split(/\r?\n/, 1)[0] as string;
  return line.slice(0, LOG_SAMPLE_MAX);
}

function explainTooMany(facts: AttemptFacts, cause: object): Failure {
  const { address, alias, keys } = facts;
  if (keys.exhausted === true) return explainRefusal(facts, cause);
  const tried = keys.tried.join(', ');
  return new Failure(
    'login-too-many-keys',
    { address, count: keys.tried.length, user: alias.user, tried },
    cause,
  );
}

function explainRefusal(facts: AttemptFacts, cause: object): Failure {
  const { address, alias, keys, identities } = facts;
  const { user } = alias;
  const wants = keys.wants.join(', ') || 'another way to log in';
  if (facts.asked === true) return new Failure('answers-refused', { address, user }, cause);
  if (needsPerson(keys.wants)) {
    return new Failure('login-needs-person', { address, user, wants, alias: alias.name }, cause);
  }
  if (keys.accepted !== undefined) {
    return new Failure(
      'login-unfinished',
      { address, key: keys.accepted.label, user, wants, alias: alias.name },
      cause,
    );
  }
  // An encrypted key that nobody could unlock explains a refused login better than the keys that were tried.
  const [locked] = identities.unusable;
  if (locked !== undefined) return locked;
  if (keys.tried.length === 0) return noIdentity(alias, cause);
  return new Failure('login-refused', { address, user, tried: keys.tried.join(', '), wants }, cause);
}

/** No key would do: one was accepted already (RFC 4252 section 5.1, partial success), or none ever is. */
function needsPerson(wants: readonly string[]): boolean {
  const asks = wants.includes('keyboard-interactive') || wants.includes('password');
  return asks && !wants.includes('publickey');
}

/** What stands among the algorithms and is none (RFC 8308 section 2.1, OpenSSH PROTOCOL section 1.10). */
const SIGNAL = /^(?:ext-info-|kex-strict-)/;

const KINDS = { kex: 'key exchange', hostKey: 'host key', cipher: 'cipher', mac: 'MAC' } as const;

function explainMismatch(
  kind: string,
  { address, algorithms, sniffed }: AttemptFacts,
  cause: object,
): Failure {
  const ours = {
    kex: algorithms.kex,
    hostKey: algorithms.serverHostKey,
    cipher: algorithms.cipher,
    mac: algorithms.hmac,
  };
  const list = (Object.keys(KINDS) as (keyof KexInit)[]).find((each) => kind.endsWith(KINDS[each]));
  const theirs = list && parseKexInit(sniffed)?.[list].filter((name) => !SIGNAL.test(name));
  return new Failure(
    'no-common-algorithm',
    {
      kind: list === undefined ? 'compression' : KINDS[list],
      address,
      theirs: theirs?.join(', ') ?? 'others',
      ours: (list === undefined ? algorithms.compress : ours[list]).join(', '),
      remedy: algorithmRemedy(theirs ?? []),
    },
    cause,
  );
}
