/**
 * Ways to log in that need a person: keyboard-interactive (RFC 4256) and password (RFC 4252 section 8), in ssh(1)'s
 * order, each tried as often as ssh does. Only where somebody can be asked; mail streams never come here.
 */
import { PROMPT_LINES_MAX, PROMPT_TEXT_MAX, PROMPTED_ATTEMPTS } from '../limits.ts';
import type { Prompt } from './prompt.ts';

/** For ssh2's `authHandler`. */
export type LoginMethod =
  | { readonly type: 'none'; readonly username: string }
  | { readonly type: 'password'; readonly username: string; readonly password: string }
  | {
      readonly type: 'keyboard-interactive';
      readonly username: string;
      readonly prompt: (
        name: string,
        instructions: string,
        language: string,
        prompts: readonly { readonly prompt: string; readonly echo?: boolean }[],
        finish: (answers: readonly string[]) => void,
      ) => void;
    };

export class PromptedMethods {
  readonly #user: string;
  readonly #title: string;
  readonly #prompt: Prompt;
  /** True once a person has answered the server. */
  asked = false;
  #knowsMethods = false;
  #declined = false;
  #again = false;
  readonly #left = { 'keyboard-interactive': PROMPTED_ATTEMPTS, password: PROMPTED_ATTEMPTS };

  /** @param address names the host in questions */
  constructor(user: string, address: string, prompt: Prompt) {
    this.#user = user;
    this.#title = `${user}@${address}`;
    this.#prompt = prompt;
  }

  /**
   * What to try next; undefined: nothing is left, or the person has had enough.
   *
   * @param offered the methods that the server goes on with; null if it was not asked yet
   */
  async next(offered: readonly string[] | null): Promise<LoginMethod | undefined> {
    if (offered === null) {
      if (this.#knowsMethods) return undefined;
      // Its refusal says which methods there are.
      this.#knowsMethods = true;
      return { type: 'none', username: this.#user };
    }
    const name = (['keyboard-interactive', 'password'] as const).find(
      (each) => offered.includes(each) && this.#left[each] > 0,
    );
    if (name === undefined || this.#declined) return undefined;
    this.#left[name] -= 1;
    // The server comes back to a method only after a no.
    this.#again = this.#left[name] < PROMPTED_ATTEMPTS - 1;
    return name === 'password' ? await this.#password() : this.#interactive();
  }

  async #password(): Promise<LoginMethod | undefined> {
    const [password] =
      (await this.#ask('password', '', [{ text: `${this.#title}'s password: `, echo: false }])) ?? [];
    return password === undefined ? undefined : { type: 'password', username: this.#user, password };
  }

  #interactive(): LoginMethod {
    return {
      type: 'keyboard-interactive',
      username: this.#user,
      prompt: (name, instructions, _language, prompts, finish) => {
        const said = [name, instructions].filter((text) => text.trim() !== '').join('\n');
        const lines = prompts
          .slice(0, PROMPT_LINES_MAX)
          .map(({ prompt, echo }) => ({ text: cut(prompt), echo: echo === true }));
        // The server takes too few answers for a no (RFC 4256 section 3.4).
        void this.#ask('keyboard-interactive', cut(said), lines).then(
          (answers) => finish(answers ?? []),
          () => finish([]),
        );
      },
    };
  }

  async #ask(
    kind: 'password' | 'keyboard-interactive',
    instructions: string,
    prompts: readonly { readonly text: string; readonly echo: boolean }[],
  ): Promise<readonly string[] | undefined> {
    this.asked = true;
    const answers = await this.#prompt({
      kind,
      title: this.#title,
      instructions,
      prompts,
      again: this.#again,
    });
    this.#again = false;
    this.#declined ||= answers === undefined;
    return answers;
  }
}

function cut(text: string): string {
  return text.slice(0, PROMPT_TEXT_MAX);
}
