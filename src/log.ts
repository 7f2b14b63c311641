/**
 * The one mouth: everything the program says about itself goes through here, to the log file or to fd 2.
 *
 * Voice: prefix `pine-rsh:`, lower case, no full stop, what happened before what to do. In a mail stream fd 2 is the
 * mail client's IMAP input (c-client joins fd 1 and fd 2), so there only the log file is written; `main` decides.
 *
 * The log is logfmt, one line per event: `2026-01-02T03:04:05.678Z 4711 open alias=work route=direct ms=71`. Values
 * are escaped to printable ASCII: remote strings end up here and are read on terminals. The file is private (0600 in
 * a 0700 folder) and never grows beyond one rotation. A log that cannot be written never costs a session.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { LOG_FILE_MAX, LOG_VALUE_MAX } from './limits.ts';
import { escapeForTerminal } from './terminal-text.ts';
import { writeAll } from './write-all.ts';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export class Log {
  readonly #stateDir: string;
  readonly #verbosity: number;
  #broken = false;

  /** Touches nothing before the first line. `verbosity` 0 keeps details out. */
  constructor(stateDir: string, verbosity: number) {
    this.#stateDir = stateDir;
    this.#verbosity = verbosity;
  }

  /** One line that is always kept: an open and its outcome, a refusal, something skipped. */
  record(event: string, fields: LogFields): void {
    if (this.#broken) return;
    try {
      appendLog(this.#stateDir, event, fields);
    } catch {
      // Full disk, read-only home: mail matters more than its log.
      this.#broken = true;
    }
  }

  /** One line for `-v`. */
  detail(event: string, fields: LogFields): void {
    if (this.#verbosity > 0) this.record(event, fields);
  }
}

/** Writes one line. @throws a system error where it cannot */
export function appendLog(stateDir: string, event: string, fields: LogFields): void {
  const line = formatLine(new Date(), process.pid, event, fields);
  const file = openLogFile(stateDir);
  try {
    writeSync(file, line);
  } finally {
    closeSync(file);
  }
}

/**
 * Sends to the log what runtimes and libraries print of their own accord: warnings of Node, complaints of WebAssembly. A
 * mail client would take it for IMAP.
 */
export function captureConsole(log: Pick<Log, 'record'>): void {
  const record = (...words: unknown[]): void => log.record('console', { text: words.map(String).join(' ') });
  Object.assign(console, {
    debug: record,
    error: record,
    info: record,
    log: record,
    trace: record,
    warn: record,
  });
  // Node's own listener is the one that prints.
  process.removeAllListeners('warning');
  process.on('warning', record);
}

/** The log's path below the state folder. */
export function logPath(stateDir: string): string {
  return join(stateDir, 'log');
}

/** Opens the log for one line; a file that has grown too long becomes `log.1` first. */
function openLogFile(stateDir: string): number {
  const path = logPath(stateDir);
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  // O_NONBLOCK: opening a FIFO must not wait for a reader.
  const flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
  let file: number;
  try {
    file = openSync(path, flags, 0o600);
  } catch {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    file = openSync(path, flags, 0o600);
  }
  const stat = fstatSync(file);
  if ((stat.mode & 0o077) !== 0) fchmodSync(file, 0o600);
  if (stat.size <= LOG_FILE_MAX) return file;
  closeSync(file);
  // Two processes may rotate at once: the second finds a new, short file or none; at worst one old log is shorter.
  renameSync(path, `${path}.1`);
  return openSync(path, flags, 0o600);
}

/** @internal */
export function formatLine(time: Date, pid: number, event: string, fields: LogFields): string {
  let line = `${time.toISOString()} ${pid} ${event}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${name}=${formatValue(value)}`;
  }
  return `${line}\n`;
}

function formatValue(value: string | number | boolean): string {
  if (typeof value !== 'string') return String(value);
  const short = value.length > LOG_VALUE_MAX ? `${value.slice(0, LOG_VALUE_MAX)}...` : value;
  if (/^[\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+$/.test(short)) return short;
  // JSON's escapes for control characters and quotes, and \u for all that is not ASCII.
  return JSON.stringify(short).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Writes one line to fd 2, synchronously; errors are ignored, as there is nobody to tell. It may hold a remote's words. */
export function say(text: string): void {
  writeAll(2, `pine-rsh: ${escapeForTerminal(text)}\n`);
}
