/**
 * Does a call lead to this broker's alias, as that stands in its file now? A mail client makes the same call for each
 * folder, so it is looked up the moment somebody connects: that takes as long as the client needs to write it.
 */
import { Failure } from '../errors.ts';
import { BROKER_TAKE_MS } from '../limits.ts';
import type { Call } from './call.ts';
import { type CallQuery, findWanted, readCall } from './take-request.ts';

export class CallCheck {
  readonly #fileName: string;
  readonly #onBug: (error: unknown) => void;
  #last: Call | undefined;
  /** What it asks for, which only its words and its environment tell; undefined: nothing that is here. */
  #query: CallQuery | undefined;
  /** About the last call, for whoever has connected since. */
  #foreseen: boolean | undefined;
  #foreseenAt = 0;

  /**
   * @param fileName the name of this broker's socket
   * @param onBug told of what no client would say
   */
  constructor(fileName: string, onBug: (error: unknown) => void) {
    this.#fileName = fileName;
    this.#onBug = onBug;
  }

  /** A client has connected. */
  foresee(): void {
    this.#foreseen = this.#last === undefined ? undefined : this.#check();
    this.#foreseenAt = performance.now();
  }

  /** This is what it calls for. */
  leadsHere(call: Call): boolean {
    if (!isSameCall(call, this.#last)) {
      this.#last = call;
      this.#query = this.#find(() => readCall(call));
      this.#foreseen = undefined;
    }
    // Not for a client that was stopped in between: what it asks for may have changed.
    const fresh = performance.now() - this.#foreseenAt < BROKER_TAKE_MS;
    const foreseen = fresh ? this.#foreseen : undefined;
    this.#foreseen = undefined;
    return foreseen ?? this.#check();
  }

  #check(): boolean {
    const query = this.#query;
    return query !== undefined && this.#find(() => findWanted(query)) === this.#fileName;
  }

  #find<T>(find: () => T): T | undefined {
    try {
      return find();
    } catch (error) {
      // A failure the client finds by itself, and says what it is.
      if (!(error instanceof Failure)) this.#onBug(error);
      return undefined;
    }
  }
}

function isSameCall(call: Call, other: Call | undefined): boolean {
  return JSON.stringify(call) === JSON.stringify(other);
}
