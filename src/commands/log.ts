/**
 * `pine-rshctl log`: the last lines of pine-rsh's log, and with `-f` those that follow. Remote hosts have their words
 * in it, so nothing of it reaches the terminal unescaped.
 */
import { accessSync, constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { explainSystemError } from '../alias/trusted-path.ts';
import { errnoOf, Failure } from '../errors.ts';
import { logPath } from '../log.ts';
import type { Settings } from '../settings.ts';
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { declareCommand } from './command.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import { LOG_LINES, LOG_POLL_MS } from './limits.ts';
import { type Output, printLines, printProblem } from './output.ts';

export const logCommand = declareCommand({
  name: 'log',
  summary: 'show the log, where pine-rsh writes what mail clients cannot show',
  operands: {},
  options: {
    follow: { kind: 'switch', short: 'f', summary: 'wait for more until interrupted' },
    lines: { kind: 'count', short: 'n', summary: 'how many lines to begin with', preset: LOG_LINES },
  },
  examples: [['-f', 'watch while Alpine opens a folder']],
  run: async ({ settings, output }, args) => await runLog(settings, args, output),
});

export interface LogOptions {
  readonly follow: boolean;
  readonly lines: number;
}

/**
 * Returns 0 at the end of the log; with `follow` never before it is interrupted.
 *
 * @throws {Failure} `file-unreadable`, `file-unusable`
 */
export async function runLog(settings: Settings, options: LogOptions, output: Output): Promise<number> {
  const path = logPath(settings.stateDir);
  if (!options.follow) {
    const lines = splitLines(await readOrEmpty(path));
    const older = lines.length < options.lines ? splitLines(await readOrEmpty(`${path}.1`)) : [];
    const all = [...older, ...lines];
    if (all.length === 0) printProblem(output, `nothing is logged yet in ${path}`, undefined);
    printEscaped(output, all.slice(Math.max(0, all.length - options.lines)));
    return 0;
  }
  return await withInterrupt(output, async (signal) => {
    const follower = new LogFollower(path);
    try {
      const first = await follower.read();
      const older = first.length < options.lines ? splitLines(await readOrEmpty(`${path}.1`)) : [];
      const all = [...older, ...first];
      printEscaped(output, all.slice(Math.max(0, all.length - options.lines)));
      while (!signal.aborted) {
        await sleep(LOG_POLL_MS, undefined, { signal }).catch(() => {});
        printEscaped(output, await follower.read());
      }
      return exitStatus(signal);
    } finally {
      await follower.close();
    }
  });
}

function printEscaped(output: Output, lines: readonly Buffer[]): void {
  const escaped = lines.map(escapeForTerminal);
  if (lines.length > 0)
    printLines(output, output.terminal ? escaped.flatMap((line) => wrapLine(line, output)) : escaped);
}

/** Only for the eye: a program gets a line as a line. */
function wrapLine(line: string, { columns }: Output): string[] {
  return wrapText(line, columns - 2).map((part, at) => (at === 0 ? part : `  ${part}`));
}

async function readOrEmpty(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return Buffer.alloc(0);
    throw explainLogError(thrown, path);
  }
}

/** It may be the folder, not the file, that keeps us out. */
function explainLogError(error: unknown, path: string): Failure {
  const file = dirname(path);
  const code = errnoOf(error);
  if (code === 'ENOTDIR')
    return new Failure('file-unusable', { file, why: 'is not a folder', remedy: 'move it away' });
  if (code === 'EACCES' && !canEnter(file)) {
    const why = 'permission denied';
    return new Failure('file-unreadable', { file, why, remedy: `chmod u+rwx ${file}` }, { cause: error });
  }
  return explainSystemError(error, path, 'u+r');
}

function canEnter(folder: string): boolean {
  try {
    accessSync(folder, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const LINE_FEED = 0x0a;

/** The lines of a text; one that has no end yet counts too. */
function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  if (start < bytes.length) lines.push(bytes.subarray(start));
  return lines;
}

/**
 * Reads a growing file from where it stopped. The file is held open, so that lines written just before it became
 * `log.1` are not missed; only then the new one is opened.
 */
class LogFollower {
  readonly #path: string;
  #file: FileHandle | undefined;
  #offset = 0;
  #partial: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  /** The complete lines that came since the last call. */
  async read(): Promise<Buffer[]> {
    this.#file ??= await openOrNothing(this.#path);
    if (this.#file === undefined) return [];
    const chunks = [this.#partial, await this.#readRest(this.#file)];
    const next = await openOrNothing(this.#path);
    if (next !== undefined && !(await isSameFile(next, this.#file))) {
      chunks.push(await this.#readRest(this.#file));
      await this.#file.close();
      this.#file = next;
      this.#offset = 0;
      chunks.push(await this.#readRest(next));
    } else await next?.close();
    const bytes = Buffer.concat(chunks);
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    this.#partial = bytes.subarray(end);
    return splitLines(bytes.subarray(0, end));
  }

  async #readRest(file: FileHandle): Promise<Buffer> {
    const { size } = await file.stat();
    // Somebody emptied it.
    if (size < this.#offset) this.#offset = 0;
    const bytes = Buffer.alloc(size - this.#offset);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, this.#offset).catch((thrown) => {
      throw explainLogError(thrown, this.#path);
    });
    this.#offset += bytesRead;
    return bytes.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

async function openOrNothing(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return undefined;
    throw explainLogError(thrown, path);
  }
}

async function isSameFile(a: FileHandle, b: FileHandle): Promise<boolean> {
  const [first, second] = await Promise.all([a.stat(), b.stat()]);
  return first.ino === second.ino && first.dev === second.dev;
}
