/** Which key was meant by a word that is none: OpenSSH's spelling, another case, a typing mistake. Pure. */
import { nearestName } from '../nearest-name.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKeyName } from './keys.ts';

/** Words of other programs for the same thing. */
const OTHER_WORDS: ReadonlyMap<string, AliasKeyName> = new Map([
  ['globalknownhostsfile', 'KNOWN_HOSTS'],
  ['host', 'HOSTNAME'],
  ['key', 'IDENTITY_FILE'],
  ['login', 'USER'],
  ['server', 'HOSTNAME'],
  ['timeout', 'CONNECT_TIMEOUT'],
  ['username', 'USER'],
]);

/** The key that `word` is but for case and punctuation, or that stands for this keyword of OpenSSH. */
export function findAliasKey(word: string): AliasKeyName | undefined {
  const bare = bareWord(word);
  return ALIAS_KEY_NAMES.find(
    (name) => bareWord(name) === bare || ALIAS_KEYS[name].keyword?.toLowerCase() === bare,
  );
}

/** `findAliasKey`, else the key that is nearest, if one is near. */
export function guessAliasKey(word: string): AliasKeyName | undefined {
  const found = findAliasKey(word) ?? OTHER_WORDS.get(bareWord(word));
  return found ?? (nearestName(word, ALIAS_KEY_NAMES) as AliasKeyName | undefined);
}

function bareWord(word: string): string {
  return word.toLowerCase().replace(/[_.-]/g, '');
}
