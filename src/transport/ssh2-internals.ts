/**
 * The only file that goes beyond ssh2's documented interface. Each function looks first whether ssh2 is built as it
 * expects, and says so if not; its caller then goes the documented way.
 */
import ssh2 from 'ssh2';
// @ts-expect-error: not part of its declared interface
import constants from 'ssh2/lib/protocol/constants.js';
import { encodeStrings, WireReader } from './ssh-wire.ts';

const { utils } = ssh2;

/** What ssh2 can do on this runtime. */
export interface SupportedAlgorithms {
  readonly kex: readonly string[];
  readonly serverHostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly hmac: readonly string[];
}

/** Undefined where ssh2 does not tell: then it will throw at a name that it does not know. */
export function supportedAlgorithms(): SupportedAlgorithms | undefined {
  const lists = constants as Readonly<Record<string, unknown>>;
  const found = ['KEX', 'SERVER_HOST_KEY', 'CIPHER', 'MAC'].map((name) => lists[`SUPPORTED_${name}`]);
  if (!found.every((list) => Array.isArray(list) && list.every((name) => typeof name === 'string'))) {
    return undefined;
  }
  const [kex, serverHostKey, cipher, hmac] = found as readonly (readonly string[])[];
  return { kex, serverHostKey, cipher, hmac } as SupportedAlgorithms;
}

/** RFC 8332: one RSA key, two ways to sign. */
export const RSA_HASHES = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' } as const;

/**
 * The same RSA key, bound to one way to sign. ssh2 itself offers only one of them, by what the server says it knows,
 * and sshd says what it knows, not what PubkeyAcceptedAlgorithms leaves of that.
 *
 * @returns undefined if ssh2 does not take such a key
 */
export function bindRsaKey(
  key: ssh2.ParsedKey,
  algorithm: keyof typeof RSA_HASHES,
): ssh2.ParsedKey | undefined {
  return disguise(key, {
    type: { value: algorithm },
    sign: { value: (data: Buffer): Buffer => key.sign(data, RSA_HASHES[algorithm]) },
  });
}

/** Any key: only its place in the chain of prototypes matters, by which ssh2 knows its own. */
const SOME_KEY = utils.parseKey(
  `ssh-ed25519 ${encodeStrings('ssh-ed25519', Buffer.alloc(32)).toString('base64')}`,
);

/**
 * A public key of a type that ssh2 does not know (FIDO keys, certificates), to be offered in the name of an agent.
 *
 * @returns undefined if ssh2 does not take such a key
 */
export function makePublicKey(algorithm: string, blob: Buffer): ssh2.ParsedKey | undefined {
  if (SOME_KEY instanceof Error) return undefined;
  return disguise(SOME_KEY, { type: { value: algorithm }, getPublicSSH: { value: () => blob } });
}

function disguise(key: ssh2.ParsedKey, changes: PropertyDescriptorMap): ssh2.ParsedKey | undefined {
  const disguised = Object.create(key, changes) as ssh2.ParsedKey;
  return utils.parseKey(disguised) === disguised ? disguised : undefined;
}

interface ProtocolShape {
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number;
      alloc(size: number): Uint8Array;
      finalize(packet: Uint8Array): Uint8Array;
    };
  };
  readonly _cipher: { encrypt(packet: Uint8Array): void };
  readonly _authsQueue: string[];
  readonly _kexinit: unknown;
}

/**
 * Sends a signed request for publickey authentication (RFC 4252 section 7) whose signature has more parts than ssh2
 * would write.
 *
 * @param signed what was signed: the session id, then the request itself
 * @param signature the signature as the agent gave it, its type first
 * @returns false if ssh2 is built otherwise; nothing was sent then
 */
export function sendSignedRequest(client: ssh2.Client, signed: Buffer, signature: Buffer): boolean {
  const protocol = (client as unknown as { _protocol?: unknown })._protocol;
  // During a new key exchange packets wait, and ssh2 would have to be told.
  if (!isProtocol(protocol) || protocol._kexinit !== undefined) return false;
  const reader = new WireReader(signed);
  reader.string();
  const payload = Buffer.concat([reader.rest(), encodeStrings(signature)]);
  const { write } = protocol._packetRW;
  const packet = write.alloc(payload.length);
  packet.set(payload, write.allocStart);
  protocol._authsQueue.push('publickey');
  protocol._cipher.encrypt(write.finalize(packet));
  return true;
}

function isProtocol(value: unknown): value is ProtocolShape {
  const shape = value as Partial<ProtocolShape> | undefined;
  const write = shape?._packetRW?.write;
  return (
    typeof write?.allocStart === 'number' &&
    typeof write.alloc === 'function' &&
    typeof write.finalize === 'function' &&
    typeof shape?._cipher?.encrypt === 'function' &&
    Array.isArray(shape._authsQueue)
  );
}

/**
 * Sends a signal to a remote command (RFC 4254 section 6.9) even after its input has ended, when ssh2's own `signal`
 * does nothing: a command that ignores EOF must be reached all the same.
 *
 * @returns false if ssh2 is not built as expected; nothing was sent then
 */
export function signalAfterEof(channel: ssh2.ClientChannel, name: string): boolean {
  const { outgoing, _client } = channel as unknown as {
    outgoing?: { id?: unknown; state?: unknown };
    _client?: { _protocol?: { signal?: (id: number, name: string) => void } };
  };
  const protocol = _client?._protocol;
  if (typeof protocol?.signal !== 'function' || typeof outgoing?.id !== 'number') return false;
  if (outgoing.state !== 'eof') return false;
  protocol.signal(outgoing.id, name);
  return true;
}
