/** What setup is to do about one host: the mail host, or a gateway on the way to it. */
import { parseHostname, parseJumpHost, parseUser } from '../../alias/host-value.ts';
import type { PlannedKey } from './key.ts';
import type { Visit } from './visit.ts';

/** Where and as whom. */
export interface Place {
  readonly user: string | undefined;
  readonly host: string;
  /** Undefined: not given. */
  readonly port: number | undefined;
}

/** A host that setup has logged in to. */
export interface VisitedHost extends Visit {
  /** Of the alias. */
  readonly name: string;
  readonly role: 'mail' | 'gateway';
  /** What the alias file is to say about where and as whom; `HOSTNAME` may be left to ssh_config. */
  readonly keys: AliasKeys;
  /** Undefined: keys of the person's get in without a person, and stay what is used. */
  readonly key: PlannedKey | undefined;
}

/** Keys of an alias file; what is undefined is left out. */
export type AliasKeys = Readonly<Record<string, string | number | undefined>>;

/** `USER@HOST[:PORT]`, an IPv6 address in brackets; what is wrong with it. */
export function parsePlace(text: string): Place | { readonly wrong: string } {
  const wrong = { wrong: 'where and as whom is USER@HOST or USER@HOST:PORT' };
  const parsed = parseJumpHost(text, '');
  if (!('value' in parsed)) return wrong;
  const { host, user, port } = parsed.value;
  if (!('value' in parseHostname(host, ''))) return wrong;
  if (user !== undefined && !('value' in parseUser(user, ''))) return wrong;
  return { host, user, port };
}

/** What is wrong with the name of an alias, which becomes a file's name. */
export function whyNoAliasName(name: string): string | undefined {
  return /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)
    ? undefined
    : 'the name of an alias is lower case letters, digits and . _ -';
}

/** A name for a gateway's alias: `gate.example.org` -> `gate`. */
export function proposeName(host: string): string {
  const [label = ''] = /^[\d.:]+$/.test(host) ? ['gateway'] : host.toLowerCase().split('.');
  return label.replace(/[^a-z0-9_-]/g, '') || 'gateway';
}

/** The text of an alias file. Empty values are left out. */
export function formatAliasFile(comment: string, keys: AliasKeys): string {
  const lines = Object.entries(keys).flatMap(([key, value]) => {
    if (value === undefined || value === '') return [];
    const text = String(value);
    return [`${key}=${/^[\w@%+=:,./~-]+$/.test(text) ? text : quote(text)}`];
  });
  return [`# ${comment}`, ...lines, ''].join('\n');
}

/** dotenv knows no escapes within quotes: the kind that the value does not hold. */
function quote(text: string): string {
  return text.includes("'") ? `"${text}"` : `'${text}'`;
}
