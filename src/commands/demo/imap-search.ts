/**
 * SEARCH: turns the keys of RFC 3501 section 6.4.4 into one test for a message.
 */
import { parseDateTime, parseSet, type Token, textOf } from './imap-syntax.ts';
import type { StoredMessage } from './mail-store.ts';
import { findField, parsePart } from './mime.ts';

/** A message with the number it has for this client. */
export interface Numbered {
  readonly number: number;
  readonly message: StoredMessage;
}

type Test = (candidate: Numbered) => boolean;

/** What `*` stands for. */
export interface Bounds {
  readonly lastNumber: number;
  readonly lastUid: number;
}

const FLAG_KEYS: Readonly<Record<string, string>> = {
  ANSWERED: '\\Answered',
  DELETED: '\\Deleted',
  DRAFT: '\\Draft',
  FLAGGED: '\\Flagged',
  SEEN: '\\Seen',
};

/** The test that all keys together make. @throws {SyntaxFault} */
export function parseSearch(tokens: readonly Token[], bounds: Bounds): Test {
  const queue = [...tokens];
  if (queue[0]?.kind === 'atom' && queue[0].text.toUpperCase() === 'CHARSET') queue.splice(0, 2);
  const tests: Test[] = [];
  while (queue.length > 0) tests.push(takeKey(queue, bounds));
  return (candidate) => tests.every((passes) => passes(candidate));
}

function takeKey(queue: Token[], bounds: Bounds): Test {
  const token = queue.shift();
  if (token?.kind === 'list') return parseSearch(token.items, bounds);
  const key = textOf(token).toUpperCase();
  const argument = (): string => textOf(queue.shift());
  const flagged = FLAG_KEYS[key];
  if (flagged !== undefined) return ({ message }) => message.flags.has(flagged);
  const unflagged = key.startsWith('UN') ? FLAG_KEYS[key.slice(2)] : undefined;
  if (unflagged !== undefined) return ({ message }) => !message.flags.has(unflagged);
  switch (key) {
    case 'ALL':
    case 'OLD':
      return () => true;
    case 'NEW':
    case 'RECENT':
      return () => false;
    case 'NOT': {
      const inner = takeKey(queue, bounds);
      return (candidate) => !inner(candidate);
    }
    case 'OR': {
      const [first, second] = [takeKey(queue, bounds), takeKey(queue, bounds)];
      return (candidate) => first(candidate) || second(candidate);
    }
    case 'UID': {
      const has = parseSet(argument(), bounds.lastUid);
      return ({ message }) => has(message.uid);
    }
    case 'KEYWORD':
    case 'UNKEYWORD': {
      const flag = argument();
      return ({ message }) => message.flags.has(flag) === (key === 'KEYWORD');
    }
    case 'LARGER':
    case 'SMALLER': {
      const size = Number(argument());
      return ({ message }) => (key === 'LARGER' ? message.raw.length > size : message.raw.length < size);
    }
    case 'FROM':
    case 'TO':
    case 'CC':
    case 'BCC':
    case 'SUBJECT':
      return headerTest(key, argument());
    case 'HEADER':
      return headerTest(argument(), argument());
    case 'BODY':
    case 'TEXT': {
      const wanted = fold(argument());
      return ({ message }) => {
        const text = message.raw.toString('utf8');
        return fold(key === 'TEXT' ? text : parsePart(text).body).includes(wanted);
      };
    }
    case 'BEFORE':
    case 'ON':
    case 'SINCE':
      return dateTest(key, argument(), (message) => message.received);
    case 'SENTBEFORE':
    case 'SENTON':
    case 'SENTSINCE':
      return dateTest(key.slice('SENT'.length), argument(), (message) => new Date(field(message, 'date')));
    default: {
      const has = parseSet(key, bounds.lastNumber);
      return ({ number }) => has(number);
    }
  }
}

const fold = (text: string): string => text.toLowerCase();

function field(message: StoredMessage, name: string): string {
  return findField(parsePart(message.raw.toString('utf8')).header, fold(name)) ?? '';
}

function headerTest(name: string, wanted: string): Test {
  return ({ message }) => fold(field(message, name)).includes(fold(wanted));
}

function dateTest(key: string, text: string, dateOf: (message: StoredMessage) => Date): Test {
  const day = parseDateTime(text).toISOString().slice(0, 10);
  return ({ message }) => {
    const date = dateOf(message);
    if (Number.isNaN(date.getTime())) return false;
    const other = date.toISOString().slice(0, 10);
    if (key === 'BEFORE') return other < day;
    return key === 'ON' ? other === day : other >= day;
  };
}
