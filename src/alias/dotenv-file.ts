/**
 * The syntax of alias files: dotenv's, read strictly. dotenv gives the values, so that quoting means what it means
 * everywhere; but it silently drops lines it does not understand, cuts values at `#` and lets the last of two equal
 * keys win. In a file that decides about logins each of these is an error here, with its line.
 *
 * The only user of `dotenv`. Its grammar is loose (a value may begin on the next line, `\'` ends a quote or not
 * depending on what follows), so this scan takes the part of it on which both cannot but agree, and then checks that
 * they do.
 */
import { Failure } from '../errors.ts';
import { loadBuiltin } from '../load-builtin.ts';
import { explainLine, explainText } from './mistaken-line.ts';

/** One `KEY=VALUE`. */
export interface DotenvEntry {
  readonly key: string;
  readonly value: string;
  /** Where the key stands; 1 is the first line. */
  readonly line: number;
}

/** How far the text has been read. */
interface Scan {
  readonly text: string;
  readonly file: string;
  at: number;
  line: number;
}

const NEWLINE = 10;
const HASH = 35;

/**
 * Nothing here can be read in two ways: blank lines, comments, and `KEY=VALUE` in plain characters. Most alias files
 * are so, and loading dotenv, with all that it loads, takes 1 ms that every folder would wait for.
 */
