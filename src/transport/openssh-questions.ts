/** Who answers what ssh asks while it logs in: a person (`pine-rshctl connect`), a program that the user names, or nobody. */
import { Failure } from '../errors.ts';
import type { Attempt } from './attempt.ts';
import type { DialContext } from './dial.ts';
import { type Askpass, openAskpass } from './openssh-askpass.ts';
import type { SshHost, SshOptions } from './openssh-options.ts';
import type { Prompt } from './prompt.ts';

export class Questions {
  readonly kind: SshOptions['questions'];
  readonly #context: DialContext;
  readonly #attempt: Attempt;
  readonly #passphraseCommand: string | undefined;
  readonly #asked = new Set<string>();
  #answeredServer = false;
  #waiting = false;

  constructor(route: readonly SshHost[], attempt: Attempt, context: DialContext) {
    const { prompt, settings } = context;
    this.#context = context;
    this.#attempt = attempt;
    // One program answers for all hosts of the way; a passphrase that does not fit a gateway's key does no harm.
    this.#passphraseCommand = route
      .map(({ alias }) => alias.passphraseCommand)
      .findLast((command) => command !== undefined);
    const hasProgram = this.#passphraseCommand !== undefined || settings.askpass !== undefined;
    this.kind = prompt !== undefined ? 'all' : hasProgram ? 'passphrases' : 'none';
  }

  openAskpass(folder: string): Askpass | undefined {
    const { prompt, settings } = this.#context;
    if (prompt === undefined && this.#passphraseCommand === undefined) {
      return settings.askpass === undefined ? undefined : { program: settings.askpass, stop: () => {} };
    }
    return openAskpass(
      folder,
      this.#passphraseCommand,
      prompt && ((question) => this.#ask(question, prompt)),
    );
  }

  /** Somebody is waited for from now on; the outer deadline goes on. */
  wait(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    void this.#attempt.waitForPerson(() => new Promise(() => {}));
  }

  explain(error: unknown): unknown {
    if (!this.#answeredServer || !(error instanceof Failure) || !error.code.startsWith('login-'))
      return error;
    const { address = '', user = '' } = error.facts as Readonly<Record<string, string>>;
    return new Failure('answers-refused', { address, user }, { cause: error });
  }

  async #ask(question: string, prompt: Prompt): Promise<string | undefined> {
    const key = /^Enter passphrase for (?:key )?'?(.*?)'?: ?$/.exec(question)?.[1];
    const kind =
      key !== undefined
        ? 'passphrase'
        : /'s password: ?$/.test(question)
          ? 'password'
          : 'keyboard-interactive';
    if (key === undefined) this.#answeredServer = true;
    const again = this.#asked.has(question);
    this.#asked.add(question);
    const prompts = [{ text: question, echo: false }];
    const answers = await this.#attempt.waitForPerson(() =>
      prompt({ kind, title: key ?? 'ssh', instructions: '', prompts, again }),
    );
    return answers?.[0];
  }
}
