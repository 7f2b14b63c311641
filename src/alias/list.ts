/** All aliases of this user and this machine, good and bad; for people, not for the way of a mail folder. */
import { Failure, toFailure } from '../errors.ts';
import type { Alias } from './alias.ts';
import { type AliasFile, readAliasFile } from './alias-file.ts';
import { type AliasStem, aliasFile, hostsFolder, readAliasStems, readConfigFolder } from './config-folder.ts';
import type { AliasSettings } from './lookup.ts';
import { resolveAlias } from './resolve.ts';
import { findTrustedFolder } from './trusted-file.ts';

/** One alias file. Either `alias` or `problem` is there. */
export interface AliasListing {
  readonly name: string;
  readonly file: string;
  /** What ALIASES says, as far as it can be read. */
  readonly aliases: readonly string[];
  readonly alias?: Alias;
  readonly problem?: Failure;
  /** A file that is found first has the same name. */
  readonly shadowed: boolean;
}

export interface AliasList {
  /** Sorted by name within each folder, the user's folder first. */
  readonly aliases: readonly AliasListing[];
  /** What is wrong with the folders and with defaults.env; each keeps every alias from working. */
  readonly problems: readonly Failure[];
}

/** Reads every alias file. Problems are reported, not thrown. */
export function listAliases(settings: AliasSettings): AliasList {
  const problems = new Map<string, Failure>();
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      const failure = toFailure(error);
      // The same folder may be in the way of its defaults.env and of its hosts.
      problems.set(failure.message, failure);
      return undefined;
    }
  };
  const defaults = settings.configDirs.flatMap(
    (folder) => attempt(() => readConfigFolder(folder, settings)?.defaults) ?? [],
  );
  const found = new Set<string>();
  const aliases = settings.configDirs.flatMap((folder) => {
    const stems = attempt(() => readStems(hostsFolder(folder), settings)) ?? [];
    return stems.map((stem) => {
      const name = stem.stem.toLowerCase();
      const shadowed = found.has(name);
      found.add(name);
      return { ...readListing(folder, stem, defaults, settings), shadowed };
    });
  });
  return { aliases, problems: [...problems.values()] };
}

/** Of names that differ in case only, the one in lower case first: a lookup finds it first. */
function readStems(hosts: string, settings: AliasSettings): AliasStem[] {
  if (findTrustedFolder(hosts, settings.uid) === undefined) return [];
  const order = ({ stem, host }: AliasStem): string =>
    `${stem.toLowerCase()}/${host === host.toLowerCase() ? 0 : 1}`;
  return readAliasStems(hosts).sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function readListing(
  folder: string,
  stem: AliasStem,
  defaults: readonly AliasFile[],
  settings: AliasSettings,
): Omit<AliasListing, 'shadowed'> {
  const path = aliasFile(hostsFolder(folder), stem.stem);
  const listing = { name: stem.stem, file: path };
  let aliases: readonly string[] = [];
  try {
    const file = readTrusted(path, settings);
    aliases = file.values.get('ALIASES') ?? [];
    const query = { host: stem.host, user: stem.user, port: undefined, options: new Map<string, string>() };
    const alias = resolveAlias({ name: stem.stem, file, byGlob: false }, defaults, query, settings);
    return { ...listing, aliases, alias };
  } catch (error) {
    return { ...listing, aliases, problem: toFailure(error) };
  }
}

function readTrusted(path: string, settings: AliasSettings): AliasFile {
  const file = readAliasFile(path, 'alias', settings);
  if (file !== undefined) return file;
  throw new Failure('file-unusable', { file: path, why: 'went away while it was read', remedy: 'try again' });
}
