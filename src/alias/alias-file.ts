/**
 * One alias file or defaults.env: read, checked against the table of keys, every value typed and with its line. The
 * same check serves `-o` on the command line.
 */
import { Failure } from '../errors.ts';
import { ALIAS_FILE_MAX } from '../limits.ts';
import type { Settings } from '../settings.ts';
import { type DotenvEntry, decodeDotenv, parseDotenv } from './dotenv-file.ts';
import { guessAliasKey } from './key-names.ts';
import { ALIAS_KEYS, type AliasKey, type AliasKeyName, type AliasValue, isAliasKeyName } from './keys.ts';
import { fitSshValue } from './ssh-value.ts';
import { findTrustedFile } from './trusted-file.ts';
import type { Misfit } from './value.ts';

/** The typed values of one source, by key. */
export class AliasValues {
  readonly #values = new Map<AliasKeyName, unknown>();

  /** undefined: not set, or set to a value that is undefined (`none`); `has` tells. */
  get<K extends AliasKeyName>(name: K): AliasValue<K> | undefined {
    // Only `set` fills the map, with what the key's own parser returned.
    return this.#values.get(name) as AliasValue<K> | undefined;
  }

  set<K extends AliasKeyName>(name: K, value: AliasValue<K>): void {
    this.#values.set(name, value);
  }

  has(name: AliasKeyName): boolean {
    return this.#values.has(name);
  }

  names(): IterableIterator<AliasKeyName> {
    return this.#values.keys();
  }
}

/** What an alias file or defaults.env says. */
export interface AliasFile {
  readonly file: string;
  readonly values: AliasValues;
  /** The line of each key that is set. */
  readonly lines: ReadonlyMap<AliasKeyName, number>;
}

export type AliasFileKind = 'alias' | 'defaults';

/**
 * Reads and checks a file; undefined if there is none.
 *
 * @throws {Failure} `file-untrusted`, `file-unreadable`, `file-unusable`, `alias-syntax`
 */
export function readAliasFile(
  file: string,
  kind: AliasFileKind,
  settings: Pick<Settings, 'uid' | 'home'>,
): AliasFile | undefined {
  const bytes = findTrustedFile(file, { uid: settings.uid, maxBytes: ALIAS_FILE_MAX });
  return bytes && parseAliasFile(decodeDotenv(bytes, file), file, kind, settings.home);
}

/** Checks the text of a file. @throws {Failure} `alias-syntax` */
export function parseAliasFile(text: string, file: string, kind: AliasFileKind, home: string): AliasFile {
  const values = new AliasValues();
  const lines = new Map<AliasKeyName, number>();
  for (const entry of parseDotenv(text, file)) {
    const { key, value, line } = entry;
    if (!isAliasKeyName(key)) throw unknownKey(entry, file);
    const { only }: AliasKey<unknown> = ALIAS_KEYS[key];
    if (only !== undefined && only !== kind) {
      const place = only === 'alias' ? 'an alias file' : 'defaults.env';
      const problem = `${key} has no meaning here`;
      throw new Failure('alias-syntax', { file, line, problem, remedy: `move it to ${place}` });
    }
    const misfit = setValue(values, key, value, home);
    if (misfit !== undefined)
      throw new Failure('alias-syntax', { file, line, ...describeMisfit(key, misfit) });
    lines.set(key, line);
  }
  return { file, values, lines };
}

/**
 * Checks alias keys given as `-o` options, whose times and numbers are ssh's.
 *
 * @throws {Failure} `usage`
 */
export function parseOptions(options: ReadonlyMap<string, string>, home: string): AliasValues {
  const values = new AliasValues();
  for (const [key, text] of options) {
    if (!isAliasKeyName(key)) throw new Failure('usage', { problem: 'option -o names no alias key' });
    const fit = fitSshValue(key, text);
    const misfit = fit === undefined ? undefined : setValue(values, key, fit, home);
    if (misfit === undefined) continue;
    const { problem, remedy } = describeMisfit(key, misfit);
    const keyword = ALIAS_KEYS[key].keyword ?? key;
    throw new Failure('usage', { problem: `-o ${keyword}: ${problem}: ${remedy}` });
  }
  return values;
}

function setValue<K extends AliasKeyName>(
  values: AliasValues,
  name: K,
  text: string,
  home: string,
): Misfit | undefined {
  if (text === '') return { problem: 'has no value', remedy: 'give it one or remove the line' };
  // A quote that was closed lines too late would otherwise swallow keys without a word.
  if (/[\r\n]/.test(text))
    return { problem: 'spans more than one line', remedy: 'close its quote on the same line' };
  const parsed = ALIAS_KEYS[name].parse(text, home);
  if (!('value' in parsed)) return parsed;
  values.set(name, parsed.value as AliasValue<K>);
  return undefined;
}

function describeMisfit(key: AliasKeyName, misfit: Misfit): { problem: string; remedy: string } {
  if ('wants' in misfit) return { problem: `${key} has a bad value`, remedy: `${key} is ${misfit.wants}` };
  return { problem: `${key} ${misfit.problem}`, remedy: misfit.remedy };
}

/** Longer than any key one could mean: rather a line of base64, whose padding looks like `KEY=`. */
const KEY_NAME_MAX = 32;

function unknownKey({ key, line }: DotenvEntry, file: string): Failure {
  if (key.length > KEY_NAME_MAX) {
    const problem = `a word of ${key.length} characters is no key`;
    return new Failure('alias-syntax', { file, line, problem, remedy: 'write KEY=VALUE' });
  }
  const guess = guessAliasKey(key);
  const remedy = guess === undefined ? 'pine-rsh-alias(5) lists all keys' : `write ${guess}`;
  return new Failure('alias-syntax', { file, line, problem: `unknown key ${key}`, remedy });
}
