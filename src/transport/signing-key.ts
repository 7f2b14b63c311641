/**
 * A key to log in with, whatever signs with it: a file that lies open, one that is unlocked only when the server has
 * said that it takes the key, or an agent. Turned here into what ssh2's `authHandler` wants.
 */
import ssh2 from 'ssh2';
import { toError } from '../errors.ts';
import { AGENT_RSA_FLAGS, type AgentKey } from './agent.ts';
import type { Attempt } from './attempt.ts';
import { formatFingerprint } from './host-key.ts';
import { WireReader } from './ssh-wire.ts';
import { bindRsaKey, makePublicKey, RSA_HASHES, sendSignedRequest } from './ssh2-internals.ts';

const { BaseAgent, utils } = ssh2;

/** What `authHandler` may give to ssh2. */
export type AuthMethod = ssh2.PublicKeyAuthMethod | ssh2.AgentAuthMethod;

/** The login that a key is offered in. */
export interface LoginContext {
  readonly user: string;
  readonly client: ssh2.Client;
  readonly attempt: Attempt;
  /** Told why a key that the server would take cannot sign; the login goes on with the next one. */
  readonly onUnusable: (error: unknown) => void;
  /** Told of each key, once, before it is offered. */
  readonly onOffer?: (label: string) => void;
}

export interface Identity {
  /** For messages: a file, or an agent's comment. */
  readonly label: string;
  /** As ssh-keygen -l prints it. */
  readonly fingerprint: string;
  /** The ways to offer it, best first; more than one only for RSA. */
  readonly algorithms: readonly string[];
  /** Signing asks nobody and takes no time, so that it need not wait until the server wants the key. */
  readonly signsFreely: boolean;
  method(algorithm: string, login: LoginContext): AuthMethod;
}

/** As an algorithm it leaves the hash to ssh2. */
export const RSA_TYPE = 'ssh-rsa';

/** `ssh-rsa` leaves the choice to ssh2, which goes by what the server announces. */
function algorithmsOf(type: string): readonly string[] {
  return type === RSA_TYPE ? [RSA_TYPE, ...Object.keys(RSA_HASHES)] : [type];
}

function bind(key: ssh2.ParsedKey, algorithm: string): ssh2.ParsedKey {
  return algorithm in RSA_HASHES ? (bindRsaKey(key, algorithm as keyof typeof RSA_HASHES) ?? key) : key;
}

/** A private key at hand. */
export function openIdentity(label: string, key: ssh2.ParsedKey): Identity {
  return {
    label,
    fingerprint: formatFingerprint(key.getPublicSSH()),
    algorithms: algorithmsOf(key.type),
    signsFreely: true,
    method: (algorithm, { user }) => ({ type: 'publickey', username: user, key: bind(key, algorithm) }),
  };
}

/**
 * A private key whose public half is known. `unlock` is called once at most, and only for a server that takes the key.
 *
 * @returns undefined for a type of key that ssh2 does not know
 */
export function lockedIdentity(
  label: string,
  publicBlob: Buffer,
  unlock: (attempt: Attempt) => Promise<ssh2.ParsedKey>,
): Identity | undefined {
  const publicKey = utils.parseKey(publicBlob);
  if (publicKey instanceof Error) return undefined;
  let unlocked: Promise<ssh2.ParsedKey> | undefined;
  return {
    label,
    fingerprint: formatFingerprint(publicBlob),
    algorithms: algorithmsOf(publicKey.type),
    signsFreely: false,
    method: (algorithm, login) => {
      const key = bind(publicKey, algorithm);
      const signer = new Signer(key, login, async (data, hash) => {
        unlocked ??= login.attempt.waitForPerson(() => unlock(login.attempt));
        return (await unlocked).sign(data, hash);
      });
      return { type: 'agent', username: login.user, agent: signer };
    },
  };
}

/** Certificates sign by the way of the key below them; the agent knows which. */
const CERTIFICATE = /-cert-v01@openssh\.com$/;
const RSA_CERTIFICATE = 'ssh-rsa-cert-v01@openssh.com';

/**
 * A key in an agent.
 *
 * @returns undefined for a type of key that cannot be offered through ssh2
 */
export function agentIdentity(label: string, key: AgentKey): Identity | undefined {
  const parsed = utils.parseKey(key.blob);
  const plain = parsed instanceof Error || CERTIFICATE.test(key.type) ? undefined : parsed;
  if (plain === undefined && !key.type.startsWith('sk-') && !CERTIFICATE.test(key.type)) return undefined;
  const certified = key.type === RSA_CERTIFICATE ? 'rsa-sha2-512-cert-v01@openssh.com' : key.type;
  const offered = plain ?? makePublicKey(certified, key.blob);
  if (offered === undefined) return undefined;
  return {
    label,
    fingerprint: formatFingerprint(key.blob),
    algorithms: plain === undefined ? [certified] : algorithmsOf(plain.type),
    signsFreely: false,
    method: (algorithm, login) => {
      const { attempt, client, user } = login;
      const signer = new Signer(bind(offered, algorithm), login, async (data, hash) => {
        const flags = plain === undefined ? rsaCertificateFlags(key.type) : flagsOf(hash);
        const signature = await attempt.waitForAgent(label, () => key.sign(data, flags, attempt.signal));
        if (plain !== undefined) return withoutType(signature);
        if (!sendSignedRequest(client, data, signature)) throw new Error('TRANSPORT=ssh2 cannot send it');
        return undefined;
      });
      return { type: 'agent', username: user, agent: signer };
    },
  };
}

function flagsOf(hash: string | undefined): number {
  return hash === 'sha256' || hash === 'sha512' ? AGENT_RSA_FLAGS[hash] : 0;
}

function rsaCertificateFlags(type: string): number {
  return type === RSA_CERTIFICATE ? AGENT_RSA_FLAGS.sha512 : 0;
}

/** ssh2 puts the type back. */
function withoutType(signature: Buffer): Buffer {
  const reader = new WireReader(signature);
  reader.string();
  return reader.string();
}

/** Undefined: the signature was sent already. */
type Sign = (data: Buffer, hash: string | undefined) => Promise<Buffer | undefined>;

/** For ssh2 an agent that holds one key: agents are what it waits for. */
class Signer extends BaseAgent<ssh2.ParsedKey> {
  readonly #key: ssh2.ParsedKey;
  readonly #login: LoginContext;
  readonly #sign: Sign;

  constructor(key: ssh2.ParsedKey, login: LoginContext, sign: Sign) {
    super();
    this.#key = key;
    this.#login = login;
    this.#sign = sign;
  }

  override getIdentities(callback: ssh2.IdentityCallback<ssh2.ParsedKey>): void {
    callback(undefined, [this.#key]);
  }

  override sign(
    key: ssh2.ParsedKey,
    data: Buffer,
    options: ssh2.SigningRequestOptions | ssh2.SignCallback,
    callback?: ssh2.SignCallback,
  ): void {
    const done = typeof options === 'function' ? options : (callback ?? (() => {}));
    const chosen = typeof options === 'function' ? undefined : options.hash;
    const hash = key.type in RSA_HASHES ? RSA_HASHES[key.type as keyof typeof RSA_HASHES] : chosen;
    const { onUnusable, client } = this.#login;
    this.#sign(data, hash)
      .then(
        (signature) => {
          if (signature !== undefined) done(undefined, signature);
        },
        (error: unknown) => {
          onUnusable(error);
          done(toError(error));
        },
      )
      // What ssh2 throws while it goes on has no other way out.
      .catch((error: unknown) => client.emit('error', error as Error));
  }
}
