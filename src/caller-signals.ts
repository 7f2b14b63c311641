/** The signals by which a mail client or a person ends us. */

/** What signals to us do: end the session, the remote command included, or nothing. */
export class CallerSignals {
  readonly #controller = new AbortController();

  /** Aborted by the first that is obeyed; its reason is the signal's name. */
  get gone(): AbortSignal {
    return this.#controller.signal;
  }

  obey(...names: readonly NodeJS.Signals[]): void {
    for (const name of names) process.on(name, () => this.#controller.abort(name));
  }

  ignore(...names: readonly NodeJS.Signals[]): void {
    for (const name of names) process.on(name, () => {});
  }

  /** Back to what they do by themselves. */
  release(...names: readonly NodeJS.Signals[]): void {
    for (const name of names) process.removeAllListeners(name);
  }
}
