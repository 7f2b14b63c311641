/** The offers of one login; remembers what was offered and what the server wanted instead. */
import type { Offer } from './identity.ts';
import { type AuthMethod, type Identity, type LoginContext, RSA_TYPE } from './signing-key.ts';
import type { RoundTrips } from './ssh2-internals.ts';

export class KeyOffer {
  /** What the server said last that it takes. */
  wants: readonly string[] = [];
  /** The key that was accepted though the server wants more (RFC 4252 section 5.1, partial success). */
  accepted: Identity | undefined;
  /** No key is left. */
  exhausted = false;
  readonly #tried: Identity[] = [];
  #current: Offer | undefined;
  #count = 0;
  readonly #offers: AsyncGenerator<Offer, void>;
  readonly #login: LoginContext;

  constructor(offers: AsyncGenerator<Offer, void>, login: LoginContext) {
    this.#offers = offers;
    this.#login = login;
  }

  /** Labels, in order. */
  get tried(): readonly string[] {
    return this.#tried.map(({ label }) => label);
  }

  /** What was offered last, and whether it was the first offer: if the login succeeded, what got in. */
  get last(): { readonly offer: Offer; readonly wasFirst: boolean } | undefined {
    return this.#current && { offer: this.#current, wasFirst: this.#count === 1 };
  }

  /** For ssh2's `authHandler`; false: there is nothing left to try. */
  async next(
    methodsLeft: readonly string[] | null,
    partialSuccess: boolean | null,
    roundTrips?: RoundTrips,
  ): Promise<AuthMethod | false> {
    if (methodsLeft !== null) {
      this.wants = methodsLeft;
      if (partialSuccess === true) this.accepted = this.#current?.identity;
      if (!methodsLeft.includes('publickey')) return false;
    }
    for (;;) {
      const { value: offer } = await this.#offers.next();
      if (offer === undefined) {
        this.exhausted = true;
        return false;
      }
      const { identity, algorithm } = offer;
      // No server takes one key twice.
      if (identity === this.accepted) continue;
      if (!this.#tried.includes(identity)) {
        this.#tried.push(identity);
        this.#login.onOffer?.(identity.label);
      }
      this.#current = offer;
      this.#count += 1;
      if (roundTrips !== undefined) {
        roundTrips.signAtOnce = identity.signsFreely || offer.worked;
        // ssh2 chooses the hash by what the server announces.
        if (algorithm === RSA_TYPE) await roundTrips.spoken;
      }
      return identity.method(algorithm, this.#login);
    }
  }
}
