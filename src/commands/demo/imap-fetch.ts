/**
 * FETCH: which items a client may ask for and what is answered (RFC 3501 sections 6.4.5 and 7.4.2).
 */
import { formatDateTime, quote, SyntaxFault, type Token, textOf } from './imap-syntax.ts';
import type { StoredMessage } from './mail-store.ts';
import { formatEnvelope, formatStructure, listFields, type Part, parsePart } from './mime.ts';

const MACROS: Readonly<Record<string, readonly string[]>> = {
  ALL: ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE'],
  FAST: ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'],
  FULL: ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY'],
};

/** The items of a FETCH as words in upper case (but for header names, which are echoed as they came). */
export function parseItems(token: Token | undefined): string[] {
  if (token?.kind === 'list') return token.items.map(textOf).map(upperOutsideBrackets);
  const word = upperOutsideBrackets(textOf(token));
  return [...(MACROS[word] ?? [word])];
}

function upperOutsideBrackets(word: string): string {
  return word.replace(/^[^[]*/, (head) => head.toUpperCase());
}

/** True when fetching `item` marks the message as read. */
export function setsSeen(item: string): boolean {
  return item.startsWith('BODY[') || item === 'RFC822' || item === 'RFC822.TEXT';
}

/** `name value` of one item of one message, characters standing for bytes. @throws {SyntaxFault} */
export function formatItem(item: string, message: StoredMessage): string {
  const raw = message.raw.toString('latin1');
  const part = (): Part => parsePart(raw);
  switch (item) {
    case 'FLAGS':
      return formatFlags(message);
    case 'UID':
      return `UID ${message.uid}`;
    case 'INTERNALDATE':
      return `INTERNALDATE ${quote(formatDateTime(message.received))}`;
    case 'RFC822.SIZE':
      return `RFC822.SIZE ${message.raw.length}`;
    case 'ENVELOPE':
      return `ENVELOPE ${formatEnvelope(part().header)}`;
    case 'BODY':
      return `BODY ${formatStructure(part(), false)}`;
    case 'BODYSTRUCTURE':
      return `BODYSTRUCTURE ${formatStructure(part(), true)}`;
    case 'RFC822':
      return `RFC822 ${literal(raw)}`;
    case 'RFC822.HEADER':
      return `RFC822.HEADER ${literal(part().header)}`;
    case 'RFC822.TEXT':
      return `RFC822.TEXT ${literal(part().body)}`;
    default:
      return formatSection(item, part());
  }
}

/** `FLAGS (\Seen ...)`, also for the updates nobody asked for. */
export function formatFlags(message: StoredMessage): string {
  return `FLAGS (${[...message.flags].join(' ')})`;
}

function literal(text: string): string {
  return `{${text.length}}\r\n${text}`;
}

function formatSection(item: string, root: Part): string {
  const match = /^BODY(?:\.PEEK)?\[(.*)\](?:<(\d+)\.(\d+)>)?$/s.exec(item);
  if (match === null) throw new SyntaxFault(`unknown item ${item}`);
  const [, section = '', start, count] = match;
  const text = readSection(section, root);
  const name = `BODY[${section}]${start === undefined ? '' : `<${start}>`}`;
  if (text === undefined) return `${name} NIL`;
  const from = Number(start ?? 0);
  return `${name} ${literal(start === undefined ? text : text.slice(from, from + Number(count)))}`;
}

/** The text of a section; undefined when the message has no such part. */
function readSection(section: string, root: Part): string | undefined {
  const [, numbers = '', what = ''] = /^((?:\d+(?:\.|$))*)(.*)$/s.exec(section) ?? [];
  let part = root;
  for (const number of numbers.split('.').filter((word) => word !== '')) {
    const next = childOf(part, Number(number));
    if (next === undefined) return undefined;
    part = next;
  }
  if (what === 'MIME') return numbers === '' ? undefined : part.header;
  if (what === '') return numbers === '' ? part.header + part.body : part.body;
  const message = numbers !== '' && part.type === 'message' ? part.children[0] : part;
  if (message === undefined) return undefined;
  const words = what.replace(/[()"]/g, ' ').split(/\s+/);
  const kind = words.shift()?.toUpperCase();
  if (kind === 'HEADER') return message.header;
  if (kind === 'TEXT') return message.body;
  if (kind !== 'HEADER.FIELDS' && kind !== 'HEADER.FIELDS.NOT')
    throw new SyntaxFault(`bad section ${section}`);
  const wanted = new Set(words.map((word) => word.toLowerCase()));
  const kept = listFields(message.header).filter(
    (field) => wanted.has(field.name.toLowerCase()) === (kind === 'HEADER.FIELDS'),
  );
  return `${kept.map((field) => field.raw).join('')}\r\n`;
}

/** Part `number` of a part: of a multipart its child, of anything else part 1 is the body itself. */
function childOf(part: Part, number: number): Part | undefined {
  const holder = part.type === 'message' ? (part.children[0] ?? part) : part;
  if (holder.type === 'multipart') return holder.children[number - 1];
  return number === 1 ? holder : undefined;
}
