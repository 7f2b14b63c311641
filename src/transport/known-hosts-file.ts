/**
 * The lines of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), read as ssh reads them: what is no entry is
 * passed over.
 *
 * A file is never split as a whole on the way to a host. Lines are found by what they must contain, with the runtime's
 * own string search, and only those are looked at: 10,000 lines in two milliseconds, where splitting all takes thirty.
 */
import { createHmac } from 'node:crypto';
import { matchHostList } from '../host-pattern.ts';
import { splitWords } from '../words.ts';

/** A file's text, one character for each byte. */
export interface KnownHostsFile {
  /** What messages call it. */
  readonly file: string;
  readonly text: string;
}

/** A line with an entry for somebody. Its key may still turn out to be none. */
export interface EntryLine {
  readonly marker: Marker;
  readonly hosts: string;
  /** The type of key and the key as the line has them. */
  readonly type: string;
  readonly base64: string;
}

/** A line that is neither blank nor comment nor entry. */
export interface SkippedLine {
  /** From 1. */
  readonly line: number;
  readonly why: string;
}

/** A key that a line gives to somebody. */
export interface KnownKey {
  readonly marker: Marker;
  /** `ssh-ed25519`, `ssh-rsa`, ... as in the key itself. */
  readonly type: string;
  /** The key in wire format (RFC 4253 section 6.6). */
  readonly blob: Buffer;
}

type Marker = '@revoked' | '@cert-authority' | undefined;

/** How many fields the keys of a type consist of, the type included (RFC 4253 section 6.6, RFC 5656, RFC 8709). */
const KEY_FIELDS: Readonly<Record<string, number>> = {
  'ssh-ed25519': 2,
  'ssh-rsa': 3,
  'ssh-dss': 5,
  'ecdsa-sha2-nistp256': 3,
  'ecdsa-sha2-nistp384': 3,
  'ecdsa-sha2-nistp521': 3,
};

/** Signature algorithms of ssh-rsa keys (RFC 8332), which ssh takes for the type too. */
const RSA_SIGNATURES: readonly string[] = ['rsa-sha2-256', 'rsa-sha2-512'];

/** A field of a key is its length in four bytes, then as many bytes (RFC 4251 section 5). */
const LENGTH_BYTES = 4;

/** `|1|salt|HMAC-SHA1(salt, name)`, each 20 bytes in base64. */
const HASHED_NAME = /^\|1\|([A-Za-z0-9+/]{27}=)\|[A-Za-z0-9+/]{27}=$/;

/** Wraps a file's content; nothing of it is looked at yet. */
export function parseKnownHosts(content: string | Buffer, file: string): KnownHostsFile {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const text = bytes.toString('latin1');
  // For ssh a line ends at a NUL, as every C string does.
  return { file, text: text.includes('\0') ? text.replace(/\0[^\n]*/g, '') : text };
}

/** The entries in lines that contain one of `needles`, in order, with the offsets of their lines. */
export function* findEntries(
  { text }: KnownHostsFile,
  needles: readonly string[],
  options: { readonly anyCase?: boolean } = {},
): Generator<{ readonly entry: EntryLine; readonly offset: number }> {
  const searched = options.anyCase === true ? text.toLowerCase() : text;
  const hits = needles.map((needle) => ({ needle, at: searched.indexOf(needle) }));
  for (;;) {
    let at = -1;
    for (const hit of hits) if (hit.at !== -1 && (at === -1 || hit.at < at)) at = hit.at;
    if (at === -1) return;
    const offset = text.lastIndexOf('\n', at) + 1;
    const newline = text.indexOf('\n', at);
    const end = newline === -1 ? text.length : newline;
    const entry = splitLine(text.slice(offset, end));
    if (typeof entry === 'object') yield { entry, offset };
    if (newline === -1) return;
    for (const hit of hits)
      if (hit.at !== -1 && hit.at <= end) hit.at = searched.indexOf(hit.needle, end + 1);
  }
}

/** `FILE:LINE` of the line that begins at `offset`. */
export function formatPlace({ file, text }: KnownHostsFile, offset: number): string {
  return `${file}:${text.slice(0, offset).split('\n').length}`;
}

