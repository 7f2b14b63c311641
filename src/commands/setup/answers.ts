/**
 * The answers that setup needs: from an option where there is one, else from the person at the terminal, who may take
 * what is proposed with Return. Without a terminal an answer that no option gives is what is proposed with --yes, else
 * a mistake that names the option.
 */
import { Failure } from '../../errors.ts';
import { wrapText } from '../../terminal-columns.ts';
import { escapeForTerminal } from '../../terminal-text.ts';
import { type Output, printLines } from '../output.ts';
import { type Ask, beginQuestion } from '../terminal-question.ts';

/** The person ended his input instead of answering. */
export class Declined extends Error {}

/** Every question that setup has of its own; the others are those of trust and of a login. */
export const QUESTIONS = [
  'alias',
  'replace',
  'place',
  'own-key',
  'key',
  'imapd',
  'sendmail',
  'unmanaged',
  'pinerc',
] as const;

export interface Question {
  readonly name: (typeof QUESTIONS)[number];
  /** Without the question mark or the colon at its end. */
  readonly text: string;
  /** What comes before the question, when a person is asked. */
  readonly about?: readonly string[];
  /** The option that answers it, and what it was given. */
  readonly option: string;
  readonly given: string | undefined;
  /** Undefined: there is no answer that most people would give. */
  readonly proposal: string | undefined;
  /** What is wrong with an answer; undefined: nothing. */
  readonly check: (answer: string) => string | undefined;
}

export interface AnswerContext {
  readonly output: Output;
  readonly ask: Ask;
  readonly signal: AbortSignal;
  /** --yes: take what is proposed. */
  readonly takeProposals: boolean;
}

export class Answers {
  readonly #context: AnswerContext;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  /** @throws {Failure} `usage` @throws {Declined} */
  async get(question: Question): Promise<string> {
    const { given, proposal, check, option } = question;
    const { output, takeProposals } = this.#context;
    if (given !== undefined) {
      const wrong = check(given);
      // What is no option says itself what it is.
      const problem = option.startsWith('--') ? `${option}: ${wrong}` : `${wrong}`;
      if (wrong !== undefined) throw new Failure('usage', { problem });
      return given;
    }
    if (takeProposals && proposal !== undefined) return proposal;
    if (!output.interactive) {
      throw new Failure('usage', { problem: `setup asks on a terminal; without one it needs ${option}` });
    }
    return await this.#ask(question);
  }

  async getYesNo(
    question: Omit<Question, 'check' | 'proposal'> & { readonly proposal: boolean },
  ): Promise<boolean> {
    const answer = await this.get({
      ...question,
      proposal: question.proposal ? 'yes' : 'no',
      check: (text) => (/^(?:y|yes|n|no)$/i.test(text) ? undefined : 'yes or no'),
    });
    return /^y/i.test(answer);
  }

  /** Says something to the person. */
  say(text: string): void {
    const { output } = this.#context;
    printLines(output, wrapText(escapeForTerminal(text), output.columns));
  }

  async #ask({ text, about = [], proposal, check }: Question): Promise<string> {
    const { output, ask, signal } = this.#context;
    for (const line of about) this.say(line);
    const proposed = proposal === undefined ? '' : ` [${proposal}]`;
    for (;;) {
      const question = beginQuestion(escapeForTerminal(`${text}${proposed}?`), output);
      const typed = await ask(question, { echo: true, signal });
      if (typed === undefined) throw new Declined();
      const answer = typed.trim() || proposal;
      const wrong = answer === undefined ? 'please answer' : check(answer);
      if (wrong === undefined && answer !== undefined) return answer;
      this.say(wrong ?? '');
    }
  }
}
