/**
 * What known_hosts files say about a host. Pure: `host-key.ts` reads the files and decides what follows.
 *
 * The verdicts are those of OpenSSH 9.2 with StrictHostKeyChecking=yes, found by experiment; a test compares them
 * with the installed ssh. Where we differ we refuse more: `@revoked` before a tab counts (ssh overlooks such a line
 * if a blank comes later), and so does a key of a type unknown to us.
 *
 * A hashed name costs an HMAC to compare; 10,000 of them 17 ms on Bun and 50 ms on Node (an SHA-1 in JavaScript 22 and
 * 30 ms from a cold start: not worth its lines). So a key is looked for before its host, which leaves one or two
 * names to compare; and who only wants types of keys asks about no line whose type is known already.
 */
import { randomBytes } from 'node:crypto';
import {
  type EntryLine,
  findEntries,
  formatPlace,
  hashName,
  type KnownHostsFile,
  type KnownKey,
  listTypeWords,
  namesHost,
  readKey,
  readKeyType,
} from './known-hosts-file.ts';

/** A key that the files give to the host in question. */
export interface HostKey extends KnownKey {
  readonly in: KnownHostsFile;
  /** Where its line begins. */
  readonly offset: number;
}

/** What the files say about a key that a host sent. Places are `FILE:LINE`. */
export type HostKeyVerdict =
  | { readonly kind: 'match'; readonly place: string }
  /** No entry for this host. */
  | { readonly kind: 'unknown' }
  /** Known by another key of the same type. */
  | { readonly kind: 'changed'; readonly place: string }
  /** Known by keys of other types only. */
  | { readonly kind: 'other-type'; readonly place: string; readonly types: readonly string[] }
  | { readonly kind: 'revoked'; readonly place: string };

/** The names to look a host up by, in this order. */
export type HostNames = readonly [name: string, plainName?: string];

/** sshd's port (RFC 4253 section 4.1), which known_hosts leaves out. */
const SSH_PORT = 22;

/** What may stand in an entry as it is; a name with anything else (a wildcard, a comma) is written hashed. */
const PLAIN_NAME = /^[\w.:%+[\]-]+$/;

const SALT_BYTES = 20;

/**
 * The names of a host: `host`, or `[host]:port` and, should that have no entry, `host`. HOST_KEY_ALIAS takes the place
 * of all this. Always in lower case, HOST_KEY_ALIAS too, as in ssh.
 */
export function nameHost(host: string, port: number, hostKeyAlias?: string): HostNames {
  if (hostKeyAlias !== undefined) return [hostKeyAlias.toLowerCase()];
  const name = host.toLowerCase();
  return port === SSH_PORT ? [name] : [`[${name}]:${port}`, name];
}

/** Judges a key that a host sent, as check_host_key() of ssh does. */
export function judgeHostKey(
  files: readonly KnownHostsFile[],
  [name, plainName]: HostNames,
  blob: Buffer,
): HostKeyVerdict {
  const verdict = judgeSameKey(files, name, blob);
  if (verdict !== undefined) return verdict;
  const keys = listHostKeys(files, name).filter(({ marker }) => marker === undefined);
  const [first] = keys;
  if (first !== undefined) {
    const changed = keys.find(({ type }) => type === readKeyType(blob));
    if (changed !== undefined) return { kind: 'changed', place: placeOf(changed) };
    return { kind: 'other-type', place: placeOf(first), types: [...new Set(keys.map(({ type }) => type))] };
  }
  // An entry without port vouches for its key on every port. Its other keys mean nothing here: another sshd has them.
  return (plainName !== undefined && judgeSameKey(files, plainName, blob)) || { kind: 'unknown' };
}

/** Where this very key is revoked for the host, under any of its names. */
export function findRevocation(
  files: readonly KnownHostsFile[],
  names: HostNames,
  blob: Buffer,
): string | undefined {
  for (const name of names) {
    const verdict = name === undefined ? undefined : judgeSameKey(files, name, blob);
    if (verdict?.kind === 'revoked') return verdict.place;
  }
  return undefined;
}

/** All keys under this one name, whatever their marker, in the order of the files. */
export function listHostKeys(files: readonly KnownHostsFile[], name: string): HostKey[] {
  return [...findHostKeys(files, name, () => true)];
}

/**
 * The types of the keys a host is known by; revoked keys and authorities do not count.
 *
 * @param wanted the types that matter: hidden names are looked at for the sake of these only
 */
