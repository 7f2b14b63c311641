/**
 * The commands of the built-in IMAP server that are about messages (RFC 3501 section 6.4), and IDLE (RFC 2177).
 */
import {
  type Answer,
  type Command,
  type Context,
  DONE,
  DONE_KEEPING_NUMBERS,
  no,
  selectedOf,
} from './imap-answer.ts';
import { formatItem, parseItems, setsSeen } from './imap-fetch.ts';
import { type Numbered, parseSearch } from './imap-search.ts';
import type { SelectedMailbox } from './imap-session.ts';
import { parseSet, SyntaxFault, type Token, textOf, wordsOf } from './imap-syntax.ts';
import type { StoredMessage } from './mail-store.ts';

/** The messages that a sequence set or UID set names, with their numbers. */
function pick(context: Context, set: Token | undefined): Numbered[] {
  const { view } = selectedOf(context);
  const lastUid = view.at(-1)?.message.uid ?? 0;
  const has = parseSet(textOf(set), context.byUid ? lastUid : view.length);
  return view
    .map(({ message }, index) => ({ number: index + 1, message }))
    .filter(({ number, message }) => has(context.byUid ? message.uid : number));
}

function fetch(context: Context, [set, wanted]: readonly Token[]): Answer {
  const { readOnly, view } = selectedOf(context);
  const items = parseItems(wanted);
  if (context.byUid && !items.includes('UID')) items.unshift('UID');
  const marks = !readOnly && items.some(setsSeen);
  for (const { number, message } of pick(context, set)) {
    const marked = marks && !message.flags.has('\\Seen');
    if (marked) flag(selectedOf(context), message, (flags) => flags.add('\\Seen'));
    const answered = marked && !items.includes('FLAGS') ? [...items, 'FLAGS'] : items;
    const entry = view[number - 1];
    if (entry !== undefined && answered.includes('FLAGS')) entry.flags = formatItem('FLAGS', message);
    context.session.send(
      `* ${number} FETCH (${answered.map((item) => formatItem(item, message)).join(' ')})`,
    );
  }
  return DONE_KEEPING_NUMBERS;
}

function flag({ box }: SelectedMailbox, message: StoredMessage, edit: (flags: Set<string>) => void): void {
  edit(message.flags);
  box.emit('change');
}

function store(context: Context, [set, how, list]: readonly Token[]): Answer {
  const selected = selectedOf(context);
  const action = textOf(how).toUpperCase();
  if (!/^[+-]?FLAGS(\.SILENT)?$/.test(action)) throw new SyntaxFault('bad STORE');
  if (selected.readOnly) return no('mailbox is read-only');
  const words = wordsOf(list);
  for (const { number, message } of pick(context, set)) {
    flag(selected, message, (flags) => {
      if (action.startsWith('F')) flags.clear();
      for (const word of words) action.startsWith('-') ? flags.delete(word) : flags.add(word);
    });
    const entry = selected.view[number - 1];
    if (entry !== undefined) entry.flags = formatItem('FLAGS', message);
    if (action.endsWith('.SILENT')) continue;
    const uid = context.byUid ? `UID ${message.uid} ` : '';
    context.session.send(`* ${number} FETCH (${uid}${formatItem('FLAGS', message)})`);
  }
  return DONE_KEEPING_NUMBERS;
}

function copy(context: Context, [set, target]: readonly Token[]): Answer {
  const box = context.session.store.find(textOf(target));
  if (box === undefined) return no('[TRYCREATE] no such mailbox');
  const picked = pick(context, set);
  if (picked.length === 0) return DONE;
  const to = picked.map(({ message }) => box.append(message.raw, message.flags, message.received));
  const from = picked.map(({ message }) => message.uid);
  return { status: 'OK', text: `[COPYUID ${box.uidValidity} ${from.join(',')} ${to.join(',')}] done` };
}

function search(context: Context, args: readonly Token[]): Answer {
  const { view } = selectedOf(context);
  const bounds = { lastNumber: view.length, lastUid: view.at(-1)?.message.uid ?? 0 };
  const passes = parseSearch(args, bounds);
  const found = view
    .map(({ message }, index) => ({ number: index + 1, message }))
    .filter(passes)
    .map(({ number, message }) => ` ${context.byUid ? message.uid : number}`);
  context.session.send(`* SEARCH${found.join('')}`);
  return DONE_KEEPING_NUMBERS;
}

const isDeleted = (message: StoredMessage): boolean => message.flags.has('\\Deleted');

/** With UIDs only the deleted messages among these (RFC 4315 section 2.1). */
function expunge(context: Context, [set]: readonly Token[]): Answer {
  const { box, readOnly } = selectedOf(context);
  if (readOnly) return no('mailbox is read-only');
  const candidates = context.byUid ? pick(context, set).map(({ message }) => message) : box.messages;
  box.remove(new Set(candidates.filter(isDeleted)));
  return DONE;
}

function close(context: Context): Answer {
  const { box, readOnly } = selectedOf(context);
  if (!readOnly) box.remove(new Set(box.messages.filter(isDeleted)));
  context.session.selected = undefined;
  return DONE;
}

function idle(context: Context): undefined {
  const { session } = context;
  const box = session.selected?.box;
  const tell = (): void => session.sync(false);
  box?.on('change', tell);
  session.send('+ idling');
  session.onLine = (line) => {
    session.onLine = undefined;
    box?.off('change', tell);
    session.finish(context.tag, line.toUpperCase() === 'DONE' ? DONE : no('expected DONE'));
  };
}

/** By name in upper case; `UID FETCH` and the like stand for themselves. */
export const MESSAGE_COMMANDS: readonly (readonly [string, Command])[] = [
  ['FETCH', fetch],
  ['UID FETCH', fetch],
  ['STORE', store],
  ['UID STORE', store],
  ['COPY', copy],
  ['UID COPY', copy],
  ['SEARCH', search],
  ['UID SEARCH', search],
  ['EXPUNGE', expunge],
  ['UID EXPUNGE', expunge],
  ['CLOSE', close],
  ['IDLE', idle],
];
