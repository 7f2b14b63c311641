/**
 * What a command of the built-in IMAP server gets and gives.
 */
import type { ImapSession, SelectedMailbox } from './imap-session.ts';
import { SyntaxFault, type Token } from './imap-syntax.ts';

export interface Context {
  readonly session: ImapSession;
  readonly tag: string;
  /** Numbers are UIDs, and answers name them. */
  readonly byUid: boolean;
}

/** A tagged response. */
export interface Answer {
  readonly status: 'OK' | 'NO';
  readonly text: string;
  /** The client may still be counting on the numbers of messages, so none may vanish yet. */
  readonly keepsNumbers?: boolean;
}

/** Returns undefined when the answer comes later (IDLE). */
export type Command = (context: Context, args: readonly Token[]) => Answer | undefined;

export const DONE: Answer = { status: 'OK', text: 'done' };
export const DONE_KEEPING_NUMBERS: Answer = { ...DONE, keepsNumbers: true };
export const no = (text: string): Answer => ({ status: 'NO', text });

/** @throws {SyntaxFault} when no mailbox is selected */
export function selectedOf({ session }: Context): SelectedMailbox {
  if (session.selected === undefined) throw new SyntaxFault('no mailbox is selected');
  return session.selected;
}
