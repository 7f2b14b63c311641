/** Quotes one word of a command for a shell, csh and fish included: `a b` -> `'a b'`. For hints and for commands alike. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
