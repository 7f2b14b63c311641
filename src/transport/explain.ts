/** What ssh2 says went wrong -> a `Failure` that says it to a person. ssh2's errors are plain texts and levels. */
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import type { Algorithms } from './algorithms.ts';
import type { IdentitySet } from './identity.ts';
import { type KexInit, parseKexInit } from './kexinit.ts';

/** What is known about an attempt when it fails. */
export interface AttemptFacts {
  readonly address: string;
  readonly alias: Alias;
  readonly algorithms: Algorithms;
  /** Holds the verdict on the host key, if one was given. */
  readonly verifier: { readonly failure: Failure | undefined };
  readonly keys: { readonly tried: readonly string[]; readonly wants: readonly string[] };
  readonly identities: IdentitySet;
  /** The server's first bytes. */
  readonly sniffed: Buffer;
}

/** Never throws; an error it does not know becomes `connection-lost` with ssh2's own words. */
export function explainSshError(error: Error, facts: AttemptFacts): Failure {
  const { address, alias, keys, identities, verifier } = facts;
  const cause = { cause: error };
  if (verifier.failure !== undefined) return verifier.failure;
  const mismatch = /no matching (key exchange|host key|.*cipher|.*MAC|.*compression)/.exec(error.message);
  if (mismatch !== null) return explainMismatch(mismatch[1] as string, facts, cause);
  if (
    (error as { level?: string }).level === 'client-authentication' ||
    /Too many authentication failures/i.test(error.message)
  ) {
    // An encrypted key that nobody could unlock explains a refused login better than the keys that were tried.
    const [locked] = identities.unusable;
    if (locked !== undefined) return locked;
    return new Failure(
      'login-refused',
      {
        address,
        user: alias.user,
        tried: keys.tried.join(', ') || 'none',
        wants: keys.wants.join(', ') || 'another way to log in',
      },
      cause,
    );
  }
  if (/before handshake/.test(error.message)) {
    return new Failure('connection-lost', { address, why: 'it was closed before the key exchange' }, cause);
  }
  if (/identification|Invalid header|Bad packet length/i.test(error.message)) {
    return new Failure('not-ssh', { address, why: error.message }, cause);
  }
  return new Failure('connection-lost', { address, why: error.message }, cause);
}

function explainMismatch(
  kind: string,
  { address, algorithms, sniffed }: AttemptFacts,
  cause: object,
): Failure {
  const list: keyof KexInit = kind.startsWith('key')
    ? 'kex'
    : kind.startsWith('host')
      ? 'hostKey'
      : kind.endsWith('cipher')
        ? 'cipher'
        : 'mac';
  const ours = {
    kex: algorithms.kex,
    hostKey: algorithms.serverHostKey,
    cipher: algorithms.cipher,
    mac: algorithms.hmac,
  }[list];
  const theirs = parseKexInit(sniffed)?.[list];
  return new Failure(
    'no-common-algorithm',
    {
      kind: { kex: 'key exchange', hostKey: 'host key', cipher: 'cipher', mac: 'MAC' }[list],
      address,
      theirs: theirs?.join(',') ?? 'others',
      ours: ours.join(','),
    },
    cause,
  );
}