const PLAIN_TEXT =
  /^(?:[ \t]*(?:#[\t !#-&(-_a-~]*)?\n|[A-Z_]+=[!$-&(-[\]-_a-~](?:[ !$-&(-[\]-_a-~]*[!$-&(-[\]-_a-~])?(?:\n|$))*$/;

/**
 * The text of an alias file. A byte order mark at its start is dropped and CRLF becomes LF.
 *
 * @throws {Failure} `alias-syntax` if it is not UTF-8
 */
export function decodeDotenv(bytes: Buffer, file: string): string {
  const text = bytes.toString('utf8');
  // What is not UTF-8 becomes this character; a file may also contain it.
  if (!text.includes('\ufffd') || isUtf8(bytes)) return text;
  let line = 1;
  for (let start = 0; start < bytes.length; line += 1) {
    const found = bytes.indexOf(NEWLINE, start);
    const end = found === -1 ? bytes.length : found;
    if (!isUtf8(bytes.subarray(start, end))) break;
    start = end + 1;
  }
  throw syntaxError(file, line, 'bytes that are not UTF-8', 'save the file as UTF-8');
}

/**
 * All entries of a text, in their order. Accepted texts give exactly what `dotenv.parse` gives.
 *
 * @throws {Failure} `alias-syntax`; no part of a value is in it
 */
export function parseDotenv(text: string, file: string): DotenvEntry[] {
  const mended = mendLineEnds(text);
  const plain = PLAIN_TEXT.test(mended);
  if (!plain) {
    checkCharacters(mended, file);
    const twin = explainText(mended);
    if (twin !== undefined) throw syntaxError(file, twin.line, twin.problem, twin.remedy);
  }
  const entries = plain ? splitPlainText(mended) : scanText(mended, file);
  const lines = new Map<string, number>();
  for (const { key, line } of entries) {
    const first = lines.get(key);
    if (first !== undefined) {
      throw syntaxError(file, line, `${key} is given twice`, `remove it here or on line ${first}`);
    }
    lines.set(key, line);
  }
  return plain ? entries : agreeWithDotenv(mended, entries, file);
}

/** By the runtime's own functions: where a name from ALIASES is looked for, all files of a folder are read. */
function splitPlainText(text: string): DotenvEntry[] {
  const entries: DotenvEntry[] = [];
  let line = 0;
  for (const row of text.split('\n')) {
    line += 1;
    const equals = row.indexOf('=');
    // A comment may hold one, behind its #.
    if (equals === -1 || row.trimStart().startsWith('#')) continue;
    entries.push({ key: row.slice(0, equals), value: row.slice(equals + 1), line });
  }
  return entries;
}

function scanText(text: string, file: string): DotenvEntry[] {
  const scan: Scan = { text, file, at: 0, line: 1 };
  const entries: DotenvEntry[] = [];
  while (scan.at < text.length) {
    const entry = readLine(scan);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** dotenv has the last word on values; where it sees other keys or values than the scan did, nobody is believed. */
function agreeWithDotenv(text: string, entries: DotenvEntry[], file: string): DotenvEntry[] {
  const values = loadDotenv().parse(text);
  for (const { key, value, line } of entries) {
    if (!Object.hasOwn(values, key) || values[key] !== value) {
      throw syntaxError(file, line, 'a line that can be read in two ways', 'put the value in single quotes');
    }
  }
  if (Object.keys(values).length !== entries.length) {
    throw syntaxError(file, 1, 'lines that can be read in two ways', 'put all values in single quotes');
  }
  return entries;
}

/** Both builds have a `require` that finds it in themselves; the sources, run as they are, have none. */
function loadDotenv(): typeof import('dotenv') {
  if (typeof require === 'function') return require('dotenv');
  const { createRequire } = loadBuiltin('node:module') as typeof import('node:module');
  return createRequire(import.meta.url)('dotenv');
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function mendLineEnds(text: string): string {
  const start = text.startsWith('\ufeff') ? 1 : 0;
  const body = start === 0 ? text : text.slice(start);
  return body.includes('\r') ? body.replaceAll('\r\n', '\n') : body;
}

/** What no editor shows may not decide anything: control characters, and the line ends only dotenv's regexp sees. */
function checkCharacters(text: string, file: string): void {
  let line = 1;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === NEWLINE) line += 1;
    else if ((code < 32 && code !== 9) || code === 127 || code === 0x2028 || code === 0x2029) {
      const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
      throw syntaxError(file, line, `an invisible character (${name})`, 'remove it');
    }
  }
}

/** Reads the line at `scan.at` (more lines when a quoted value spans them) and goes on to the next. */
function readLine(scan: Scan): DotenvEntry | undefined {
  const { text, file, line } = scan;
  const start = scan.at;
  const end = lineEnd(text, start);
  const first = skipBlanks(text, start);
  if (first === end || text.charCodeAt(first) === HASH) {
    goOn(scan, end);
    return undefined;
  }
  const [keyStart, keyEnd] = findKey(text, first);
  const equals = skipBlanks(text, keyEnd);
  if (keyStart === keyEnd || text[equals] !== '=') {
    const { problem, remedy } = explainLine(text.slice(first, end));
    throw syntaxError(file, line, problem, remedy);
  }
  const key = text.slice(keyStart, keyEnd);
  const valueStart = skipBlanks(text, equals + 1);
  const quote = text[valueStart];
  const value =
    quote === "'" || quote === '"' || quote === '`'
      ? readQuoted(scan, key, valueStart, quote)
      : readBare(scan, key, valueStart, end);
  return { key, value, line };
}

/** The bounds of the key that begins at `first`; equal when there is none. `export` may stand before it. */
function findKey(text: string, first: number): [start: number, end: number] {
  const end = skipWord(text, first);
  if (end - first !== 'export'.length || !text.startsWith('export', first)) return [first, end];
  const next = skipBlanks(text, end);
  const nextEnd = skipWord(text, next);
  return next > end && nextEnd > next ? [next, nextEnd] : [first, end];
}

function readQuoted(scan: Scan, key: string, open: number, quote: string): string {
  const { text, file, line } = scan;
  const close = text.indexOf(quote, open + 1);
  if (close === -1) {
    throw syntaxError(
      file,
      line,
      `the quote before the value of ${key} is not closed`,
      `close it with ${quote}`,
    );
  }
  if (text[close - 1] === '\\') {
    // dotenv keeps the backslash, and whether it ends the quote there depends on the lines that follow.
    const remedy = 'dotenv has no escaped quotes: use another kind of quotes around the value';
    throw syntaxError(file, line, `a backslash before a quote in the value of ${key}`, remedy);
  }
  const end = lineEnd(text, close);
  const after = skipBlanks(text, close + 1);
  if (after !== end && text.charCodeAt(after) !== HASH) {
    const remedy = 'put one pair of quotes around the whole value, of a kind it does not contain';
    throw syntaxError(file, line, `text after the closing quote of ${key}`, remedy);
  }
  const value = text.slice(open + 1, close);
  for (const char of value) if (char === '\n') scan.line += 1;
  goOn(scan, end);
  return quote === '"' ? value.replaceAll('\\n', '\n').replaceAll('\\r', '\r') : value;
}

function readBare(scan: Scan, key: string, start: number, end: number): string {
  const { text, file, line } = scan;
  const hash = text.indexOf('#', start);
  if (hash !== -1 && hash < end) {
    const remedy = 'put the value in quotes, or the comment on a line of its own';
    throw syntaxError(file, line, `an unquoted # cuts the value of ${key}`, remedy);
  }
  let last = end;
  while (last > start && isBlank(text.charCodeAt(last - 1))) last -= 1;
  const value = text.slice(start, last);
  if (/[^\S \t]/.test(value)) {
    throw syntaxError(file, line, `an unusual blank in the value of ${key}`, 'type a plain one');
  }
  goOn(scan, end);
  return value;
}

function goOn(scan: Scan, end: number): void {
  scan.at = end + 1;
  scan.line += 1;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (isBlank(text.charCodeAt(at))) at += 1;
  return at;
}

/** dotenv's key characters: ASCII letters, digits, `_`, `.` and `-`. */
function skipWord(text: string, from: number): number {
  let at = from;
  while (at < text.length && isWordCharacter(text.charCodeAt(at))) at += 1;
  return at;
}

function isWordCharacter(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 46 ||
    code === 45
  );
}

function syntaxError(file: string, line: number, problem: string, remedy: string): Failure {
  return new Failure('alias-syntax', { file, line, problem, remedy });
}
