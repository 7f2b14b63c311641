/**
 * The commands of the built-in IMAP server that are about mailboxes as a whole (RFC 3501 sections 6.1 to 6.3).
 */
import { type Answer, type Command, type Context, DONE, no } from './imap-answer.ts';
import { CAPABILITIES } from './imap-session.ts';
import { parseDateTime, quote, SyntaxFault, type Token, textOf, wordsOf } from './imap-syntax.ts';
import type { Mailbox, MailStore } from './mail-store.ts';

const FLAGS = '\\Answered \\Flagged \\Deleted \\Seen \\Draft';
function capability(context: Context): Answer {
  context.session.send(`* CAPABILITY ${CAPABILITIES}`);
  return DONE;
}

function logout(context: Context): Answer {
  context.session.send('* BYE see you');
  context.session.ended = true;
  return DONE;
}

function selectWith(readOnly: boolean): Command {
  return (context, args) => {
    const { session } = context;
    const box = session.store.find(textOf(args[0]));
    session.selected = undefined;
    if (box === undefined) return no('no such mailbox');
    session.select(box, readOnly);
    session.send(`* FLAGS (${FLAGS})`);
    session.send(`* OK [PERMANENTFLAGS (${readOnly ? '' : `${FLAGS} \\*`})] limited`);
    session.send(`* OK [UIDVALIDITY ${box.uidValidity}] valid`);
    session.send(`* OK [UIDNEXT ${box.uidNext}] next`);
    if (box.messages.length === 0) session.send('* 0 EXISTS');
    return { status: 'OK', text: `[READ-${readOnly ? 'ONLY' : 'WRITE'}] selected` };
  };
}

function listWith(verb: 'LIST' | 'LSUB'): Command {
  return (context, [reference, pattern]) => {
    const wanted = textOf(reference) + textOf(pattern);
    if (textOf(pattern) === '') context.session.send(`* ${verb} (\\Noselect) "/" ""`);
    const shape = wanted
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('%', '[^/]*');
    const matches = new RegExp(`^${shape}$`, shape.toUpperCase() === 'INBOX' ? 'i' : '');
    for (const name of context.session.store.names) {
      if (!matches.test(name) || (verb === 'LSUB' && !context.session.store.find(name)?.subscribed)) continue;
      context.session.send(`* ${verb} (\\NoInferiors) "/" ${quote(name)}`);
    }
    return DONE;
  };
}

function status(context: Context, [name, items]: readonly Token[]): Answer {
  const box = context.session.store.find(textOf(name));
  if (box === undefined) return no('no such mailbox');
  const values = wordsOf(items).map((item) => `${item} ${statusValue(box, item.toUpperCase())}`);
  context.session.send(`* STATUS ${quote(textOf(name))} (${values.join(' ')})`);
  return DONE;
}

function statusValue(box: Mailbox, item: string): number {
  if (item === 'MESSAGES') return box.messages.length;
  if (item === 'UNSEEN') return box.messages.filter((message) => !message.flags.has('\\Seen')).length;
  if (item === 'UIDNEXT') return box.uidNext;
  if (item === 'UIDVALIDITY') return box.uidValidity;
  return 0;
}

function change(what: (store: MailStore, args: readonly Token[]) => unknown, problem: string): Command {
  return (context, args) => (what(context.session.store, args) ? DONE : no(problem));
}

function subscribeWith(subscribed: boolean): Command {
  return change((store, args) => {
    const box = store.find(textOf(args[0]));
    if (box !== undefined) box.subscribed = subscribed;
    return box;
  }, 'no such mailbox');
}

function append(context: Context, args: readonly Token[]): Answer {
  const box = context.session.store.find(textOf(args[0]));
  const literal = args.at(-1);
  if (box === undefined) return no('[TRYCREATE] no such mailbox');
  if (literal?.kind !== 'string') throw new SyntaxFault('missing message');
  const options = args.slice(1, -1);
  const flags = options.find((option) => option.kind === 'list');
  const date = options.find((option) => option.kind === 'string');
  const uid = box.append(
    Buffer.from(literal.bytes),
    flags === undefined ? [] : wordsOf(flags),
    date === undefined ? new Date() : parseDateTime(textOf(date)),
  );
  return { status: 'OK', text: `[APPENDUID ${box.uidValidity} ${uid}] done` };
}

/** By name in upper case. */
export const MAILBOX_COMMANDS: readonly (readonly [string, Command])[] = [
  ['CAPABILITY', capability],
  ['NOOP', () => DONE],
  ['CHECK', () => DONE],
  ['LOGOUT', logout],
  ['SELECT', selectWith(false)],
  ['EXAMINE', selectWith(true)],
  ['LIST', listWith('LIST')],
  ['LSUB', listWith('LSUB')],
  ['STATUS', status],
  ['CREATE', change((boxes, args) => boxes.create(textOf(args[0])), 'the mailbox exists')],
  ['DELETE', change((boxes, args) => boxes.delete(textOf(args[0])), 'no such mailbox, or INBOX')],
  ['RENAME', change((boxes, args) => boxes.rename(textOf(args[0]), textOf(args[1])), 'cannot be renamed so')],
  ['SUBSCRIBE', subscribeWith(true)],
  ['UNSUBSCRIBE', subscribeWith(false)],
  ['APPEND', append],
];
