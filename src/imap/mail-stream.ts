/**
 * Is this session a mail stream, and what is run for it? A mail stream gets the greeting guard and the refusal, and
 * nothing but IMAP ever reaches its output; everything else is plain exec, byte for byte as with rsh.
 */
import { type Invocation, isImapDaemonWord } from '../argv.ts';
import { Failure } from '../errors.ts';
import { C_CLIENT_MAX_WORDS } from '../limits.ts';
import { splitWords } from '../words.ts';

export type SessionKind =
  /** `command` is undefined where the alias's IMAPD is to run. */
  | { readonly kind: 'mail'; readonly command: string | undefined }
  | { readonly kind: 'exec'; readonly command: string }
  | { readonly kind: 'subsystem'; readonly command: string }
  | { readonly kind: 'forward' };

/** What only the descriptors tell. */
export interface CallerHints {
  /** They are as c-client makes them, and hardly anybody else. */
  readonly likeCClient: boolean;
}

/**
 * Tells mail streams from plain exec. Needs no alias, so that failures of the alias can be answered in IMAP;
 * `imapd` is the alias's IMAPD once it is known, since a COMMAND that equals it is a mail stream too.
 */
export function isMailStream(words: readonly string[], imapd?: string): boolean {
  const command = withoutExec(splitWords(words.join(' ')));
  if (command.length === 0) return true;
  if (
    imapd !== undefined &&
    imapd !== 'auto' &&
    command.join(' ') === withoutExec(splitWords(imapd)).join(' ')
  )
    return true;
  const [word] = command;
  return command.length === 1 && word !== undefined && isImapdPath(word);
}

/**
 * True if argv looks like a mail stream that something may have been slipped into: it ends as c-client ends it (`exec
 * /etc/rimapd`; a user's rsh-command may be without exec), or c-client has cut its end off. Whatever is wrong with such a
 * session is told in IMAP.
 */
export function looksLikeMailStream(args: readonly string[], { likeCClient }: CallerHints): boolean {
  if (likeCClient && args.length === C_CLIENT_MAX_WORDS) return true;
  const words = splitWords(args.join(' '));
  const last = words[words.length - 1];
  if (last === undefined) return false;
  return words[words.length - 2] === 'exec' ? isImapdPath(last) : likeCClient && isImapDaemonWord(last);
}

/**
 * Decides what to run; `print` (`-G`): nothing.
 *
 * c-client hands over at most 19 words: a host or user name of so many blank-separated words pushes `exec /etc/rimapd`,
 * even `-l`, off the end and would leave a command of the folder name's choosing. Such a call cannot be told from a real
 * one by its words, so its shape counts: exactly 19 words on c-client's descriptors are refused, but for an imapd.
 *
 * @throws {Failure} `mail-stream-words` for anything but one `-l USER` between HOST and the command of a mail stream
 */
export function classifySession(
  invocation: Invocation,
  args: readonly string[],
  hints: CallerHints,
  imapd?: string,
): SessionKind | { readonly kind: 'print' } {
  const { words, forward, subsystem, printAlias, optionsAfterHost } = invocation;
  const bare = words.length === 0 && (forward !== undefined || printAlias);
  if (!bare && isMailStream(words, imapd)) {
    const misplaced = subsystem ? '-s' : forward !== undefined ? '-W' : printAlias ? '-G' : undefined;
    const odd = optionsAfterHost[0] ?? misplaced;
    if (odd !== undefined) throw new Failure('mail-stream-words', { word: odd });
    return { kind: 'mail', command: commandAsGiven(words, imapd) };
  }
  if (looksLikeMailStream(args, hints)) {
    const [word = optionsAfterHost[0] ?? ''] = splitWords(words.join(' '));
    throw new Failure('mail-stream-words', { word });
  }
  if (printAlias) return { kind: 'print' };
  if (forward !== undefined) return { kind: 'forward' };
  const command = words.join(' ');
  return { kind: subsystem ? 'subsystem' : 'exec', command };
}

function withoutExec(words: string[]): string[] {
  return words[0] === 'exec' ? words.slice(1) : words;
}

/** rimapd, imapd by any path, or Dovecot's imap by its path. */
function isImapdPath(word: string): boolean {
  return isImapDaemonWord(word) || /^\/(?:[\w.+-]+\/)*dovecot\/imap$/.test(word);
}

/** A bare /etc/rimapd, rimapd or imapd stands for "the imapd of that host"; another path is meant as written. */
function commandAsGiven(words: readonly string[], imapd: string | undefined): string | undefined {
  const [word] = withoutExec(splitWords(words.join(' ')));
  if (word === undefined || word === '/etc/rimapd' || word === 'rimapd' || word === 'imapd') return undefined;
  const command = words.join(' ');
  return imapd !== undefined && command === imapd ? undefined : command;
}
