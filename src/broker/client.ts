/**
 * Asks a broker for a session. Loads neither ssh2 nor streams before the greeting is out: this is what a mail client
 * waits for when a folder opens.
 */
import { latin1Bytes } from '../bytes.ts';
import { makeDeferred } from '../deferred.ts';
import { Failure, type FailureCode, failureReasons } from '../errors.ts';
import { BROKER_CHECK_MS, BROKER_HELLO_MS, BROKER_TAKE_MS } from '../limits.ts';
import type { SessionStream } from '../transport/transport.ts';
import type { Call } from './call.ts';
import { FRAME, type Frame, type FrameType, PROTOCOL_VERSION, parseControl } from './frame.ts';
import type { FrameHandler, FrameSocket } from './frame-socket.ts';
import type { OpenRequest } from './open-request.ts';
import { connectFrames } from './socket-path.ts';
import { parseToldAlias, type ToldAlias } from './told-alias.ts';

const HELLO = [FRAME.HELLO, { version: PROTOCOL_VERSION }] as const;

/** What a broker hands over (PROTOCOL.md, OPENED). */
export interface OpenedSession {
  readonly stream: SessionStream;
  readonly route: 'shared' | 'warm';
  readonly alive: (withinMs: number) => Promise<boolean>;
}

/** An imapd that was ready for a call (PROTOCOL.md, TAKE). */
export interface TakenSession {
  readonly alias: ToldAlias;
  /** Milliseconds from the call to the greeting. */
  readonly ms: number;
  /** What is behind the greeting. */
  readonly open: () => Promise<OpenedSession>;
}

export interface TakeEvents {
  /** While the broker works there is time for other things. */
  onAsked(): void;
  onGreeting(greeting: Uint8Array): void;
}

/** The broker is of no use here (none, hung, another version, out of resources); the session is to be opened directly. */
export class BrokerUseless extends Error {}

/**
 * Opens a session through the broker at `path`; undefined if no broker listens there.
 *
 * @param onGreeting gets a mail stream's greeting as soon as it is known, before the session can be used
 * @throws {Failure} why the session cannot be opened, as if opened directly
 * @throws {BrokerUseless} if that cannot be said
 */
export async function openThroughBroker(
  path: string,
  uid: number,
  request: OpenRequest,
  signal: AbortSignal,
  onGreeting: (greeting: Uint8Array) => void,
): Promise<OpenedSession | undefined> {
  const opening = new Opening(onGreeting);
  let frames: FrameSocket | undefined;
  try {
    frames = await connectFrames(path, uid, opening);
  } catch (cause) {
    throw new BrokerUseless('the socket cannot be used', { cause });
  }
  if (frames === undefined) return undefined;
  const { route } = await opening.ask(frames, request, signal);
  return takeOver(opening, frames, route);
}

/**
 * Has the broker at `path` find the alias of a call and hand over an imapd that is ready for it; undefined if it has
 * none, or is of no use at all.
 *
 * @throws a system error if the socket cannot be used
 */
export async function takeThroughBroker(
  path: string,
  uid: number,
  call: Call,
  { onAsked, onGreeting }: TakeEvents,
): Promise<TakenSession | undefined> {
  const started = performance.now();
  const opening = new Opening(onGreeting);
  const frames = await connectFrames(path, uid, opening);
  if (frames === undefined) return undefined;
  const asked = opening.take(frames, call);
  onAsked();
  const opened = await asked;
  if (opened?.alias === undefined) return undefined;
  return {
    alias: opened.alias,
    ms: Math.round(performance.now() - started),
    open: () => takeOver(opening, frames, opened.route),
  };
}

async function takeOver(
  opening: Opening,
  frames: FrameSocket,
  route: Opened['route'],
): Promise<OpenedSession> {
  const { BrokerStream } = await import('./broker-stream.ts');
  const stream = new BrokerStream(frames);
  opening.handOver(stream);
  return { stream, route, alive: (withinMs) => stream.alive(withinMs) };
}

/** OPENED, as far as it matters. */
interface Opened {
  readonly route: 'shared' | 'warm';
  /** Of an imapd that was taken. */
  readonly alias: ToldAlias | undefined;
}

/** The conversation up to OPENED; what comes behind it waits for whoever takes over. */
class Opening implements FrameHandler {
  readonly #onGreeting: (greeting: Uint8Array) => void;
  #frames: FrameSocket | undefined;
  #settled: 'no' | 'opened' | 'failed' = 'no';
  readonly #opened = makeDeferred<Opened>();
  #silence: NodeJS.Timeout | undefined;
  readonly #later: Frame[] = [];
  /** What is asked for once the broker has said hello. */
  #request: OpenRequest | undefined;
  /** A command may have been started by now, which must not be started again elsewhere. */
  #committed = false;
  #taking = false;
  #closed = false;
  #heir: FrameHandler | undefined;

