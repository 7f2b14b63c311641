/**
 * What known_hosts files say about all keys of a host together; for `pine-rshctl trust`, which shows it to a person.
 * Pure.
 */
import { Failure } from '../errors.ts';
import { formatFingerprint } from './host-key.ts';
import { type HostNames, judgeHostKey, listHostKeys } from './known-hosts.ts';
import { formatPlace, type KnownHostsFile, readKeyType } from './known-hosts-file.ts';

/** A key as it is shown. */
export interface ShownKey {
  readonly blob: Buffer;
  /** As ssh-keygen -l calls it: `ED25519`. */
  readonly type: string;
  /** `SHA256:...` */
  readonly fingerprint: string;
}

/** A key in a known_hosts file. */
export interface ListedKey extends ShownKey {
  readonly file: string;
  /** `FILE:LINE` */
  readonly place: string;
}

/** Whether a connection would be refused, and by which entries. */
export type HostKeyComparison =
  /** It would not: `place` is where one of the keys stands. */
  | { readonly kind: 'known'; readonly place: string }
  | { readonly kind: 'unknown' }
  /** `stale`: the entries for keys that the host has not shown; `known`: keys it has shown that have an entry. */
  | { readonly kind: 'changed'; readonly stale: readonly ListedKey[]; readonly known: readonly Buffer[] };

/**
 * Compares the keys that a host has shown with those it is known by.
 *
 * @param host its name for messages
 * @param shown in wire format, at least one
 * @param chosen those of them that are asked about
 * @throws {Failure} `host-key-revoked` if one that is asked about is
 */
export function compareHostKeys(
  host: string,
  names: HostNames,
  files: readonly KnownHostsFile[],
  shown: readonly Buffer[],
  chosen: readonly Buffer[],
): HostKeyComparison {
  const verdicts = chosen.map((key) => judgeHostKey(files, names, key));
  for (const verdict of verdicts) {
    if (verdict.kind === 'revoked') throw new Failure('host-key-revoked', { host, place: verdict.place });
  }
  const match = verdicts.find(({ kind }) => kind === 'match');
  // A type that the host is not known by yet is no contradiction: a connection asks for one that it is known by.
  const changed =
    verdicts.some(({ kind }) => kind === 'changed') ||
    (match === undefined && verdicts.some(({ kind }) => kind === 'other-type'));
  if (changed) {
    const known = shown.filter((key) => judgeHostKey(files, names, key).kind === 'match');
    return { kind: 'changed', stale: listStale(files, names, shown), known };
  }
  return match?.kind === 'match' ? { kind: 'known', place: match.place } : { kind: 'unknown' };
}

function listStale(
  files: readonly KnownHostsFile[],
  [name]: HostNames,
  keys: readonly Buffer[],
): ListedKey[] {
  return listHostKeys(files, name)
    .filter(({ marker, blob }) => marker === undefined && !keys.some((key) => key.equals(blob)))
    .map(({ blob, in: file, offset }) => ({
      ...showKey(blob),
      file: file.file,
      place: formatPlace(file, offset),
    }));
}

/** A key in wire format as people compare it. */
export function showKey(blob: Buffer): ShownKey {
  const type = readKeyType(blob) ?? 'unknown';
  return { blob, type: nameType(type), fingerprint: formatFingerprint(blob) };
}

/** `ecdsa-sha2-nistp256` -> `ECDSA`. */
function nameType(type: string): string {
  return (/ed25519|ecdsa|rsa|dss/.exec(type)?.[0] ?? type).replace('dss', 'dsa').toUpperCase();
}
