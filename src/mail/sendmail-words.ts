/** Are we called as a sendmail? Apart from all other mail code, because every session asks. Pure. */
import { splitWords } from '../words.ts';

/**
 * The words behind `sendmail` if COMMAND is one, else undefined. They are arguments, not a command line: a recipient's
 * address may be anybody's idea.
 */
export function sendmailArguments(words: readonly string[]): readonly string[] | undefined {
  // A caller that passes COMMAND as one word means its blanks to separate.
  const [first, ...rest] = words.length === 1 ? splitWords(words[0] ?? '') : words;
  return first === 'sendmail' ? rest : undefined;
}

/**
 * True if a line of arguments that is not understood yet may be that of a sendmail, whose caller wants its message read
 * and a status of sysexits.h.
 */
export function looksLikeSendmail(args: readonly string[]): boolean {
  for (const word of args) if (word === 'sendmail' || word.startsWith('sendmail ')) return true;
  return false;
}
