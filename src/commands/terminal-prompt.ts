/**
 * Passes the questions of a login on to a person. What a server says is shown as its words, behind the name it was
 * reached by, and never obeyed by the terminal: it cannot look like a question of ours.
 */
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import type { Prompt } from '../transport/prompt.ts';
import { type Output, printLines } from './output.ts';
import { type Ask, beginQuestion } from './terminal-question.ts';

/** Asks one after the other; undefined as soon as the person ends his input. */
export function createPrompt(ask: Ask, output: Output, signal: AbortSignal): Prompt {
  return async ({ kind, title, instructions, prompts, again }) => {
    if (again) printLines(output, ['not accepted; try again']);
    // As ssh(1) does.
    const speaker = kind === 'keyboard-interactive' ? `(${title}) ` : '';
    const show = (line: string): void => {
      printLines(output, wrapText(clean(speaker + line), output.columns));
    };
    for (const line of splitLines(instructions)) if (line.trim() !== '') show(line);
    const answers: string[] = [];
    for (const { text, echo } of prompts) {
      const lines = splitLines(text);
      const question = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') show(line);
      const last = beginQuestion(clean(`${speaker}${question.trimEnd()}`), output);
      const answer = await ask(last, { echo, signal });
      if (answer === undefined) return undefined;
      answers.push(answer);
    }
    return answers;
  };
}

function splitLines(text: string): string[] {
  return text.split(/\r\n|\r|\n/);
}

function clean(text: string): string {
  return escapeForTerminal(text.replaceAll('\t', ' '));
}
