/**
 * What a session needs of a stream. Node's have it, and so have those of light-streams.ts, which lie between a mail
 * client and its broker.
 */

/** Bytes to read: flows from the first `data` listener on, unless it was paused. */
export interface ByteSource {
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'end' | 'close' | 'error', listener: () => void): unknown;
  once(event: 'data' | 'end' | 'close' | 'error', listener: () => void): unknown;
  off(event: 'data', listener: (chunk: Buffer) => void): unknown;
  off(event: 'end', listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  readonly destroyed: boolean;
  /** Only Node's tell between their end and their close. */
  readonly readableEnded?: boolean;
}

/** Somewhere to write bytes to. */
export interface ByteSink {
  /** False: it wants a pause; `drain` follows. */
  write(chunk: Uint8Array): boolean;
  /** `finish` follows once all that was written has gone, `error` or `close` if it cannot. */
  end(): unknown;
  on(event: 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  once(event: 'finish' | 'close' | 'error', listener: () => void): unknown;
  off(event: 'drain', listener: () => void): unknown;
  /** It has ended or failed: no event follows any more. */
  readonly destroyed: boolean;
}

/** A sink that tells of each chunk when it has passed it on. */
export interface TellingSink extends ByteSink {
  /** `done` gets an error, or is never called, if the chunk cannot be passed on. */
  write(chunk: Uint8Array, done?: (error?: Error | null) => void): boolean;
}

/** Nothing more will come. */
export function hasEnded(source: ByteSource): boolean {
  return source.readableEnded === true || source.destroyed;
}

/** Carries what is read to where it is to be written, but not its end. Returns what stops it. */
export function carry(from: ByteSource, to: ByteSink): () => void {
  const onData = (chunk: Buffer): void => {
    if (!to.write(chunk)) from.pause();
  };
  const onDrain = (): void => void from.resume();
  from.on('data', onData);
  to.on('drain', onDrain);
  // It may have been paused for good, while a greeting was read from it.
  from.resume();
  return () => {
    from.off('data', onData);
    to.off('drain', onDrain);
  };
}
