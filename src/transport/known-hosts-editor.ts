/**
 * Takes keys that a host no longer has out of a known_hosts file and puts the new ones in, for people who have checked
 * them. What stands there about other hosts, comments, revoked keys and authorities stay as they are.
 *
 * The new file takes the place of the old one in one step, with its owner and mode, and the old one is kept beside it
 * as `known_hosts.old`, as ssh-keygen -R does.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { checkTrusted } from '../alias/trusted-file.ts';
import { matchHostList } from '../host-pattern.ts';
import { formatAppended, type HostNames, listHostKeys } from './known-hosts.ts';
import { type KnownHostsFile, parseKnownHosts } from './known-hosts-file.ts';
import { explainWriteError, formatLines, syncFolder } from './known-hosts-writer.ts';

/**
 * Replaces the keys `stale` of a host by `fresh`, which may be in the file already.
 *
 * @param names of `nameHost`
 * @throws {Failure} `file-untrusted`, `file-unusable` (cannot be written)
 */
export function replaceHostKeys(
  file: string,
  names: HostNames,
  keys: { readonly stale: readonly Buffer[]; readonly fresh: readonly Buffer[] },
  uid: number,
): void {
  try {
    // Through a link to the file it leads to: the link itself belongs to whoever keeps his settings elsewhere.
    const real = checkTrusted(file, uid);
    for (;;) {
      const bytes = readFileSync(real);
      const known = parseKnownHosts(bytes, file);
      const kept: KnownHostsFile = { file, text: dropHostKeys(known, names[0], keys.stale) };
      const missing = keys.fresh.filter((key) => !listsKey(kept, names[0], key));
      const added = missing.length === 0 ? '' : formatAppended(kept.text, formatLines(known, names, missing));
      if (replaceFile(real, bytes, Buffer.from(kept.text + added, 'latin1'))) return;
    }
  } catch (error) {
    throw explainWriteError(error, file);
  }
}

/** The file's text without the entries that give one of these keys to the host of this name. Pure. */
export function dropHostKeys(known: KnownHostsFile, name: string, stale: readonly Buffer[]): string {
  const { text } = known;
  const offsets = listHostKeys([known], name)
    .filter(({ marker, blob }) => marker === undefined && stale.some((key) => key.equals(blob)))
    .map(({ offset }) => offset);
  let out = '';
  let from = 0;
  for (const offset of offsets) {
    const newline = text.indexOf('\n', offset);
    const end = newline === -1 ? text.length : newline + 1;
    out += text.slice(from, offset) + dropName(text.slice(offset, end), name);
    from = end;
  }
  return out + text.slice(from);
}

/** A line of other hosts, too, is theirs still. */
function dropName(line: string, name: string): string {
  const hosts = (/[^ \t]+/.exec(line) as RegExpExecArray)[0];
  const left = unlistHost(hosts, name);
  return left === undefined ? '' : line.replace(hosts, () => left);
}

/** A list of names (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) without this one; undefined if it is about nobody else. */
function unlistHost(hosts: string, name: string): string | undefined {
  if (hosts.startsWith('|')) return undefined;
  const others = hosts.split(',').filter((each) => each.toLowerCase() !== name);
  if (others.every((each) => each === '' || each.startsWith('!'))) return undefined;
  const list = others.join(',');
  return matchHostList(name, list) ? `${list},!${name}` : list;
}

function listsKey(known: KnownHostsFile, name: string, key: Buffer): boolean {
  return listHostKeys([known], name).some(({ marker, blob }) => marker === undefined && blob.equals(key));
}

/** False, and nothing is done, if the file is not any more what it `was`: ssh may just have added a line. */
function replaceFile(real: string, was: Buffer, bytes: Buffer): boolean {
  const { mode, uid, gid } = statSync(real);
  const temp = `${real}.${process.pid}`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      writeFileSync(fd, bytes);
      // Before the mode: chown takes bits away.
      fchownSync(fd, uid, gid);
      fchmodSync(fd, mode & PERMISSIONS);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (!readFileSync(real).equals(was)) return false;
    keepBackup(real);
    renameSync(temp, real);
  } finally {
    rmSync(temp, { force: true });
  }
  syncFolder(dirname(real));
  return true;
}

/** The bits of a mode that chmod(2) sets. */
const PERMISSIONS = 0o7777;

/** A copy, since not every file system has hard links. */
function keepBackup(real: string): void {
  const backup = `${real}.old`;
  rmSync(backup, { force: true });
  copyFileSync(real, backup, constants.COPYFILE_EXCL);
}
