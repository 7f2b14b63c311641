/**
 * `pine-rsh -G`: an alias in the form of `ssh -G`, one keyword and value a line, so that git and others take us for an
 * ssh. What is not fixed has no line there either. Pure.
 */
import type { Alias } from './alias.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKeyName } from './keys.ts';
import { isResolvedKey, type ResolvedKeyName, writeValue } from './written-value.ts';

/** What `ssh -G` writes in another way than an alias file does. */
const OTHERWISE: Partial<Record<AliasKeyName, (alias: Alias) => readonly string[]>> = {
  IDENTITY_FILE: ({ identityFiles }) => (identityFiles?.length === 0 ? ['none'] : (identityFiles ?? [])),
  CERTIFICATE_FILE: ({ certificateFiles }) => certificateFiles,
  KNOWN_HOSTS: ({ knownHosts }) => [knownHosts.join(' ')],
  PROXY_JUMP: (alias) => (alias.proxyJump.length === 0 ? [] : [writeValue(alias, 'PROXY_JUMP') ?? '']),
  // A command may hold the very passphrase.
  PASSPHRASE_COMMAND: () => [],
};

/** All that holds but PASSPHRASE_COMMAND, in the order of the manual. */
export function formatAlias(alias: Alias): string {
  const lines = [`host ${alias.name}`];
  for (const key of ALIAS_KEY_NAMES) {
    if (!isResolvedKey(key)) continue;
    for (const value of valuesOf(alias, key)) lines.push(`${keywordOf(key)} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

function valuesOf(alias: Alias, key: ResolvedKeyName): readonly string[] {
  return OTHERWISE[key]?.(alias) ?? [writeValue(alias, key)].filter((value) => value !== undefined);
}

function keywordOf(key: ResolvedKeyName): string {
  return (ALIAS_KEYS[key].keyword ?? key.replaceAll('_', '')).toLowerCase();
}
