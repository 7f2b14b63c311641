/**
 * Does a call lead to this broker's alias, as that stands in its file now? A mail client makes the same call for each
 * folder, so it is looked up the moment somebody connects: that takes as long as the client needs to write it.
 */
import { Failure } from '../errors.ts';
import type { Call } from './call.ts';
import { findWanted } from './take-request.ts';

export class CallCheck {
  readonly #fileName: string;
  readonly #onBug: (error: unknown) => void;
  #last: Call | undefined;
  /** About the last call, for whoever has connected since. */
  #foreseen: boolean | undefined;

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
    this.#foreseen = this.#last === undefined ? undefined : this.#check(this.#last);
  }

  /** This is what it calls for. */
  leadsHere(call: Call): boolean {
    const foreseen = isSameCall(call, this.#last) ? this.#foreseen : undefined;
    this.#last = call;
    this.#foreseen = undefined;
    return foreseen ?? this.#check(call);
  }

  #check(call: Call): boolean {
    try {
      return findWanted(call) === this.#fileName;
    } catch (error) {
      // A failure the client finds by itself, and says what it is.
      if (!(error instanceof Failure)) this.#onBug(error);
      return false;
    }
  }
}

function isSameCall(call: Call, other: Call | undefined): boolean {
  return JSON.stringify(call) === JSON.stringify(other);
}
