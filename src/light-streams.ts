/**
 * The least that makes a source and a sink of a session, for what opens with every folder: Node's take Bun 4 ms to load
 * and build, streamx's 1.4. They behave as Node's do where a session looks.
 */
import { EventEmitter } from 'node:events';
import type { ByteSource, TellingSink } from './byte-flow.ts';

/** Gives what is pushed into it to whoever listens, one chunk after the other. */
export class LightSource extends EventEmitter implements ByteSource {
  readonly #ahead: number;
  readonly #onWanted: (source: LightSource) => void;
  #state: 'new' | 'flowing' | 'paused' | 'closed' = 'new';
  #waiting: Buffer[] = [];
  #held = 0;
  /** Delivers at the end of this turn. */
  #scheduled = false;
  #delivering = false;
  #ending = false;
  /** It has enough, or was never asked for anything. */
  #full = true;

  /**
   * @param ahead bytes; it says that it has enough when it holds as many
   * @param onWanted called when somebody begins to listen, and each time that it had enough and wants more
   */
  constructor(ahead: number, onWanted: (source: LightSource) => void) {
    super();
    this.#ahead = ahead;
    this.#onWanted = onWanted;
  }

  get destroyed(): boolean {
    return this.#state === 'closed';
  }

  override on(event: string, listener: (...words: never[]) => void): this {
    super.on(event, listener as () => void);
    if (event === 'data' && this.#state === 'new') this.resume();
    return this;
  }

  pause(): this {
    if (this.#state !== 'closed') this.#state = 'paused';
    return this;
  }

  resume(): this {
    if (this.#state === 'closed' || this.#state === 'flowing') return this;
    this.#state = 'flowing';
    // Later, so that whoever listens by the end of this turn misses nothing.
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        this.#deliver();
      });
    }
    return this;
  }

  /** False: it has enough until `onWanted` is called. */
  push(chunk: Buffer): boolean {
    if (this.#ending) return true;
    this.#waiting.push(chunk);
    this.#held += chunk.length;
    this.#deliver();
    if (this.#held < this.#ahead) return true;
    this.#full = true;
    return false;
  }

  /** Nothing more comes. */
  finish(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#deliver();
  }

  #deliver(): void {
    if (this.#scheduled || this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#state === 'flowing' && this.#waiting.length > 0) {
        const chunk = this.#waiting.shift() as Buffer;
        this.#held -= chunk.length;
        this.emit('data', chunk);
      }
    } finally {
      this.#delivering = false;
    }
    if (this.#state !== 'flowing') return;
    if (this.#ending) {
      this.#state = 'closed';
      this.emit('end');
      this.emit('close');
    } else if (this.#full) {
      this.#full = false;
      this.#onWanted(this);
    }
  }
}

export interface LightSinkOptions {
  /** Bytes that may wait before `write` asks for a pause. */
  readonly ahead: number;
  /** Passes one chunk on. The next one comes once `done` was called; an error is the end. */
  write(chunk: Uint8Array, done: (error?: Error) => void): void;
  /** Everything has been passed on, and nothing more will come. */
  end?(): void;
}

interface WaitingChunk {
  readonly chunk: Uint8Array;
  readonly done: ((error?: Error) => void) | undefined;
}

/** Passes on what is written to it, one chunk after the other. */
export class LightSink extends EventEmitter implements TellingSink {
  readonly #options: LightSinkOptions;
  #state: 'open' | 'ending' | 'closed' = 'open';
  readonly #waiting: WaitingChunk[] = [];
  #held = 0;
  #busy = false;
  #wantsDrain = false;

  constructor(options: LightSinkOptions) {
    super();
    this.#options = options;
  }

  /** Nothing is taken any more once it has ended or failed. */
  write(chunk: Uint8Array, done?: (error?: Error) => void): boolean {
    if (!this.#isOpen) return false;
    this.#waiting.push({ chunk, done });
    this.#held += chunk.length;
    this.#passOn();
    if (this.#held >= this.#options.ahead) this.#wantsDrain = true;
    return this.#isOpen && !this.#wantsDrain;
  }

  end(): void {
    if (!this.#isOpen) return;
    this.#state = 'ending';
    this.#passOn();
  }

  get destroyed(): boolean {
    return this.#state === 'closed';
  }

  /** In words that the compiler does not remember: writing may close it. */
  get #isOpen(): boolean {
    return this.#state === 'open';
  }

  #passOn(): void {
    while (!this.#busy && this.#state !== 'closed') {
      const next = this.#waiting.shift();
      if (next === undefined) {
        if (this.#state === 'ending') this.#finish();
        return;
      }
      this.#busy = true;
      // What is passed on at once must not come back here: this loop goes on with the next one.
      let atOnce = true;
      this.#options.write(next.chunk, (error) => {
        this.#busy = false;
        this.#held -= next.chunk.length;
        if (error !== undefined) this.#fail(error);
        next.done?.(error);
        if (atOnce) return;
        this.#passOn();
        this.#drained();
      });
      atOnce = false;
    }
  }

  #drained(): void {
    if (!this.#wantsDrain || this.#held > 0 || !this.#isOpen) return;
    this.#wantsDrain = false;
    this.emit('drain');
  }

  #finish(): void {
    this.#state = 'closed';
    this.#options.end?.();
    this.emit('finish');
    this.emit('close');
  }

  #fail(error: Error): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#waiting.length = 0;
    // As Node does: not while whoever writes is still at it.
    queueMicrotask(() => {
      this.emit('error', error);
      this.emit('close');
    });
  }
}
