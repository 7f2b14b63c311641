/**
 * An alias written out again: each key with the value that holds, as an alias file would give it, and where it is set.
 */
import type { Alias } from '../alias/alias.ts';
import { type AliasFile, readAliasFile } from '../alias/alias-file.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey, type AliasKeyName } from '../alias/keys.ts';
import { isResolvedKey, writeValue } from '../alias/written-value.ts';
import type { Settings } from '../settings.ts';

export interface SourcedValue {
  readonly key: AliasKeyName;
  /** undefined: nothing is fixed. */
  readonly value: string | undefined;
  /** What holds then: the preset, or in parentheses what happens. */
  readonly fallback: string;
  /** undefined: a default. */
  readonly source: { readonly file: string; readonly line: number } | undefined;
}

/**
 * All keys in the order of the manual.
 *
 * @throws {Failure} when a file changed for the worse since the alias was read
 */
export function listValues(alias: Alias, settings: Settings): SourcedValue[] {
  const files = alias.files.flatMap((file, index) => {
    const read = readAliasFile(file, index === 0 ? 'alias' : 'defaults', settings);
    return read === undefined ? [] : [read];
  });
  return ALIAS_KEY_NAMES.flatMap((key) => {
    if (!isResolvedKey(key)) return [];
    const { preset, unset }: AliasKey<unknown> = ALIAS_KEYS[key];
    const value = writeValue(alias, key);
    return [{ key, value, fallback: preset ?? `(${unset ?? 'nothing'})`, source: findSource(files, key) }];
  });
}

function findSource(files: readonly AliasFile[], key: AliasKeyName): SourcedValue['source'] {
  for (const { file, lines } of files) {
    const line = lines.get(key);
    if (line !== undefined) return { file, line };
  }
  return undefined;
}