export function listKeyTypes(
  files: readonly KnownHostsFile[],
  names: HostNames,
  wanted: readonly string[],
): string[] {
  const types = new Set<string>();
  for (const name of names) {
    if (name === undefined || types.size > 0) continue;
    const withRevoked = files.filter(({ text }) => text.includes('@revoked'));
    const revoked = [...findHostKeys(withRevoked, name, ({ marker }) => marker === '@revoked')];
    const isNews = (entry: EntryLine): boolean => entry.marker === undefined && !types.has(entry.type);
    const note = (keys: Iterable<HostKey>): void => {
      for (const { type, blob } of keys) {
        if (!revoked.some((key) => key.blob.equals(blob))) types.add(type);
      }
    };
    // Names that can be read first: what they tell, no hidden one has to be asked for.
    note(findHostKeys(files, name, isNews, [name, ...PATTERNS]));
    const missing = wanted.filter((type) => !types.has(type)).flatMap(listTypeWords);
    note(findHiddenKeys(files, name, isNews, missing));
  }
  return [...types];
}

/**
 * An entry for `name` (of `nameHost`), without newline. `hashed` hides the name from readers of the file.
 *
 * @throws {TypeError} if `blob` is no key
 */
export function formatKnownHostsLine(name: string, blob: Buffer, { hashed = false } = {}): string {
  const type = readKeyType(blob);
  if (type === undefined) throw new TypeError('not a key in wire format');
  const shown = hashed || !PLAIN_NAME.test(name) ? hashName(name, randomBytes(SALT_BYTES)) : name;
  return `${shown} ${type} ${blob.toString('base64')}`;
}

/** What must be written behind `text` to add a line: its last line may lack the newline. */
export function formatAppended(text: string, line: string): string {
  return `${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;
}

/** Whether the file's owner wants names hidden (ssh_config(5) HashKnownHosts): some are already. */
export function hidesNames({ text }: KnownHostsFile): boolean {
  return text.startsWith('|1|') || text.includes('\n|1|');
}

/** What entries with this very key say; undefined: nothing. */
function judgeSameKey(
  files: readonly KnownHostsFile[],
  name: string,
  blob: Buffer,
): HostKeyVerdict | undefined {
  const base64 = blob.toString('base64');
  const same = files.flatMap((file) => [
    ...readHostKeys(file, findEntries(file, [base64]), name, (entry) => entry.base64 === base64),
  ]);
  const revoked = same.find(({ marker }) => marker === '@revoked');
  if (revoked !== undefined) return { kind: 'revoked', place: placeOf(revoked) };
  const match = same.find(({ marker }) => marker === undefined);
  return match === undefined ? undefined : { kind: 'match', place: placeOf(match) };
}

/** Entries with a pattern, or with hidden names, may be about any host. */
const PATTERNS: readonly string[] = ['*', '?'];
const HIDDEN = '|';

function* findHostKeys(
  files: readonly KnownHostsFile[],
  name: string,
  isWanted: (entry: EntryLine) => boolean,
  needles: readonly string[] = [name, ...PATTERNS, HIDDEN],
): Generator<HostKey> {
  for (const file of files) {
    yield* readHostKeys(file, findEntries(file, needles, { anyCase: true }), name, isWanted);
  }
}

/** The keys under hidden names, in lines that contain one of `needles`. */
function* findHiddenKeys(
  files: readonly KnownHostsFile[],
  name: string,
  isWanted: (entry: EntryLine) => boolean,
  needles: readonly string[],
): Generator<HostKey> {
  const isHidden = (entry: EntryLine): boolean => entry.hosts.startsWith(HIDDEN) && isWanted(entry);
  for (const file of files) yield* readHostKeys(file, findEntries(file, needles), name, isHidden);
}

/** The keys of those entries that are wanted, which is cheap to tell and therefore asked first, and name the host. */
function* readHostKeys(
  file: KnownHostsFile,
  entries: ReturnType<typeof findEntries>,
  name: string,
  isWanted: (entry: EntryLine) => boolean,
): Generator<HostKey> {
  for (const { entry, offset } of entries) {
    if (!isWanted(entry) || !namesHost(entry, name)) continue;
    const key = readKey(entry);
    if (typeof key !== 'string') yield { ...key, in: file, offset };
  }
}

function placeOf({ in: file, offset }: HostKey): string {
  return formatPlace(file, offset);
}
