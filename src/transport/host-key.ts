/**
 * Whether a host is the one the user means: reads the known_hosts files, judges the key the host sends, and writes
 * down new keys where STRICT_HOST_KEY_CHECKING=accept-new allows it. There is no way to leave the check out.
 */
import { createHash } from 'node:crypto';
import type { Alias } from '../alias/alias.ts';
import { findTrustedFile } from '../alias/trusted-file.ts';
import { Failure, toFailure } from '../errors.ts';
import { KNOWN_HOSTS_FILE_MAX } from '../limits.ts';
import type { Log } from '../log.ts';
import {
  findRevocation,
  type HostNames,
  judgeHostKey,
  listHostKeys,
  listKeyTypes,
  nameHost,
} from './known-hosts.ts';
import { type KnownHostsFile, listSkippedLines, parseKnownHosts, readKeyType } from './known-hosts-file.ts';
import { recordHostKey } from './known-hosts-writer.ts';

/** The part of an alias that host keys depend on. */
export type HostKeyPolicy = Pick<
  Alias,
  | 'name'
  | 'hostname'
  | 'port'
  | 'knownHosts'
  | 'strictHostKeyChecking'
  | 'hostKeyAlias'
  | 'hostKeyFingerprint'
>;

/** Where the check runs. */
export interface HostKeyContext {
  readonly settings: { readonly uid: number };
  readonly log: Pick<Log, 'record'>;
}

/** Why a key was accepted. */
export type AcceptedHostKey = 'known' | 'pinned' | 'new';

/** The check of one connection. */
export interface HostVerifier {
  /**
   * For ssh2's `hostVerifier`, for which everything but `false` means yes (`undefined` and promises too): true or
   * false, and never throws. A key that a connection changes on the way is refused.
   */
  readonly verify: (blob: Buffer) => boolean;
  /** Why `verify` said no. */
  readonly failure: Failure | undefined;
  /**
   * Writes an accepted new key into the first known_hosts file. To be called after the handshake: ssh2 asks `verify`
   * before the host has proven that the key is its own. Never throws; a file that cannot be written is logged.
   */
  recordNewKey(): void;
}

