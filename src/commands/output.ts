/**
 * Where a command writes: standard output and error with what is known about the terminal behind them. A command
 * gets one handed in, so that a test can read what it would have shown.
 */
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';

export interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Columns of the terminal; 80 where there is none. */
  readonly columns: number;
  readonly color: boolean;
  /** Standard output is a terminal. */
  readonly terminal: boolean;
  /** Both ends are a terminal: a person reads and can answer. */
  readonly interactive: boolean;
  /** Aborted when nobody reads any more (`pine-rshctl log -f | head`). */
  readonly closed: AbortSignal;
}

/**
 * Only what can be read on a dark and on a light background, in the colours of xterm and those like it. Faint text,
 * green and yellow are none of that.
 *
 * @internal
 */
export const STYLES = { bold: 1, red: 31, magenta: 35 } as const;

/** Wraps `text` in a style (ECMA-48 SGR) where colours are wanted. The text must be safe already. */
export function paint(output: Output, style: keyof typeof STYLES, text: string): string {
  return output.color ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/** Writes lines to standard output. */
export function printLines(output: Output, lines: readonly string[]): void {
  output.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** Writes data for programs: one JSON document, indented, because people look at it too. */
export function printJson(output: Output, data: unknown): void {
  // Beyond ASCII everything is escaped: a file name may hold what a terminal would obey.
  const json = JSON.stringify(data, undefined, 2).replace(
    /[^\n -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  output.stdout.write(`${json}\n`);
}

/** Says on standard error what went wrong and what to do; both may quote strangers. */
export function printProblem(output: Output, problem: string, hint: string | undefined): void {
  const lines = wrapText(`pine-rshctl: ${escapeForTerminal(problem)}`, output.columns);
  const hints = hint === undefined ? [] : indent(`hint: ${escapeForTerminal(hint)}`, output.columns);
  output.stderr.write([...lines, ...hints].map((line) => `${line}\n`).join(''));
}

/** Wraps a paragraph and sets it in by two blanks. */
export function indent(text: string, columns: number): string[] {
  return wrapText(text, columns - 2).map((line) => `  ${line}`);
}
