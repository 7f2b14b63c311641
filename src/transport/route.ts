/** What carries SSH to a host: TCP, a program, or a channel through another host. */
import { Duplex, type Readable, type Writable } from 'node:stream';
import type { Failure } from '../errors.ts';

export interface Route {
  readonly stream: Duplex;
  /** Why the stream ended, where the route knows better than SSH. */
  failure(): Failure | undefined;
  /** Ends the stream and whatever carries it. */
  close(): void;
}

/** Two streams of one direction each as one that ssh2 can use. */
export class JoinedStream extends Duplex {
  readonly #from: Readable;
  readonly #to: Writable;

  /**
   * @param ended called at the end of `from`; the end is passed on when it settles, so that its reason is known by then
   */
  constructor(from: Readable, to: Writable, ended: () => Promise<unknown>) {
    super({ allowHalfOpen: false });
    this.#from = from;
    this.#to = to;
    let over = false;
    const onEnd = (): void => {
      if (over) return;
      over = true;
      void ended().then(() => this.push(null));
    };
    from.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) from.pause();
    });
    from.on('end', onEnd);
    from.on('close', onEnd);
    from.on('error', onEnd);
    // A write to what has ended fails; that it has ended is told by `from`.
    to.on('error', onEnd);
  }

  override _read(): void {
    this.#from.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    // Only then is the memory free for the next bytes.
    this.#to.write(chunk, () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#to.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#from.destroy();
    this.#to.destroy();
    done(error);
  }
}
