/** Notices that the machine slept: then nothing known about a connection counts any more. */
import { CLOCK_JUMP_MS } from '../limits.ts';

export class ClockWatch {
  #offset = clockOffset();

  /** True once after each jump. The monotonic clock stands still in sleep (clock_gettime(2)); the wall clock does not. */
  jumped(): boolean {
    const offset = clockOffset();
    const jumped = Math.abs(offset - this.#offset) > CLOCK_JUMP_MS;
    this.#offset = offset;
    return jumped;
  }
}

function clockOffset(): number {
  return Date.now() - performance.now();
}