/** Whether the entry is about the host of this name, in lower case. Costs an HMAC if its names are hidden. */
export function namesHost({ hosts }: EntryLine, name: string): boolean {
  if (!hosts.startsWith('|')) return matchHostList(name, hosts);
  const salt = HASHED_NAME.exec(hosts)?.[1];
  return salt !== undefined && hashName(name, Buffer.from(salt, 'base64')) === hosts;
}

/** The name as HashKnownHosts of ssh_config(5) hides it; `salt` is 20 bytes. */
export function hashName(name: string, salt: Buffer): string {
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash}`;
}

/** The key of an entry, or what is wrong with it. */
export function readKey({ marker, type: word, base64 }: EntryLine): KnownKey | string {
  const blob = Buffer.from(base64, 'base64');
  // Node decodes anything; ssh does not.
  if (blob.toString('base64') !== base64) return 'the key is not in base64';
  const type = readKeyType(blob);
  if (type === undefined || !listTypeWords(type).includes(word))
    return 'the key is not of the type before it';
  const fields = KEY_FIELDS[type];
  if (fields !== undefined && !hasFields(blob, fields)) return 'the key is cut or damaged';
  return { marker, type, blob };
}

/** What may stand in a line before a key of this type. */
export function listTypeWords(type: string): readonly string[] {
  return type === 'ssh-rsa' ? [type, ...RSA_SIGNATURES] : [type];
}

/** The type of a key in wire format; undefined if that is no key. */
export function readKeyType(blob: Buffer): string | undefined {
  const end = findFieldEnd(blob, 0);
  const type = end === undefined ? '' : blob.toString('latin1', LENGTH_BYTES, end);
  return /^[\w.@-]+$/.test(type) ? type : undefined;
}

/** The lines that were meant to say something and do not, in order. Looks at every line. */
export function listSkippedLines({ text }: KnownHostsFile): SkippedLine[] {
  return text.split('\n').flatMap((each, index) => {
    const why = explainSkipped(each);
    return why === undefined ? [] : [{ line: index + 1, why }];
  });
}

function explainSkipped(line: string): string | undefined {
  const entry = splitLine(line);
  if (typeof entry !== 'object') return entry;
  if (entry.hosts.startsWith('|') && !HASHED_NAME.test(entry.hosts)) return 'malformed hashed name';
  const key = readKey(entry);
  return typeof key === 'string' ? key : undefined;
}

/** The entry in a line, what is wrong with it, or undefined if it is blank or a comment. */
function splitLine(line: string): EntryLine | string | undefined {
  const words = wordsOf(line);
  const [first] = words;
  if (first === undefined || first.startsWith('#')) return undefined;
  const marker = first.startsWith('@') ? words.shift() : undefined;
  if (marker !== undefined && marker !== '@revoked' && marker !== '@cert-authority') return 'unknown marker';
  const [hosts, type, base64] = words;
  if (hosts?.startsWith('@') === true) return 'more than one marker';
  return hosts === undefined || type === undefined || base64 === undefined
    ? 'no key'
    : { marker, hosts, type, base64 };
}

/** What is between blanks and tabs, without the CR of a CRLF. */
function wordsOf(line: string): string[] {
  const end = line.endsWith('\r') ? line.slice(0, -1) : line;
  const blanks = end.includes('\t') ? end.replaceAll('\t', ' ') : end;
  return splitWords(blanks);
}

function hasFields(blob: Buffer, count: number): boolean {
  let at: number | undefined = 0;
  for (let field = 0; field < count && at !== undefined; field++) at = findFieldEnd(blob, at);
  return at === blob.length;
}

/** Where the field that begins at `from` ends; undefined if that is not in `blob`. */
function findFieldEnd(blob: Buffer, from: number): number | undefined {
  if (from + LENGTH_BYTES > blob.length) return undefined;
  const end = from + LENGTH_BYTES + blob.readUInt32BE(from);
  return end > blob.length ? undefined : end;
}
