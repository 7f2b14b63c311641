/**
 * Asks a broker for a session. Loads neither ssh2 nor streams before the greeting is out: this is what a mail client
 * waits for when a folder opens.
 */
import { latin1Bytes } from '../bytes.ts';
import { type Deferred, makeDeferred } from '../deferred.ts';
import { Failure, type FailureCode, failureReasons } from '../errors.ts';
import { BROKER_CHECK_MS, BROKER_HELLO_MS, BROKER_TAKE_MS } from '../limits.ts';
import type { SessionStream } from '../transport/transport.ts';
import type { Call } from './call.ts';
import { FRAME, type Frame, type FrameType, fitsControl, PROTOCOL_VERSION, parseControl } from './frame.ts';
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

/** What a call's broker has for it (PROTOCOL.md, TAKE). */
export interface TakenSession {
  readonly alias: ToldAlias;
  /** An imapd was ready, and its greeting is passed on; else one is being started. */
  readonly ready: boolean;
  /** When the broker was asked, in milliseconds of `performance.now()`. */
  readonly askedAt: number;
  /**
   * What is behind the greeting, which `onGreeting` gets where there was none yet.
   *
   * @throws {Failure} why the session cannot be opened, as if opened directly
   * @throws {BrokerUseless} if that cannot be said
   */
  readonly open: (signal: AbortSignal, onGreeting: GreetingHandler) => Promise<OpenedSession>;
}

export interface TakeEvents {
  /** While the broker works there is time for other things. */
  onAsked(): void;
  onGreeting: GreetingHandler;
}

type TakeAnswer = Pick<TakenSession, 'alias' | 'ready'>;

type GreetingHandler = (greeting: Uint8Array) => void;

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
  onGreeting: GreetingHandler,
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
 * Has the broker at `path` find the alias of a call and hand over an imapd for it; undefined if the call leads to another
 * broker, or this one is of no use at all.
 *
 * @throws a system error if the socket cannot be used
 */
export async function takeThroughBroker(
  path: string,
  uid: number,
  call: Call,
  { onAsked, onGreeting }: TakeEvents,
): Promise<TakenSession | undefined> {
  const askedAt = performance.now();
  const opening = new Opening(onGreeting);
  const frames = await connectFrames(path, uid, opening);
  if (frames === undefined) return undefined;
  const asked = opening.take(frames, call);
  onAsked();
  const taken = await asked;
  if (taken === undefined) return undefined;
  return {
    ...taken,
    askedAt,
    open: async (signal, greet) => {
      const { route } = await opening.wait(signal, greet);
      return takeOver(opening, frames, route);
    },
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
}

/** The conversation up to OPENED; what comes behind it waits for whoever takes over. */
class Opening implements FrameHandler {
  #onGreeting: GreetingHandler | undefined;
  /** Came before anybody wanted it. */
  #greeting: Uint8Array | undefined;
  #frames: FrameSocket | undefined;
  #settled: 'no' | 'opened' | 'failed' = 'no';
  readonly #opened = makeDeferred<Opened>();
  #silence: NodeJS.Timeout | undefined;
  readonly #later: Frame[] = [];
  /** What is asked for once the broker has said hello. */
  #request: OpenRequest | undefined;
  /** A command may have been started by now, which must not be started again elsewhere. */
  #committed = false;
  /** The answer to TAKE is waited for. */
  #taking: Deferred<TakeAnswer | undefined> | undefined;
  #closed = false;
  #heir: FrameHandler | undefined;

  constructor(onGreeting: GreetingHandler) {
    this.#onGreeting = onGreeting;
  }

  async ask(frames: FrameSocket, request: OpenRequest, signal: AbortSignal): Promise<Opened> {
    this.#frames = frames;
    // A broker that is stopped reads this when it goes on, and we have gone elsewhere. An imapd too many does no harm.
    if (request.kind === 'mail') frames.controls(HELLO, [FRAME.OPEN, request]);
    else {
      this.#request = request;
      frames.controls(HELLO);
    }
    this.#expectWord(BROKER_HELLO_MS);
    return await this.#untilOpened(signal);
  }

  /** Undefined if the broker has nothing for it. */
  take(frames: FrameSocket, call: Call): Promise<TakeAnswer | undefined> {
    this.#frames = frames;
    const taking = makeDeferred<TakeAnswer | undefined>();
    this.#taking = taking;
    // Who waits for the session hears why there is none; until then nobody may be there.
    this.#opened.promise.catch(() => {});
    frames.controls(HELLO, [FRAME.TAKE, call]);
    // For all of it: a word that is no answer gives it no more time.
    this.#expectWord(BROKER_TAKE_MS);
    return taking.promise;
  }

  /** The session that a broker has begun to start, or has handed over. */
  wait(signal: AbortSignal, onGreeting: GreetingHandler): Promise<Opened> {
    if (this.#greeting !== undefined) onGreeting(this.#greeting);
    this.#onGreeting = onGreeting;
    return this.#untilOpened(signal);
  }

  async #untilOpened(signal: AbortSignal): Promise<Opened> {
    const onAbort = (): void => this.#fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      return await this.#opened.promise;
    } finally {
      clearTimeout(this.#silence);
      signal.removeEventListener('abort', onAbort);
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
      if (this.#taking === undefined) this.#expectSign();
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
    } else if (type === FRAME.STARTING && this.#taking !== undefined) {
      const alias = parseToldAlias(body['alias']);
      // It is read by whoever waits, who may have written something by then.
      this.#onGreeting = undefined;
      this.#taken({ alias, ready: false });
      this.#expectSign();
    } else if (type === FRAME.OPENED) {
      // Before it counts as open: nothing may fail any more then.
      const alias = this.#taking && parseToldAlias(body['alias']);
      const greeting = latin1Bytes(String(body['greeting'] ?? ''));
      if (greeting.length > 0) {
        if (this.#onGreeting === undefined) this.#greeting = greeting;
        else this.#onGreeting(greeting);
      }
      this.#settled = 'opened';
      clearTimeout(this.#silence);
      this.#opened.resolve({ route: body['route'] === 'warm' ? 'warm' : 'shared' });
      if (alias !== undefined) this.#taken({ alias, ready: true });
    }
  }

  #taken(answer: TakeAnswer | undefined): void {
    clearTimeout(this.#silence);
    this.#taking?.resolve(answer);
    this.#taking = undefined;
  }

  #open(): void {
    const request = this.#request;
    if (request === undefined) return;
    this.#request = undefined;
    if (!fitsControl(request)) {
      this.#fail(new BrokerUseless('the command is too long for a frame'));
      return;
    }
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
    this.#taken(undefined);
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
