/**
 * What a value of an alias file may be: parsers from its text to a typed value or to the reason why not. Pure; they
 * never repeat the text, which may be a secret. `keys.ts` says which key takes which.
 */
import { isAbsolute, join } from 'node:path';

/**
 * Why a value does not fit. `problem` is read behind the key's name (`PORT has a bad value`), `remedy` stands alone;
 * `wants` is a remedy that is read behind the key's name and `is`.
 */
export type Misfit = { readonly problem: string; readonly remedy: string } | { readonly wants: string };

export type Parsed<T> = { readonly value: T } | Misfit;

/** `home` is what `~` stands for. */
export type ValueParser<T> = (text: string, home: string) => Parsed<T>;

/** A whole number from `min` to `max`. */
export function numberBetween(min: number, max: number): ValueParser<number> {
  const wants = `a number from ${min} to ${max}`;
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? { value } : { wants };
  };
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Seconds, written as in sshd_config(5) TIME FORMATS: `90`, `90s`, `10m`, `1h30m`. Bounds are such texts too. */
export function timeBetween(min: string, max: string): ValueParser<number> {
  const least = readTime(min);
  const most = readTime(max);
  const wants = `a time such as 90, 90s, 10m or 1h30m, from ${min} to ${max}`;
  return (text) => {
    const value = readTime(text);
    return value >= least && value <= most ? { value } : { wants };
  };
}

/** Seconds of such a time; NaN for anything else. */
export function readTime(text: string): number {
  let total = 0;
  let start = 0;
  // Without regular expressions: every folder waits for a handful of these.
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at).toLowerCase();
    if (char >= '0' && char <= '9') continue;
    if (at === start) return Number.NaN;
    total += Number(text.slice(start, at)) * (SECONDS[char] ?? Number.NaN);
    start = at + 1;
  }
  // Only the last number may lack its unit.
  return text === '' ? Number.NaN : total + Number(text.slice(start));
}

/** ssh_config(5) takes `true` and `false` as well. */
export const parseYesNo: ValueParser<boolean> = (text) => {
  const word = text.toLowerCase();
  if (word === 'yes' || word === 'true') return { value: true };
  if (word === 'no' || word === 'false') return { value: false };
  return { wants: 'yes or no' };
};

/** One of a few words, in lower or upper case. */
export function oneOf<const T extends string>(...words: readonly T[]): ValueParser<T> {
  return (text) => {
    const word = text.toLowerCase() as T;
    return words.includes(word) ? { value: word } : { wants: words.join(' or ') };
  };
}

/** Comma separated; blanks around the commas do not count. */
export function listOf<T>(item: ValueParser<T>): ValueParser<readonly T[]> {
  return (text, home) => {
    const value: T[] = [];
    for (const part of text.split(',')) {
      const trimmed = part.trim();
      if (trimmed === '') return { problem: 'has an empty item', remedy: 'remove the comma too many' };
      const parsed = item(trimmed, home);
      if (!('value' in parsed)) return parsed;
      value.push(parsed.value);
    }
    return { value };
  };
}

/** `none` is what ssh_config(5) writes where an earlier value must be taken back; here it beats defaults.env. */
export function orNone<T, N>(none: N, parser: ValueParser<T>): ValueParser<T | N> {
  return (text, home) => (text.toLowerCase() === 'none' ? { value: none } : parser(text, home));
}

/** A file of this machine. */
export const parsePath: ValueParser<string> = (text, home) => {
  if (text === '~' || text.startsWith('~/')) return { value: join(home, text.slice(1)) };
  if (isAbsolute(text)) return { value: text };
  const problem = text.startsWith('~') ? "names another user's home" : 'is a relative path';
  return { problem, remedy: 'give an absolute path or one that starts with ~/' };
};

/** A command line for a shell. */
export const parseCommand: ValueParser<string> = (text) => ({ value: text });

/** A local command line in which `%h`, `%p` and `%r` stand for host, port and user, and `%%` for a percent sign. */
export const parseProxyCommand: ValueParser<string> = (text) => {
  if (/^(?:[^%]|%[hpr%])*$/.test(text)) return { value: text };
  return { problem: 'has an unknown % sequence', remedy: 'use %h, %p, %r, and %% for a percent sign' };
};

/** 32 bytes in base64 without padding: the last character has two spare bits, which are zero. */
const SHA256_BASE64 = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$/;

const SHA256_CHARACTERS = 43;

/** `SHA256:...` as `ssh-keygen -l` prints it; padding is taken off. */
export const parseFingerprint: ValueParser<string> = (text) => {
  const body = /^SHA256:(.*?)=?$/i.exec(text)?.[1];
  if (body !== undefined && SHA256_BASE64.test(body)) return { value: `SHA256:${body}` };
  if (body?.length === SHA256_CHARACTERS) {
    const problem = 'has 43 characters that are no base64 of 32 bytes';
    return { problem, remedy: 'copy it anew, as ssh-keygen -l prints it' };
  }
  return { wants: 'SHA256: and 43 characters, as ssh-keygen -l prints it' };
};
