/**
 * The algorithms offered to a server, in order. ssh2 takes full lists only (a name it has by default cannot be moved
 * by its `prepend`).
 */
import type { AlgorithmList } from '../alias/alias.ts';

/**
 * Elliptic curves first. Finite-field Diffie-Hellman stays last, and off the standalone: its runtime (Bun) computes
 * it in 0.5 to 50 s, synchronously; on Node it takes milliseconds.
 */
const KEX_CURVES = [
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
] as const;
const KEX_FINITE_FIELD = [
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group18-sha512',
  'diffie-hellman-group14-sha256',
] as const;

/** AES-GCM first: one pass for encryption and integrity, in hardware on all but the smallest CPUs. */
const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
] as const;
/** Only where the runtime has the cipher: Bun has none. */
const CIPHER_CHACHA = 'chacha20-poly1305@openssh.com';

const MACS = [
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'hmac-sha1-etm@openssh.com',
  'hmac-sha2-256',
  'hmac-sha2-512',
  'hmac-sha1',
] as const;

/** True in the standalone executable, whose runtime lacks some of Node's cryptography. */
const ON_BUN = process.versions['bun'] !== undefined;

export interface Algorithms {
  readonly kex: readonly string[];
  readonly serverHostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly hmac: readonly string[];
  readonly compress: readonly string[];
}

/** What to offer for an alias; `hostKeys` is the ordered list that known_hosts suggests. */
export function chooseAlgorithms(
  alias: {
    readonly kexAlgorithms: AlgorithmList | undefined;
    readonly ciphers: AlgorithmList | undefined;
    readonly macs: AlgorithmList | undefined;
    readonly hostKeyAlgorithms: AlgorithmList | undefined;
    readonly compression: boolean;
  },
  hostKeys: readonly string[],
): Algorithms {
  return {
    kex: applyList(ON_BUN ? KEX_CURVES : [...KEX_CURVES, ...KEX_FINITE_FIELD], alias.kexAlgorithms),
    serverHostKey: applyList(hostKeys, alias.hostKeyAlgorithms),
    cipher: applyList(ON_BUN ? CIPHERS : [...CIPHERS, CIPHER_CHACHA], alias.ciphers),
    hmac: applyList(MACS, alias.macs),
    compress: alias.compression ? ['zlib@openssh.com', 'none'] : ['none'],
  };
}

/** ssh_config(5) Ciphers: a list replaces the default; `+` appends, `-` removes (wildcards too), `^` puts first. */
export function applyList(defaults: readonly string[], list: AlgorithmList | undefined): string[] {
  if (list === undefined) return [...defaults];
  const { mode, names } = list;
  if (mode === 'replace') return [...names];
  if (mode === 'append') return [...defaults, ...names.filter((name) => !defaults.includes(name))];
  if (mode === 'prepend') return [...names, ...defaults.filter((name) => !names.includes(name))];
  const patterns = names.map(
    (name) =>
      new RegExp(
        `^${name
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')}$`,
      ),
  );
  return defaults.filter((name) => !patterns.some((pattern) => pattern.test(name)));
}
