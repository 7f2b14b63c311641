/**
 * One try to get into one host: its deadline, and how far it came. The deadline stands still while a person is waited
 * for (a passphrase, the touch of a key): CONNECT_TIMEOUT is about networks.
 */
import { Failure } from '../errors.ts';

/** How far an attempt is. */
export type Stage = 'connecting' | 'exchanging keys' | 'logging in' | 'open';

export class Attempt {
  stage: Stage = 'connecting';
  #unsigned: string | undefined;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onOuterAbort = (): void => this.#controller.abort(this.#outer.reason);
  readonly #onTimeout: () => void;
  #timer: NodeJS.Timeout | undefined;
  #left: number;
  #runningSince = 0;
  #persons = 0;
  #ended = false;

  /**
   * @param seconds CONNECT_TIMEOUT
   * @param outer ends the attempt too; its reason becomes that of `signal`
   */
  constructor(address: string, seconds: number, outer: AbortSignal) {
    this.#outer = outer;
    this.#left = seconds * 1000;
    this.#onTimeout = (): void => {
      this.#controller.abort(new Failure('connect-timeout', { address, seconds, stage: this.stage }));
    };
    if (outer.aborted) this.#onOuterAbort();
    else outer.addEventListener('abort', this.#onOuterAbort, { once: true });
    this.#run();
  }

  /** Aborted with a `Failure` when the time is up, or with the reason of the outer signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The label of the key that an agent has not signed with yet. */
  get unsigned(): string | undefined {
    return this.#unsigned;
  }

  /** Runs an agent's signing, whose time does not count: it may ask a person first, or want to be touched. */
  async waitForAgent<T>(label: string, sign: () => Promise<T>): Promise<T> {
    this.#unsigned = label;
    try {
      return await this.waitForPerson(sign);
    } finally {
      this.#unsigned = undefined;
    }
  }

  /** Runs work whose time does not count. */
  async waitForPerson<T>(work: () => Promise<T>): Promise<T> {
    this.#persons += 1;
    this.#stop();
    try {
      return await work();
    } finally {
      this.#persons -= 1;
      this.#run();
    }
  }

  /** Ends what is still under way. */
  cancel(): void {
    this.#controller.abort(new Error('cancelled'));
  }

  /** To be called whatever the outcome: no timer stays. */
  end(): void {
    this.#stop();
    this.#ended = true;
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }

  #run(): void {
    if (this.#ended || this.#persons > 0 || this.#timer !== undefined) return;
    this.#runningSince = performance.now();
    this.#timer = setTimeout(this.#onTimeout, this.#left);
  }

  #stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#left = Math.max(0, this.#left - (performance.now() - this.#runningSince));
  }
}
