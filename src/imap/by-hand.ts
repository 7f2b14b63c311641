/** What a person types to see what the imapd of an alias says, beside IMAP: for the hint of a failure. Pure. */
import type { Alias } from '../alias/alias.ts';
import { ALERT_WORD_MAX, REFUSAL_HINT_MAX } from '../limits.ts';
import { shellWord } from '../shell-word.ts';

/** For the hint's own words before the command. */
const HINT_WORDS = 50;

/**
 * pine-rsh itself, since ssh would take another port, key or way; as plain exec (the command is not an imapd's alone),
 * so that nothing is kept out. Undefined where an alert would cut or break the line: a shell would take what is left
 * for something else.
 *
 * @param imapd the command, not `auto`
 */
export function imapdByHand({ name, user }: Pick<Alias, 'name' | 'user'>, imapd: string): string | undefined {
  const line = `pine-rsh -l ${shellWord(user)} ${shellWord(name)} ${shellWord(`${imapd}; true`)}`;
  if (line.length > REFUSAL_HINT_MAX - HINT_WORDS || /[^\x20-\x7e]/.test(line)) return undefined;
  return line.split(' ').some((word) => word.length > ALERT_WORD_MAX) ? undefined : line;
}
