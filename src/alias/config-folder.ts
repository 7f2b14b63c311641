/**
 * A folder with aliases: the user's or the system's. Knows its layout (`hosts/NAME.env`, `defaults.env`) and that
 * what is there but cannot be read or trusted is a failure, while what is not there is simply not there.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { type AliasFile, readAliasFile } from './alias-file.ts';
import { findTrustedFolder } from './trusted-file.ts';
import { explainSystemError } from './trusted-path.ts';

type Where = Pick<Settings, 'uid' | 'home'>;

const SUFFIX = '.env';

/** An alias file's name without `.env`: `work`, or `pat@work` for one user. */
export interface AliasStem {
  readonly stem: string;
  readonly user: string | undefined;
  readonly host: string;
}

export interface ConfigFolder {
  /** `hosts/` as configured; undefined if there is none. */
  readonly hosts: string | undefined;
  readonly defaults: AliasFile | undefined;
}

/**
 * Opens a configuration folder; undefined if there is none.
 *
 * @throws {Failure} if it, its `hosts/` or its `defaults.env` is there but cannot be used
 */
export function readConfigFolder(folder: string, where: Where): ConfigFolder | undefined {
  if (findTrustedFolder(folder, where.uid) === undefined) return undefined;
  const hosts = hostsFolder(folder);
  return {
    hosts: findTrustedFolder(hosts, where.uid) === undefined ? undefined : hosts,
    defaults: readAliasFile(defaultsFile(folder), 'defaults', where),
  };
}

export function hostsFolder(folder: string): string {
  return join(folder, 'hosts');
}

export function defaultsFile(folder: string): string {
  return join(folder, 'defaults.env');
}

/** `hosts` is what `hostsFolder` gave. */
export function aliasFile(hosts: string, stem: string): string {
  return join(hosts, stem + SUFFIX);
}

/** Names of all alias files, sorted. Hidden files and other suffixes (editors' backups) are none. */
export function readAliasStems(hosts: string): AliasStem[] {
  let names: string[];
  try {
    names = readdirSync(hosts);
  } catch (error) {
    throw explainSystemError(error, hosts, 'u+rx');
  }
  const files = names.filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.'));
  return files.sort().map((name) => splitStem(hosts, name.slice(0, -SUFFIX.length)));
}

function splitStem(hosts: string, stem: string): AliasStem {
  // Node gives U+FFFD for what it cannot decode; such a file could not be opened by its name.
  if (stem.includes('\ufffd')) {
    const why = 'a file name that is not UTF-8';
    throw new Failure('file-unusable', { file: hosts, why, remedy: 'rename the file' });
  }
  const at = stem.lastIndexOf('@');
  return { stem, user: at === -1 ? undefined : stem.slice(0, at), host: stem.slice(at + 1) };
}
