/**
 * The head of a message's file: who is to send it where, and what became of it. Pure.
 *
 *     pine-rsh message 1 SIZE      SIZE: 15 digits, bytes of the message; written when it is whole
 *     NOTE                         what happened last, for people; JSON, filled up with blanks to its fixed length
 *     ENVELOPE                     JSON
 *     the message, as it came
 */
import { isPort } from '../argv.ts';
import { MAIL_NOTE_MAX } from '../limits.ts';

/** What it takes to send a message later: the caller's words, not what they meant when it was written. */
export interface Envelope {
  /** HOST as given; the alias is looked up again when the message is sent. */
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly family: 0 | 4 | 6;
  readonly overrides: Readonly<Record<string, string>>;
  /** sendmail's arguments. */
  readonly args: readonly string[];
  /** Milliseconds since 1970. */
  readonly written: number;
}

const MAGIC = 'pine-rsh message 1 ';
const SIZE_DIGITS = 15;
const SIZE_LINE = new RegExp(`^(\\d{${SIZE_DIGITS}})\\n$`);

/** Where NOTE begins. */
export const NOTE_OFFSET = MAGIC.length + SIZE_DIGITS + 1;

export function formatHead(envelope: Envelope): Buffer {
  return Buffer.from(`${formatFirstLine(0)}${formatNote('')}${JSON.stringify(envelope)}\n`);
}

/** Goes to offset 0. */
export function formatFirstLine(size: number): string {
  return `${MAGIC}${String(size).padStart(SIZE_DIGITS, '0')}\n`;
}

/** Goes to NOTE_OFFSET. */
export function formatNote(text: string): string {
  // Escaped to ASCII, so that characters are bytes.
  const ascii = text.replace(/[^\x20-\x7e]+/gu, ' ').replace(/["\\]/g, "'");
  return `${JSON.stringify(ascii.slice(0, MAIL_NOTE_MAX)).padEnd(MAIL_NOTE_MAX + '""'.length)}\n`;
}

export interface Head {
  readonly envelope: Envelope;
  readonly note: string;
  readonly size: number;
  /** Where the message begins. */
  readonly offset: number;
}

/** Reads a head from a file's first bytes; undefined if it is none, damaged, or not whole. */
export function parseHead(bytes: Buffer): Head | undefined {
  const noteEnd = NOTE_OFFSET + formatNote('').length;
  const end = bytes.indexOf('\n', noteEnd);
  const size = SIZE_LINE.exec(bytes.toString('latin1', MAGIC.length, NOTE_OFFSET))?.[1];
  if (end === -1 || size === undefined || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC)
    return undefined;
  try {
    const note: unknown = JSON.parse(bytes.toString('latin1', NOTE_OFFSET, noteEnd));
    const envelope: unknown = JSON.parse(bytes.toString('utf8', noteEnd, end));
    if (typeof note !== 'string' || !isEnvelope(envelope)) return undefined;
    return { size: Number(size), note, envelope, offset: end + 1 };
  } catch {
    return undefined;
  }
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) return false;
  const { host, user, port, family, overrides, args, written } = value as Partial<
    Record<keyof Envelope, unknown>
  >;
  return (
    typeof host === 'string' &&
    (user === undefined || typeof user === 'string') &&
    (port === undefined || isPort(port)) &&
    (family === 0 || family === 4 || family === 6) &&
    typeof overrides === 'object' &&
    overrides !== null &&
    isStrings(Object.values(overrides)) &&
    isStrings(args) &&
    Number.isFinite(written)
  );
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
