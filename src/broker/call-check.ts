/**
 * Does a call lead to this broker's alias, as that stands in its file now? A mail client makes the same call for each
 * folder, so it is looked up the moment somebody connects: that takes as long as the client needs to write it.
 */
import type { Call } from './call.ts';
import { findWanted } from './take-request.ts';

export class CallCheck {
  readonly #fileName: string;
  #last: Call | undefined;
  /** About the last call, for whoever has connected since. */
  #foreseen: boolean | undefined;

  /** @param fileName the name of this broker's socket */
  constructor(fileName: string) {
    this.#fileName = fileName;
  }

  /** A client has connected; `ready`: there is something to hand over. */
  foresee(ready: boolean): void {
    this.#foreseen = ready && this.#last !== undefined ? this.#check(this.#last) : undefined;
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
    } catch {
      // The client finds the same by itself, and says what it is.
      return false;
    }
  }
}

function isSameCall(call: Call, other: Call | undefined): boolean {
  return JSON.stringify(call) === JSON.stringify(other);
}
