/**
 * How many folders are opened at once. A mail client that opens three together when it starts, or when it looks for new
 * mail, will do so again: then one imapd kept warm is not enough.
 */
import { BURST_MAX, BURST_WINDOW_MS, WARM_AGE_MS } from '../limits.ts';

export class BurstWatch {
  #recent: number[] = [];
  #largest = 0;
  #seenAt = 0;

  /**
   * A folder was opened.
   *
   * @param now milliseconds
   * @param ready as many imapds as wanted were waiting: those opened before have nothing to do with this one
   */
  opened(now: number, ready: boolean): void {
    const before = ready ? [] : this.#recent.filter((time) => now - time < BURST_WINDOW_MS);
    this.#recent = [...before, now].slice(-BURST_MAX);
    if (this.#recent.length < this.size(now)) return;
    this.#largest = this.#recent.length;
    this.#seenAt = now;
  }

  /** The server has no room for so many. */
  forget(): void {
    this.#recent = [];
    this.#largest = 0;
  }

  /** The most that came at once of late; 0 before the first. */
  size(now: number): number {
    return now - this.#seenAt < WARM_AGE_MS ? this.#largest : 0;
  }
}
