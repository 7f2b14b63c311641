/**
 * The algorithms offered to a server, in order. ssh2 takes full lists only (a name it has by default cannot be moved
 * by its `prepend`), and throws at a name that it does not know.
 */
import type { AlgorithmList, Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import type { SupportedAlgorithms } from './ssh2-internals.ts';

/**
 * Elliptic curves first. Finite-field Diffie-Hellman stays last, and off the standalone: its runtime (Bun) computes
 * it in 0.5 to 50 s, synchronously; on Node it takes milliseconds. KEX_ALGORITHMS can name it all the same.
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
  'diffie-hellman-group-exchange-sha256',
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

/** What the Node build offers and the standalone does not. */
const NODE_ONLY: readonly string[] = [...KEX_FINITE_FIELD, CIPHER_CHACHA];

/** For ssh2. */
export interface Algorithms {
  readonly kex: readonly string[];
  readonly serverHostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly hmac: readonly string[];
  readonly compress: readonly string[];
}

/** The keys of an alias that algorithms depend on. */
export type AlgorithmChoice = Pick<
  Alias,
  'name' | 'kexAlgorithms' | 'ciphers' | 'macs' | 'hostKeyAlgorithms' | 'compression'
>;

/**
 * What to offer for an alias.
 *
 * @param hostKeys the ordered list that known_hosts suggests
 * @param supported what ssh2 knows on this runtime; undefined: whatever the alias names
 * @param onUnknown told which names of a key are left out because ssh2 does not know them
 * @throws {Failure} `algorithms-unknown` where nothing is left of a list
 */
export function chooseAlgorithms(
  alias: AlgorithmChoice,
  hostKeys: readonly string[],
  supported?: SupportedAlgorithms,
  onUnknown: (key: string, names: readonly string[]) => void = () => {},
): Algorithms {
  const choose = (
    key: string,
    defaults: readonly string[],
    list: AlgorithmList | undefined,
    known: readonly string[] | undefined,
  ): readonly string[] => {
    const unknown = list === undefined ? [] : findUnknown(list, known);
    if (unknown.length > 0) onUnknown(key, unknown);
    const names = applyList(defaults, list, known);
    if (names.length > 0) return names;
    const written = list?.names.join(',') ?? '';
    throw new Failure('algorithms-unknown', { key, alias: alias.name, names: written });
  };
  const kex = ON_BUN ? KEX_CURVES : [...KEX_CURVES, ...KEX_FINITE_FIELD];
  const ciphers = ON_BUN ? CIPHERS : [...CIPHERS, CIPHER_CHACHA];
  return {
    kex: choose('KEX_ALGORITHMS', kex, alias.kexAlgorithms, supported?.kex),
    serverHostKey: choose('HOST_KEY_ALGORITHMS', hostKeys, alias.hostKeyAlgorithms, supported?.serverHostKey),
    cipher: choose('CIPHERS', ciphers, alias.ciphers, supported?.cipher),
    hmac: choose('MACS', MACS, alias.macs, supported?.hmac),
    compress: alias.compression ? ['zlib@openssh.com', 'none'] : ['none'],
  };
}

/** The way out where a server offers only `theirs`. */
export function algorithmRemedy(theirs: readonly string[]): string {
  const system = 'TRANSPORT=openssh uses the algorithms of the system ssh';
  if (!ON_BUN || !theirs.some((name) => NODE_ONLY.includes(name))) return system;
  return `pine-rsh.mjs, the build for Node, has one of them; ${system}`;
}

/**
 * ssh_config(5) Ciphers: a list replaces the default; `+` appends, `-` removes, `^` puts first. Names may be patterns
 * with `*` and `?`: for `-` of what is removed, else of what is known.
 */
export function applyList(
  defaults: readonly string[],
  list: AlgorithmList | undefined,
  known?: readonly string[],
): string[] {
  if (list === undefined) return [...defaults];
  const { mode, names } = list;
  if (mode === 'remove') {
    const patterns = names.map(toPattern);
    return defaults.filter((name) => !patterns.some((pattern) => pattern.test(name)));
  }
  const wanted = names.flatMap((name) => expandName(name, known));
  const before = mode === 'append' ? defaults : [];
  const behind = mode === 'prepend' ? defaults : [];
  return [...new Set([...before, ...wanted, ...behind])];
}

function findUnknown({ mode, names }: AlgorithmList, known: readonly string[] | undefined): string[] {
  return mode === 'remove' ? [] : names.filter((name) => expandName(name, known).length === 0);
}

function expandName(name: string, known: readonly string[] | undefined): readonly string[] {
  if (known === undefined) return [name];
  const pattern = toPattern(name);
  return known.filter((each) => pattern.test(each));
}

function toPattern(name: string): RegExp {
  const source = name
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}
