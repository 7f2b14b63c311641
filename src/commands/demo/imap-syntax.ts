/**
 * The grammar of IMAP commands as a server needs it (RFC 3501 section 9): splitting the stream into commands,
 * a command into tokens, and quoting what goes back.
 */

/** One argument of a command. An atom keeps its text; a `BODY[...]<0.9>` is one atom, whatever stands inside. */
export type Token =
  | { readonly kind: 'atom'; readonly text: string }
  | { readonly kind: 'string'; readonly bytes: Buffer }
  | { readonly kind: 'list'; readonly items: readonly Token[] };

/** What a client sent cannot be understood; the text is for the tagged BAD. */
export class SyntaxFault extends Error {}

/** Most of one command, its literals included. The demo's mailbox lives in memory. */
const COMMAND_MAX = 32 * 1024 * 1024;

/**
 * Collects bytes into commands. A line that ends in `{n}` goes on after n bytes of literal; the client waits for
 * `askForLiteral` first, unless it wrote `{n+}` (RFC 7888).
 */
export class CommandReader {
  readonly #askForLiteral: () => void;
  #bytes: Buffer = Buffer.alloc(0);
  /** Bytes of the command under way that are known to belong to it, literals included. */
  #scanned = 0;

  constructor(askForLiteral: () => void) {
    this.#askForLiteral = askForLiteral;
  }

  /** Takes `chunk` and returns the commands that are now complete, without their final line end. */
  push(chunk: Buffer): Buffer[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const commands: Buffer[] = [];
    while (this.#bytes.length >= this.#scanned) {
      const end = this.#bytes.indexOf(0x0a, this.#scanned);
      if (end < 0) break;
      const line = this.#bytes.toString('latin1', this.#scanned, end + 1);
      const literal = /\{(\d{1,10})(\+?)\}\r?\n$/.exec(line);
      if (literal !== null) {
        const size = Number(literal[1]);
        if (end + size > COMMAND_MAX) throw new SyntaxFault('literal too large');
        if (literal[2] === '') this.#askForLiteral();
        this.#scanned = end + 1 + size;
        continue;
      }
      commands.push(this.#bytes.subarray(0, end - (this.#bytes[end - 1] === 0x0d ? 1 : 0)));
      this.#bytes = this.#bytes.subarray(end + 1);
      this.#scanned = 0;
    }
    if (this.#bytes.length > COMMAND_MAX) throw new SyntaxFault('command too long');
    return commands;
  }
}

/** Splits a command into its tokens. @throws {SyntaxFault} */
export function parseTokens(command: Buffer): Token[] {
  const text = command.toString('latin1');
  let at = 0;

  function readList(closer: ')' | undefined): Token[] {
    const items: Token[] = [];
    for (;;) {
      while (text[at] === ' ') at++;
      const next = text[at];
      if (next === undefined || next === ')') {
        if (next !== closer) throw new SyntaxFault('parentheses do not match');
        at++;
        return items;
      }
      if (next === '(') {
        at++;
        items.push({ kind: 'list', items: readList(')') });
      } else if (next === '"') items.push(readQuoted());
      else if (next === '{') items.push(readLiteral());
      else items.push(readAtom());
    }
  }

  function readQuoted(): Token {
    const quoted = /"((?:[^"\\\r\n]|\\["\\])*)"/y;
    quoted.lastIndex = at;
    const match = quoted.exec(text);
    if (match === null) throw new SyntaxFault('quoted string does not end');
    at = quoted.lastIndex;
    return { kind: 'string', bytes: Buffer.from((match[1] ?? '').replace(/\\(.)/g, '$1'), 'latin1') };
  }

  function readLiteral(): Token {
    const header = /\{(\d+)\+?\}\r?\n/y;
    header.lastIndex = at;
    const match = header.exec(text);
    if (match === null) throw new SyntaxFault('bad literal');
    const start = header.lastIndex;
    at = start + Number(match[1]);
    return { kind: 'string', bytes: command.subarray(start, at) };
  }

  function readAtom(): Token {
    const start = at;
    for (let depth = 0; at < text.length; at++) {
      const character = text[at];
      if (character === '[') depth++;
      else if (character === ']') depth--;
      else if (depth <= 0 && (character === ' ' || character === '(' || character === ')')) break;
    }
    return { kind: 'atom', text: text.slice(start, at) };
  }

  return readList(undefined);
}

/** The text of an atom or string. @throws {SyntaxFault} when the token is missing or a list */
export function textOf(token: Token | undefined): string {
  if (token?.kind === 'atom') return token.text;
  if (token?.kind === 'string') return token.bytes.toString('utf8');
  throw new SyntaxFault('missing argument');
}

/** The words of a list; a single atom counts as a list of one (STORE takes both). */
export function wordsOf(token: Token | undefined): string[] {
  return token?.kind === 'list' ? token.items.map(textOf) : [textOf(token)];
}

/** A sequence set as a test for membership; `*` stands for `last`. @throws {SyntaxFault} */
export function parseSet(text: string, last: number): (value: number) => boolean {
  const value = (word: string): number => (word === '*' ? last : Number(word));
  const ranges = text.split(',').map((part) => {
    const match = /^(\d{1,10}|\*)(?::(\d{1,10}|\*))?$/.exec(part);
    if (match === null) throw new SyntaxFault(`bad sequence set ${text}`);
    const from = value(match[1] ?? '*');
    const to = value(match[2] ?? match[1] ?? '*');
    return [Math.min(from, to), Math.max(from, to)] as const;
  });
  return (candidate) => ranges.some(([from, to]) => candidate >= from && candidate <= to);
}

/** NIL, a quoted string, or a literal where quoting is not allowed. Characters stand for bytes (latin-1). */
export function quote(text: string | undefined): string {
  if (text === undefined) return 'NIL';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these need a literal.
  if (/[\x00\r\n\x80-\uffff]/.test(text)) return `{${text.length}}\r\n${text}`;
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** ` 1-Nov-2026 09:05:00 +0000`, always UTC. */
export function formatDateTime(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':');
  return `${day}-${MONTHS[date.getUTCMonth()]}-${date.getUTCFullYear()} ${time} +0000`;
}

/** Reads a date or date-time of IMAP (`1-Nov-2026`, ` 1-Nov-2026 09:05:00 +0100`). @throws {SyntaxFault} */
export function parseDateTime(text: string): Date {
  const match = /^ ?(\d{1,2})-(\w{3})-(\d{4})(?: (\d\d:\d\d:\d\d) ([+-]\d{4}))?$/.exec(text);
  const month = MONTHS.findIndex((name) => name.toLowerCase() === match?.[2]?.toLowerCase());
  if (match === null || month < 0) throw new SyntaxFault(`bad date ${text}`);
  const [, day = '', , year = '', time = '00:00:00', zone = '+0000'] = match;
  return new Date(`${day} ${MONTHS[month]} ${year} ${time} ${zone}`);
}
