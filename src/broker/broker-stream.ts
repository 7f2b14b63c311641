/** An open session through a broker, as the streams that everyone pipes. */
import { Failure } from '../errors.ts';
import { LightSink, LightSource } from '../light-streams.ts';
import { BROKER_CHECK_MS, STDIN_WINDOW } from '../limits.ts';
import type { RemoteExit, SessionStream } from '../transport/transport.ts';
import { decodeFailure } from './client.ts';
import { FRAME, type Frame, type FrameType, parseControl } from './frame.ts';
import type { FrameHandler, FrameSocket } from './frame-socket.ts';

/** What an output may hold before the broker has to wait. */
const OUTPUT_AHEAD = STDIN_WINDOW;

export class BrokerStream implements SessionStream, FrameHandler {
  readonly stdin: LightSink;
  readonly stdout: LightSource;
  readonly stderr: LightSource;
  readonly exit: Promise<RemoteExit>;
  readonly #frames: FrameSocket;
  #settleExit: (exit: RemoteExit) => void = () => {};
  #outcome: RemoteExit | undefined;
  /** Input sent and not yet taken by the SSH channel. */
  #untaken = 0;
  #whenTaken: (() => void) | undefined;
  /** Outputs that hold as much as they may; while there is one, nothing more is read from the broker. */
  readonly #full = new Set<LightSource>();
  readonly #pongs: ((alive: boolean) => void)[] = [];

  constructor(frames: FrameSocket) {
    this.#frames = frames;
    const onWanted = (output: LightSource): void => {
      if (this.#full.delete(output) && this.#full.size === 0) frames.resume();
    };
    this.stdout = new LightSource(OUTPUT_AHEAD, onWanted);
    this.stderr = new LightSource(OUTPUT_AHEAD, onWanted);
    this.stdin = new LightSink({
      ahead: STDIN_WINDOW,
      write: (chunk, done) => this.#send(chunk, done),
      end: () => void frames.control(FRAME.EOF),
    });
    for (const stream of [this.stdout, this.stderr, this.stdin]) stream.on('error', () => {});
    this.exit = this.#awaitExit();
  }

  /** The exit follows the end of both outputs, so that nothing of them is lost behind it. */
  async #awaitExit(): Promise<RemoteExit> {
    const ended = [this.stdout, this.stderr].map(
      (stream) => new Promise<void>((resolve) => stream.once('close', resolve)),
    );
    const exit = await new Promise<RemoteExit>((resolve) => {
      this.#settleExit = resolve;
    });
    await Promise.all(ended);
    return exit;
  }

  kill(): void {
    this.#frames.control(FRAME.KILL);
    this.#frames.end();
  }

  /** Asks the SSH peer, through the broker. While our own reader holds everything up the answer cannot be heard. */
  alive(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(this.#full.size > 0), withinMs + BROKER_CHECK_MS);
      this.#pongs.push((alive) => {
        clearTimeout(timer);
        resolve(alive);
      });
      this.#frames.control(FRAME.PING, { ms: withinMs });
    });
  }

  onFrame({ type, payload }: Frame): void {
    if (type === FRAME.DATA) this.#push(this.stdout, payload);
    else if (type === FRAME.STDERR) this.#push(this.stderr, payload);
    else if (type === FRAME.EOF) {
      this.stdout.finish();
      this.stderr.finish();
    } else this.#onControl(type, parseControl(payload));
  }

  onClose(): void {
    for (const answer of this.#pongs.splice(0)) answer(false);
    this.#end({ kind: 'lost', failure: lostBroker() });
  }

  #push(stream: LightSource, payload: Buffer): void {
    if (stream.push(payload)) return;
    this.#full.add(stream);
    this.#frames.pause();
  }

  #onControl(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type === FRAME.FAIL) this.#end({ kind: 'lost', failure: decodeFailure(body) ?? lostBroker() });
    else if (type === FRAME.EXIT) {
      this.#end(
        typeof body['signal'] === 'string'
          ? { kind: 'signal', signal: body['signal'] }
          : { kind: 'status', status: Number(body['status']) },
      );
    } else if (type === FRAME.PONG) this.#pongs.shift()?.(body['alive'] === true);
    else if (type === FRAME.TAKEN) this.#onTaken(Number(body['bytes']));
  }

  #end(outcome: RemoteExit): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.stdout.finish();
    this.stderr.finish();
    this.#settleExit(outcome);
    this.#frames.end();
  }

  /** As much of it as may be under way; the rest waits for TAKEN. */
  #send(chunk: Uint8Array, done: () => void): void {
    const part = chunk.subarray(0, STDIN_WINDOW - this.#untaken);
    if (part.length > 0) {
      this.#untaken += part.length;
      this.#frames.bytes(FRAME.STDIN, part);
    }
    if (part.length === chunk.length) done();
    else this.#whenTaken = () => this.#send(chunk.subarray(part.length), done);
  }

  #onTaken(bytes: number): void {
    this.#untaken -= bytes;
    const goOn = this.#whenTaken;
    this.#whenTaken = undefined;
    goOn?.();
  }
}

function lostBroker(): Failure {
  return new Failure('connection-lost', { address: 'the broker', why: 'its process ended' });
}
