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

/** What only main knows about the descriptors. */
export interface CallerHints {
  /** fd 1 and fd 2 are one file, as c-client makes them. */
  readonly sharedOutput: boolean;
  /** A person looks at it. */
  readonly terminal: boolean;
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
 * True if argv looks like a mail stream that something was slipped into: it ends as c-client ends it
 * (`exec /etc/rimapd`), but words stand before. Such a session is refused, and in IMAP.
 */
export function looksLikeMailStream(args: readonly string[]): boolean {
  const words = splitWords(args.join(' '));
  const last = words[words.length - 1];
  if (last === undefined) return false;
  return isImapDaemonWord(last) || (words[words.length - 2] === 'exec' && isImapdPath(last));
}

/**
 * Decides what to run.
 *
 * @throws {Failure} `mail-stream-words` for anything but one `-l USER` between HOST and the command of a mail stream
 */
export function classifySession(
  invocation: Invocation,
  args: readonly string[],
  hints: CallerHints,
  imapd?: string,
): SessionKind {
  const { words, forward, subsystem, optionsAfterHost } = invocation;
  const mail = isMailStream(words, imapd) && !(words.length === 0 && forward !== undefined);
  if (mail) {
    const odd = optionsAfterHost[0] ?? (subsystem ? '-s' : forward !== undefined ? '-W' : undefined);
    if (odd !== undefined) throw new Failure('mail-stream-words', { word: odd });
    return { kind: 'mail', command: commandAsGiven(words, imapd) };
  }
  if (looksLikeMailStream(words) && splitWords(words.join(' ')).length > 1) {
    throw new Failure('mail-stream-words', { word: splitWords(words.join(' '))[0] ?? '' });
  }
  if (looksCutByCClient(args, hints)) {
    throw new Failure('mail-stream-words', { word: words[0] ?? '' });
  }
  if (forward !== undefined) return { kind: 'forward' };
  const command = words.join(' ');
  return { kind: subsystem ? 'subsystem' : 'exec', command };
}

/**
 * c-client hands over at most 19 words: a host or user name of so many blank-separated words pushes `exec /etc/rimapd`,
 * even `-l`, off the end and would leave a command of the folder name's choosing. Such a call cannot be told from a real
 * one by its words, so the shape counts: exactly 19 words, both outputs on one pipe.
 */
function looksCutByCClient(args: readonly string[], { sharedOutput, terminal }: CallerHints): boolean {
  return sharedOutput && !terminal && args.length === C_CLIENT_MAX_WORDS;
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