  constructor(onGreeting: (greeting: Uint8Array) => void) {
    this.#onGreeting = onGreeting;
  }

  async ask(frames: FrameSocket, request: OpenRequest, signal: AbortSignal): Promise<Opened> {
    this.#frames = frames;
    const onAbort = (): void => this.#fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      // A broker that is stopped reads this when it goes on, and we have gone elsewhere. An imapd too many does no harm.
      if (request.kind === 'mail') frames.controls(HELLO, [FRAME.OPEN, request]);
      else {
        this.#request = request;
        frames.controls(HELLO);
      }
      this.#expectWord(BROKER_HELLO_MS);
      return await this.#opened.promise;
    } finally {
      clearTimeout(this.#silence);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Undefined if the broker has nothing ready. */
  async take(frames: FrameSocket, call: Call): Promise<Opened | undefined> {
    try {
      this.#frames = frames;
      this.#taking = true;
      frames.controls(HELLO, [FRAME.TAKE, call]);
      // For all of it: a word that is no answer gives it no more time.
      this.#expectWord(BROKER_TAKE_MS);
      return await this.#opened.promise;
    } catch {
      return undefined;
    } finally {
      clearTimeout(this.#silence);
    }
  }

  handOver(heir: FrameHandler): void {
    this.#heir = heir;
    for (const frame of this.#later.splice(0)) heir.onFrame(frame);
    if (this.#closed) heir.onClose();
  }

  onFrame(frame: Frame): void {
    // What was under way when it was given up.
    if (this.#settled === 'failed') return;
    if (this.#heir !== undefined) this.#heir.onFrame(frame);
    else if (this.#settled === 'opened') this.#later.push(frame);
    else {
      if (!this.#taking) this.#expectSign();
      this.#onControl(frame.type, parseControl(frame.payload));
    }
  }

  onDrain(): void {
    this.#heir?.onDrain?.();
  }

  onClose(): void {
    this.#closed = true;
    if (this.#heir !== undefined) this.#heir.onClose();
    else this.#failSilent('the broker closed the connection');
  }

  #onControl(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type === FRAME.HELLO && body['version'] !== PROTOCOL_VERSION) {
      this.#fail(new BrokerUseless('the broker speaks another version'));
    } else if (type === FRAME.HELLO) {
      this.#open();
    } else if (type === FRAME.FAIL) {
      this.#fail(decodeFailure(body) ?? new BrokerUseless('the broker failed'));
    } else if (type === FRAME.NONE) {
      this.#fail(new BrokerUseless('the broker has nothing ready'));
    } else if (type === FRAME.OPENED) {
      // Before it counts as open: nothing may fail any more then.
      const alias = this.#taking ? parseToldAlias(body['alias']) : undefined;
      const greeting = latin1Bytes(String(body['greeting'] ?? ''));
      this.#settled = 'opened';
      clearTimeout(this.#silence);
      if (greeting.length > 0) this.#onGreeting(greeting);
      this.#opened.resolve({ route: body['route'] === 'warm' ? 'warm' : 'shared', alias });
    }
  }

  #open(): void {
    const request = this.#request;
    if (request === undefined) return;
    this.#request = undefined;
    this.#committed = request.kind === 'exec';
    this.#frames?.control(FRAME.OPEN, request);
  }

  /** The broker must show within `ms` that it runs. */
  #expectWord(ms: number): void {
    clearTimeout(this.#silence);
    const fail = (): void => this.#failSilent('the broker does not answer');
    // Who was stopped himself finds the time over and the answer there: that is read first.
    this.#silence = setTimeout(() => {
      this.#silence = setTimeout(fail, 1);
    }, ms);
  }

  /** It did; after a while it is asked for another sign. */
  #expectSign(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#frames?.control(FRAME.PING, { ms: 0 });
      this.#expectWord(BROKER_CHECK_MS);
    }, BROKER_CHECK_MS);
  }

  #failSilent(why: string): void {
    this.#fail(
      this.#committed
        ? new Failure('connection-lost', { address: 'the background process', why })
        : new BrokerUseless(why),
    );
  }

  #fail(reason: unknown): void {
    if (this.#settled !== 'no') return;
    this.#settled = 'failed';
    this.#opened.reject(reason);
    this.#frames?.destroy();
  }
}

/** FAIL's payload; undefined where the broker's own trouble is no answer to the question. */
export function decodeFailure(body: Readonly<Record<string, unknown>>): Failure | undefined {
  const code = body['code'];
  if (typeof code !== 'string' || !Object.hasOwn(failureReasons(), code)) return undefined;
  if (code === 'internal' || code === 'out-of-resources') return undefined;
  return new Failure(code as FailureCode, (body['facts'] ?? {}) as never);
}
