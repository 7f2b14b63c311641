/**
 * Asks a person on the terminal. The question must be safe for it already; the answer stays in memory.
 */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { wrapText } from '../terminal-columns.ts';
import { type Output, printLines } from './output.ts';

export interface QuestionOptions {
  /** False: what is typed is not shown. */
  readonly echo: boolean;
  /** Ends the question; its reason is what `ask` throws. */
  readonly signal: AbortSignal;
}

/**
 * Prints all but the last line of a question, which it gives: the terminal edits only one. Words stay whole.
 *
 * @param question safe for a terminal
 */
export function beginQuestion(question: string, output: Output): string {
  const lines = wrapText(question, output.columns - ANSWER_ROOM);
  const last = lines.pop() ?? '';
  if (lines.length > 0) printLines(output, lines);
  return `${last} `;
}

/** Columns left for a short answer behind a question. */
const ANSWER_ROOM = 12;

/** Gives the line that was typed, undefined at its end (Ctrl-D). */
export type Ask = (question: string, options: QuestionOptions) => Promise<string | undefined>;

/** Asks on this process's own terminal. */
export function askOnTerminal(output: Output): Ask {
  let watching = false;
  return (question, { echo, signal }) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (!watching) process.stdin.on('error', hangUp);
      watching = true;
      const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
      if (!echo) output.stdout.write(question);
      const line = createInterface({
        input: process.stdin,
        output: echo ? process.stdout : nowhere,
        // Also where nothing is shown: it is what switches the terminal's own echo off.
        terminal: true,
        historySize: 0,
      });
      let answer: string | undefined;
      const abort = (): void => line.close();
      signal.addEventListener('abort', abort, { once: true });
      line.on('line', (typed) => {
        answer ??= typed;
        line.close();
      });
      // In raw mode Ctrl-C is a letter like any other.
      line.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      // A process that is stopped in raw mode does not come back: Bun's spins, Node's cannot read.
      line.on('SIGTSTP', () => {});
      line.on('error', hangUp);
      line.on('close', () => {
        signal.removeEventListener('abort', abort);
        if (answer === undefined || !echo) output.stdout.write('\n');
        if (signal.aborted) reject(signal.reason);
        else resolve(answer);
      });
      if (echo) {
        line.setPrompt(question);
        line.prompt();
      }
    });
}

/** A terminal that is closed may be noticed here (EIO, also while echo is switched on again) before its signal comes. */
function hangUp(): void {
  process.kill(process.pid, 'SIGHUP');
}
