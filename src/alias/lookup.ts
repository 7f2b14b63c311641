/**
 * Which alias is meant by the host a mail client asked for.
 *
 * In the user's folder, then in the system's: `hosts/USER@HOST.env`, `hosts/HOST.env`, the file whose ALIASES names
 * HOST. The case of names does not count, but a file whose name is in lower case is found without reading the folder:
 * this runs before every mail folder opens.
 *
 * A host is "not managed" only if that is certain. Whatever could have named it and cannot be read makes the lookup
 * fail: the caller of an unmanaged host may go on to an unprotected login.
 */
import { type Invocation, refuseName } from '../argv.ts';
import { Failure } from '../errors.ts';
import { matchHostList } from '../host-pattern.ts';
import type { Settings } from '../settings.ts';
import type { Alias } from './alias.ts';
import { type AliasFile, readAliasFile } from './alias-file.ts';
import { type AliasStem, aliasFile, hostsFolder, readAliasStems, readConfigFolder } from './config-folder.ts';
import { type AliasMatch, type AliasQuery, resolveAlias } from './resolve.ts';

export type { AliasQuery } from './resolve.ts';

export type AliasLookup =
  | { readonly kind: 'managed'; readonly alias: Alias }
  /** `deny`: UNMANAGED=deny; `file`: the alias file that would make the host managed. */
  | { readonly kind: 'unmanaged'; readonly deny: boolean; readonly file: string };

/** What a lookup needs to know about this machine. */
export type AliasSettings = Pick<Settings, 'uid' | 'home' | 'loginName' | 'configDirs'>;

/**
 * Finds and resolves the alias for a host.
 *
 * @throws {Failure} every code of the group "alias files": the host is managed, or may be, and cannot be served;
 *   `usage` for a bad `-o`
 */
export function lookupAlias(settings: AliasSettings, query: AliasQuery): AliasLookup {
  checkNames(query);
  const hosts: string[] = [];
  const defaults: AliasFile[] = [];
  for (const dir of settings.configDirs) {
    const folder = readConfigFolder(dir, settings);
    if (folder?.hosts !== undefined) hosts.push(folder.hosts);
    if (folder?.defaults !== undefined) defaults.push(folder.defaults);
  }
  for (const folder of hosts) {
    const match = findAlias(folder, query, settings);
    if (match !== undefined) {
      return { kind: 'managed', alias: resolveAlias(match, defaults, query, settings) };
    }
  }
  const unmanaged = defaults.find(({ values }) => values.has('UNMANAGED'))?.values.get('UNMANAGED');
  const file = aliasFile(hostsFolder(settings.configDirs[0]), query.host.toLowerCase());
  return { kind: 'unmanaged', deny: unmanaged === 'deny', file };
}

/** What to look up for a command line. */
export function queryOf({ host, user, port, overrides }: Invocation): AliasQuery {
  return { host, user, port, options: overrides };
}

/** argv has checked them already; they become file names here, so that nobody may forget to. */
function checkNames({ host, user }: AliasQuery): void {
  const why = 'it cannot be a file name';
  if (refuseName(host) !== undefined) throw new Failure('host-name-refused', { host: 'given', why });
  if (user !== undefined && refuseName(user) !== undefined)
    throw new Failure('user-name-refused', { user: 'given', why });
}

function findAlias(hosts: string, query: AliasQuery, settings: AliasSettings): AliasMatch | undefined {
  const host = query.host.toLowerCase();
  const names = query.user === undefined ? [host] : [`${query.user}@${host}`, host];
  for (const name of names) {
    const file = readAliasFile(aliasFile(hosts, name), 'alias', settings);
    if (file !== undefined) return { name, file, byGlob: false };
  }
  // A file for one user can name the host for nobody else.
  const stems = readAliasStems(hosts).filter(({ user }) => user === undefined || user === query.user);
  return findByCase(hosts, stems, query, settings) ?? findByPattern(hosts, stems, query, settings);
}

/** `Work.env` for `work`. */
function findByCase(
  hosts: string,
  stems: readonly AliasStem[],
  query: AliasQuery,
  settings: AliasSettings,
): AliasMatch | undefined {
  const host = query.host.toLowerCase();
  const equal = stems.filter((stem) => stem.host.toLowerCase() === host);
  const forUser = equal.filter(({ user }) => user !== undefined);
  const [first, second] = forUser.length > 0 ? forUser : equal;
  if (first === undefined) return undefined;
  const path = aliasFile(hosts, first.stem);
  if (second !== undefined) throw ambiguous(query.host, path, aliasFile(hosts, second.stem));
  const file = readAliasFile(path, 'alias', settings);
  return file && { name: first.stem, file, byGlob: false };
}

/** How well ALIASES names a host; a file for the user that was asked for is better than one for all. */
interface PatternMatch extends AliasMatch {
  readonly rank: number;
}

/** A file that cannot be read, and how well it may name the host. */
interface BrokenFile {
  readonly error: unknown;
  readonly rank: number;
}

function findByPattern(
  hosts: string,
  stems: readonly AliasStem[],
  query: AliasQuery,
  settings: AliasSettings,
): AliasMatch | undefined {
  let best: PatternMatch | undefined;
  let rival: PatternMatch | undefined;
  let broken: BrokenFile | undefined;
  for (const stem of stems) {
    try {
      const file = readAliasFile(aliasFile(hosts, stem.stem), 'alias', settings);
      const match = file && matchFile(stem, file, query.host);
      if (match === undefined) continue;
      if (best === undefined || match.rank > best.rank) {
        best = match;
        rival = undefined;
      } else if (match.rank === best.rank) rival ??= match;
    } catch (error) {
      const rank = rankOf(stem, false);
      if (broken === undefined || rank > broken.rank) broken = { error, rank };
    }
  }
  if (broken !== undefined && (best === undefined || broken.rank > best.rank)) throw broken.error;
  if (best !== undefined && rival !== undefined) throw ambiguous(query.host, best.file.file, rival.file.file);
  return best;
}

function matchFile(stem: AliasStem, file: AliasFile, host: string): PatternMatch | undefined {
  const patterns = file.values.get('ALIASES');
  if (patterns === undefined || !matchHostList(host, patterns.join(','))) return undefined;
  const wanted = host.toLowerCase();
  const byGlob = !patterns.some((pattern) => pattern.toLowerCase() === wanted);
  return { name: stem.stem, file, byGlob, rank: rankOf(stem, byGlob) };
}

function rankOf({ user }: AliasStem, byGlob: boolean): number {
  return (byGlob ? 0 : 2) + (user === undefined ? 0 : 1);
}

function ambiguous(host: string, first: string, second: string): Failure {
  return new Failure('alias-ambiguous', { host, first, second });
}
