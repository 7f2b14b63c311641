/**
 * A session through a broker, as its client sees it. Loads neither ssh2 nor anything else heavy: this is what a mail
 * client waits for when a folder opens.
 */
import type { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { FAILURE_REASONS, Failure, type FailureCode } from '../errors.ts';
import { BROKER_CHECK_MS, BROKER_HELLO_MS, STDIN_WINDOW } from '../limits.ts';
import type { RemoteExit, RemoteStream } from '../transport/transport.ts';
import { FRAME, type Frame, type FrameType, PROTOCOL_VERSION, parseControl } from './frame.ts';
import { FrameSocket } from './frame-socket.ts';
import { connectBroker } from './socket.ts';

/** What a client asks for (PROTOCOL.md, OPEN). */
export interface OpenRequest {
  readonly kind: 'mail' | 'exec' | 'subsystem' | 'forward';
  readonly command?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/** What a broker hands over (PROTOCOL.md, OPENED). */
export interface OpenedSession {
  readonly stream: RemoteStream;
  readonly greeting: Buffer;
  readonly route: 'shared' | 'warm';
  readonly steps: Readonly<Record<string, number>>;
  readonly alive: (withinMs: number) => Promise<boolean>;
}

/** The broker is of no use here (none, hung, another version, out of resources); the session is to be opened directly. */
export class BrokerUseless extends Error {}

/**
 * Opens a session through the broker at `path`; undefined if no broker listens there.
 *
 * @throws {Failure} why the session cannot be opened, as if opened directly
 * @throws {BrokerUseless} if that cannot be said
 */
export async function openThroughBroker(
  path: string,
  uid: number,
  request: OpenRequest,
  signal: AbortSignal,
): Promise<OpenedSession | undefined> {
  let socket: Socket | undefined;
  try {
    socket = await connectBroker(path, uid);
  } catch (cause) {
    throw new BrokerUseless('the socket cannot be used', { cause });
  }
  if (socket === undefined) return undefined;
  return new BrokerSession(socket, request, signal).opened;
}

class BrokerSession {
  readonly opened: Promise<OpenedSession>;
  readonly #frames: FrameSocket;
  readonly #stdout: Readable;
  readonly #stderr: Readable;
  readonly #stdin: Writable;
  readonly #exit: Promise<RemoteExit>;
  #settleExit: (exit: RemoteExit) => void = () => {};
  #outcome: RemoteExit | undefined;
  #resolve: (opened: OpenedSession) => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  #isOpen = false;
  #silence: NodeJS.Timeout | undefined;
  #untaken = 0;
  #whenTaken: (() => void) | undefined;
  readonly #pongs: ((alive: boolean) => void)[] = [];

  constructor(socket: Socket, request: OpenRequest, signal: AbortSignal) {
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#frames = new FrameSocket(
      socket,
      (frame) => this.#onFrame(frame),
      () => this.#onClose(),
    );
    const resume = (): void => {
      socket.resume();
    };
    this.#stdout = new Readable({ read: resume, highWaterMark: STDIN_WINDOW });
    this.#stderr = new Readable({ read: resume, highWaterMark: STDIN_WINDOW });
    this.#stdin = new Writable({
      highWaterMark: STDIN_WINDOW,
      write: (chunk: Buffer, _, done) => this.#send(chunk, done),
      final: (done) => {
        this.#frames.control(FRAME.EOF);
        done();
      },
    });
    for (const stream of [this.#stdout, this.#stderr, this.#stdin]) stream.on('error', () => {});
    this.#exit = this.#awaitExit();
    socket.on('close', () => this.#onClose());
    socket.on('end', () => this.#onClose());
    const onAbort = (): void => {
      this.#fail(signal.reason);
      socket.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    void this.opened.then(
      () => signal.removeEventListener('abort', onAbort),
      () => signal.removeEventListener('abort', onAbort),
    );
    this.#expectWord(BROKER_HELLO_MS);
    this.#frames.controls([FRAME.HELLO, { version: PROTOCOL_VERSION }], [FRAME.OPEN, request]);
  }

  /** The exit follows the end of both outputs, so that nothing of them is lost behind it. */
  async #awaitExit(): Promise<RemoteExit> {
    const ended = [this.#stdout, this.#stderr].map(
      (stream) => new Promise<void>((resolve) => stream.once('close', resolve)),
    );
    const exit = await new Promise<RemoteExit>((resolve) => {
      this.#settleExit = resolve;
    });
    await Promise.all(ended);
    return exit;
  }

  /** Until the session is open the broker must show within `ms` that it runs; then it is asked again. */
  #expectWord(ms: number): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#fail(new BrokerUseless('the broker does not answer'));
      this.#frames.socket.destroy();
    }, ms);
  }

  #heardWord(): void {
    clearTimeout(this.#silence);
    if (this.#isOpen) return;
    this.#silence = setTimeout(() => {
      this.#frames.control(FRAME.PING, { ms: 0 });
      this.#expectWord(BROKER_CHECK_MS);
    }, BROKER_CHECK_MS);
  }

  #onFrame({ type, payload }: Frame): void {
    if (!this.#isOpen) this.#heardWord();
    if (type === FRAME.DATA) this.#push(this.#stdout, payload);
    else if (type === FRAME.STDERR) this.#push(this.#stderr, payload);
    else if (type === FRAME.EOF) {
      this.#stdout.push(null);
      this.#stderr.push(null);
    } else this.#onControl(type, parseControl(payload));
  }

  #push(stream: Readable, payload: Buffer): void {
    if (!stream.push(payload)) this.#frames.socket.pause();
  }

  #onControl(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type === FRAME.HELLO && body['version'] !== PROTOCOL_VERSION) {
      this.#fail(new BrokerUseless('the broker speaks another version'));
    } else if (type === FRAME.OPENED) this.#open(body);
    else if (type === FRAME.FAIL) this.#onFail(decodeFailure(body));
    else if (type === FRAME.EXIT) {
      this.#outcome =
        typeof body['signal'] === 'string'
          ? { kind: 'signal', signal: body['signal'] }
          : { kind: 'status', status: Number(body['status']) };
      this.#end();
    } else if (type === FRAME.PONG) this.#pongs.shift()?.(body['alive'] === true);
    else if (type === FRAME.TAKEN) this.#onTaken(Number(body['bytes']));
  }

  #open(body: Readonly<Record<string, unknown>>): void {
    this.#isOpen = true;
    clearTimeout(this.#silence);
    this.#resolve({
      stream: {
        stdin: this.#stdin,
        stdout: this.#stdout,
        stderr: this.#stderr,
        exit: this.#exit,
        kill: () => {
          this.#frames.control(FRAME.KILL);
          this.#frames.socket.end();
        },
      },
      greeting: Buffer.from(String(body['greeting'] ?? ''), 'latin1'),
      route: body['route'] === 'warm' ? 'warm' : 'shared',
      steps: (body['steps'] ?? {}) as Record<string, number>,
      alive: (withinMs) => this.#ping(withinMs),
    });
  }

  #onFail(failure: Failure | undefined): void {
    if (!this.#isOpen) this.#fail(failure ?? new BrokerUseless('the broker failed'));
    else {
      this.#outcome = { kind: 'lost', failure: failure ?? lostBroker() };
      this.#end();
    }
  }

  #fail(reason: unknown): void {
    clearTimeout(this.#silence);
    this.#reject(reason);
  }

  #end(): void {
    this.#stdout.push(null);
    this.#stderr.push(null);
    this.#settleExit(this.#outcome ?? { kind: 'lost', failure: lostBroker() });
    this.#frames.socket.end();
  }

  #onClose(): void {
    this.#fail(new BrokerUseless('the broker closed the connection'));
    for (const answer of this.#pongs.splice(0)) answer(false);
    this.#end();
  }

  #send(chunk: Buffer, done: () => void): void {
    this.#untaken += chunk.length;
    this.#frames.bytes(FRAME.STDIN, chunk);
    if (this.#untaken < STDIN_WINDOW) done();
    else this.#whenTaken = done;
  }

  #onTaken(bytes: number): void {
    this.#untaken -= bytes;
    if (this.#untaken >= STDIN_WINDOW || this.#whenTaken === undefined) return;
    const done = this.#whenTaken;
    this.#whenTaken = undefined;
    done();
  }

  #ping(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs + BROKER_CHECK_MS);
      this.#pongs.push((alive) => {
        clearTimeout(timer);
        resolve(alive);
      });
      this.#frames.control(FRAME.PING, { ms: withinMs });
    });
  }
}

function lostBroker(): Failure {
  return new Failure('connection-lost', { address: 'the broker', why: 'its process ended' });
}

/** FAIL's payload; undefined where the broker's own trouble is no answer to the question. */
function decodeFailure(body: Readonly<Record<string, unknown>>): Failure | undefined {
  const code = body['code'];
  if (typeof code !== 'string' || !(code in FAILURE_REASONS)) return undefined;
  if (code === 'internal' || code === 'out-of-resources') return undefined;
  return new Failure(code as FailureCode, (body['facts'] ?? {}) as never);
}
