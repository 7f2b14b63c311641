/** Whether the stream below SSH takes what it is given, or holds it. */
import type { Writable } from 'node:stream';
import { LINE_AHEAD } from '../limits.ts';

export class LineRoom {
  readonly #line: Pick<Writable, 'writableLength'>;
  readonly #waiting: (() => void)[] = [];

  constructor(line: Writable) {
    this.#line = line;
    line.on('drain', () => {
      for (const done of this.#waiting.splice(0)) done();
    });
  }

  /** Calls back once the line has room. A line that breaks ends whoever waits another way. */
  whenClear(done: () => void): void {
    if (this.#line.writableLength <= LINE_AHEAD) done();
    else this.#waiting.push(done);
  }
}
