/** Questions to a person while a connection is made. Only `pine-rshctl connect` has one to ask. */

export interface PromptRequest {
  /** `passphrase` is ours; the others are the server's, whose words are untrusted. */
  readonly kind: 'passphrase' | 'password' | 'keyboard-interactive';
  /** What it is about: a key file, `pat@mail.example.org:22`. */
  readonly title: string;
  /** What the server says before its questions; '' for none. */
  readonly instructions: string;
  readonly prompts: readonly PromptLine[];
  /** The answers before were not accepted. */
  readonly again: boolean;
}

export interface PromptLine {
  readonly text: string;
  /** False: the answer must not be seen. */
  readonly echo: boolean;
}

/** Gives as many answers as there are prompts; undefined if the person does not want to. */
export type Prompt = (request: PromptRequest) => Promise<readonly string[] | undefined>;
