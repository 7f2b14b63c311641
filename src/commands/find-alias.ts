/**
 * The alias a person named on the command line, with help for a mistyped one.
 */
import type { Alias } from '../alias/alias.ts';
import { listAliases } from '../alias/list.ts';
import { lookupAlias } from '../alias/lookup.ts';
import { Failure } from '../errors.ts';
import { nearestName } from '../nearest-name.ts';
import type { Settings } from '../settings.ts';

/** A name as typed, split, and the alias it stands for. */
export interface NamedAlias {
  readonly host: string;
  readonly alias: Alias;
}

/**
 * Finds `HOST` or `USER@HOST`.
 *
 * @throws {Failure} `alias-missing`, or what is wrong with its files
 */
export function findAlias(settings: Settings, word: string): NamedAlias {
  const at = word.lastIndexOf('@');
  const host = word.slice(at + 1);
  const user = at < 0 ? undefined : word.slice(0, at);
  const near = findNear(settings, host, word);
  const missing = (remedy: string): Failure => new Failure('alias-missing', { host: word, remedy });
  try {
    const found = lookupAlias(settings, { host, user, port: undefined, options: new Map() });
    if (found.kind === 'managed') return { host, alias: found.alias };
    throw missing(
      near === undefined
        ? `run: pine-rshctl setup ${host}, or create ${found.file}`
        : `did you mean ${near}?`,
    );
  } catch (thrown) {
    // A broken file could name any host, but a person who is one letter off means the alias that exists.
    if (near !== undefined && thrown instanceof Failure) throw missing(`did you mean ${near}?`);
    throw thrown;
  }
}

/** The name that was probably meant; undefined when the very name is there. */
function findNear(settings: Settings, host: string, word: string): string | undefined {
  const names = listAliases(settings).aliases.flatMap(({ name, aliases }) => [name, ...aliases]);
  const literal = names.filter((name) => !/[*?!]/.test(name));
  const same = (name: string): boolean =>
    [host, word].some((typed) => name.toLowerCase() === typed.toLowerCase());
  return literal.some(same) ? undefined : nearestName(word, literal);
}
