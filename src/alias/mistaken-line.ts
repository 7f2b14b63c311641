/**
 * What was probably meant by a line that is no `KEY=VALUE`, or by a file that is no alias file: the neighbours of an
 * alias file in people's heads are ssh_config, known_hosts and keys. Never repeats a word of the line that is not a
 * name from our own tables: it may be part of a secret.
 */
import { findAliasKey } from './key-names.ts';

/** What is wrong and what would be right, for a `Failure`. */
export interface Explanation {
  readonly problem: string;
  readonly remedy: string;
}

/** Key types and markers that begin lines of known_hosts, authorized_keys and .pub files (sshd(8)). */
const KEY_WORDS =
  /^(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-|sk-(?:ssh|ecdsa)-|@cert-authority$|@revoked$|\|1\|)/;

/** ssh_config(5) keywords that open a block. */
const BLOCK_WORDS = ['host', 'match', 'include'];

/** A private key given as an alias file, wherever in the text it begins. */
export function explainText(text: string): (Explanation & { readonly line: number }) | undefined {
  const begin = /^(?:-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|PuTTY-User-Key-File-)/m.exec(text);
  if (begin === null) return undefined;
  return {
    line: text.slice(0, begin.index).split('\n').length,
    problem: 'this is a private key, not an alias file',
    remedy: 'keep the key in ~/.ssh and name it here: IDENTITY_FILE=~/.ssh/...',
  };
}

/** A line without `KEY=`, its leading blanks removed. */
export function explainLine(line: string): Explanation {
  const words = line.split(/[\s:]+/, 3);
  const first = words[0] as string;
  if (words.some((word) => KEY_WORDS.test(word))) {
    return {
      problem: 'this is a line of a public key or of known_hosts',
      remedy: 'host keys belong in ~/.ssh/known_hosts: pine-rshctl trust puts them there',
    };
  }
  if (BLOCK_WORDS.includes(first.toLowerCase()) && words.length > 1) {
    return {
      problem: 'this is a line of ssh_config',
      remedy: 'write HOSTNAME=... for the host; the name of the file is the name of the alias',
    };
  }
  const key = findAliasKey(first);
  if (key !== undefined) return { problem: `no = after ${key}`, remedy: `write ${key}=...` };
  if (/^[\w.+-]+@[\w.:-]+$/.test(line.trim())) {
    return { problem: 'an address without a key', remedy: 'write USER=... and HOSTNAME=...' };
  }
  return { problem: 'no KEY=VALUE on this line', remedy: 'write KEY=VALUE, or # before a comment' };
}