/** What we offer, best first, with the type of key that signs (RFC 8332: ssh-rsa keys sign with SHA-2). */
const ALGORITHMS: readonly (readonly [algorithm: string, keyType: string])[] = [
  ['ssh-ed25519', 'ssh-ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
  ['ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp384'],
  ['ecdsa-sha2-nistp521', 'ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'ssh-rsa'],
  ['rsa-sha2-256', 'ssh-rsa'],
];

/** The types of keys that can be checked. */
export const KEY_TYPES: readonly string[] = [...new Set(ALGORITHMS.map(([, type]) => type))];

/** What people name when no file shall count. It is no regular file, and anybody can write to it. */
const NO_FILE = '/dev/null';

/**
 * Reads the files of KNOWN_HOSTS; one that does not exist is left out. Whoever can write to such a file can vouch for
 * any host, so all that is read here is checked for owner and mode first, as alias files are.
 *
 * @throws {Failure} `file-unreadable`, `file-untrusted`, `file-unusable`
 */
export function readKnownHosts(
  policy: Pick<HostKeyPolicy, 'knownHosts'>,
  { settings }: Pick<HostKeyContext, 'settings'>,
): KnownHostsFile[] {
  return policy.knownHosts.flatMap((file) => {
    if (file === NO_FILE) return [];
    const content = findTrustedFile(file, {
      uid: settings.uid,
      maxBytes: KNOWN_HOSTS_FILE_MAX,
      namedBy: 'KNOWN_HOSTS',
    });
    return content === undefined ? [] : [parseKnownHosts(content, file)];
  });
}

/**
 * All algorithms to offer for the host key. Those of keys that known_hosts has come first, as ssh orders them: a
 * server with several keys shall send one that can be checked.
 */
export function hostKeyAlgorithms(policy: HostKeyPolicy, files: readonly KnownHostsFile[]): string[] {
  const names = namesOf(policy);
  const first = [findPinnedType(policy, files, names), ...listKeyTypes(files, names, KEY_TYPES)];
  const rank = (type: string): number => {
    // A pin allows one key only, whatever else known_hosts has.
    if (first[0] === type) return 0;
    return first.includes(type) ? 1 : 2;
  };
  return ALGORITHMS.toSorted(([, a], [, b]) => rank(a) - rank(b)).map(([algorithm]) => algorithm);
}

/**
 * Judges the key (in wire format) that the alias's host sent.
 *
 * HOST_KEY_FINGERPRINT allows exactly one key and needs no entry for it; `@revoked` counts all the same. accept-new
 * allows a key if the files hold no key of any type for the host.
 *
 * @throws {Failure} `host-key-unknown`, `host-key-changed`, `host-key-revoked`, `host-key-pin`
 */
export function checkHostKey(
  policy: HostKeyPolicy,
  files: readonly KnownHostsFile[],
  blob: Buffer,
): AcceptedHostKey {
  const host = nameHost(policy.hostname, policy.port)[0];
  const type = readKeyType(blob) ?? 'malformed key';
  const fingerprint = formatFingerprint(blob);
  if (policy.hostKeyFingerprint !== undefined) {
    const place = findRevocation(files, namesOf(policy), blob);
    if (place !== undefined) throw new Failure('host-key-revoked', { host, place });
    if (fingerprint === policy.hostKeyFingerprint) return 'pinned';
    throw new Failure('host-key-pin', { host, fingerprint });
  }
  const verdict = judgeHostKey(files, namesOf(policy), blob);
  if (verdict.kind === 'revoked') throw new Failure('host-key-revoked', { host, place: verdict.place });
  if (verdict.kind === 'match') return 'known';
  const facts = { host, alias: policy.name, type, fingerprint };
  if (verdict.kind !== 'unknown') throw new Failure('host-key-changed', { ...facts, place: verdict.place });
  if (policy.strictHostKeyChecking === 'accept-new') return 'new';
  throw new Failure('host-key-unknown', facts);
}

/** Prepares the check for one connection. */
export function createHostVerifier(
  policy: HostKeyPolicy,
  files: readonly KnownHostsFile[],
  context: HostKeyContext,
): HostVerifier {
  return new Verifier(policy, files, context);
}

class Verifier implements HostVerifier {
  failure: Failure | undefined;
  readonly #policy: HostKeyPolicy;
  readonly #files: readonly KnownHostsFile[];
  readonly #context: HostKeyContext;
  #accepted: { readonly blob: Buffer; readonly how: AcceptedHostKey } | undefined;

  constructor(policy: HostKeyPolicy, files: readonly KnownHostsFile[], context: HostKeyContext) {
    this.#policy = policy;
    this.#files = files;
    this.#context = context;
  }

  readonly verify = (blob: Buffer): boolean => {
    try {
      if (this.failure !== undefined) return false;
      this.#check(blob);
      return true;
    } catch (error) {
      this.failure = toFailure(error);
      return false;
    }
  };

  recordNewKey(): void {
    const [file] = this.#policy.knownHosts;
    if (this.#accepted?.how !== 'new' || file === undefined || file === NO_FILE) return;
    const { settings, log } = this.#context;
    const { blob } = this.#accepted;
    const fields = { alias: this.#policy.name, file, fingerprint: formatFingerprint(blob) };
    try {
      if (recordHostKey(file, namesOf(this.#policy), blob, settings.uid)) log.record('host-key-new', fields);
    } catch (error) {
      log.record('host-key-not-written', { ...fields, why: toFailure(error).message });
    }
  }

  #check(blob: Buffer): void {
    if (!Buffer.isBuffer(blob)) throw new TypeError('the host key is not a buffer');
    // Asked again for every new key exchange of the connection (RFC 4253 section 9).
    if (this.#accepted !== undefined) {
      if (this.#accepted.blob.equals(blob)) return;
      throw new Failure('host-key-changed', {
        host: this.#policy.hostname,
        alias: this.#policy.name,
        type: readKeyType(blob) ?? 'malformed key',
        fingerprint: formatFingerprint(blob),
        place: 'the beginning of this connection',
      });
    }
    try {
      // ssh2 may reuse the memory.
      this.#accepted = { blob: Buffer.from(blob), how: checkHostKey(this.#policy, this.#files, blob) };
    } catch (error) {
      this.#logSkipped();
      throw error;
    }
  }

  /** A damaged line may be the one that was meant. */
  #logSkipped(): void {
    for (const file of this.#files) {
      const skipped = listSkippedLines(file);
      const [first] = skipped;
      if (first === undefined) continue;
      const { log } = this.#context;
      log.record('known-hosts-skipped', { file: file.file, lines: skipped.length, ...first });
    }
  }
}

/** As ssh-keygen -l prints it: SHA256, base64 without padding. */
export function formatFingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

function namesOf({ hostname, port, hostKeyAlias }: HostKeyPolicy): HostNames {
  return nameHost(hostname, port, hostKeyAlias);
}

function findPinnedType(
  { hostKeyFingerprint: pin }: HostKeyPolicy,
  files: readonly KnownHostsFile[],
  names: HostNames,
): string | undefined {
  if (pin === undefined) return undefined;
  const keys = names.flatMap((name) => (name === undefined ? [] : listHostKeys(files, name)));
  return keys.find(({ blob }) => formatFingerprint(blob) === pin)?.type;
}
