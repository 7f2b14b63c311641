/** One client's session in the broker: frames on one side, an SSH channel on the other. */
import type { Failure } from '../errors.ts';
import { toFailure } from '../errors.ts';
import { STDIN_WINDOW } from '../limits.ts';
import { discard } from '../transport/discard.ts';
import type { Prompt, PromptRequest } from '../transport/prompt.ts';
import type { RemoteExit, RemoteStream } from '../transport/transport.ts';
import type { Call } from './call.ts';
import { FRAME, type Frame, FrameError, type FrameType, PROTOCOL_VERSION, parseControl } from './frame.ts';
import { FrameSocket } from './frame-socket.ts';
import { parseOpen, type WholeRequest } from './open-request.ts';
import { parseTake } from './take-request.ts';
import type { ToldAlias } from './told-alias.ts';
import type { AcceptWire } from './wire.ts';

/** What the broker opened for a client. */
export interface Served {
  readonly stream: RemoteStream;
  readonly greeting: Buffer;
  readonly route: 'shared' | 'warm';
  readonly steps: Readonly<Record<string, number>>;
  readonly alive: (withinMs: number) => Promise<boolean>;
}

/** For a client that did not look the alias up itself. */
export interface Taken {
  readonly alias: ToldAlias;
  /** Undefined: nothing was ready. */
  readonly served: Served | undefined;
}

/** What a session asks of its broker. */
export interface SessionHost {
  /** @throws whatever keeps the session from opening */
  open(request: WholeRequest, onStderr: (chunk: Buffer) => void, signal: AbortSignal): Promise<Served>;
  /** What there is for a call; undefined if it does not lead here. */
  take(call: Call, onStderr: (chunk: Buffer) => void, signal: AbortSignal): Taken | undefined;
  /** Sees to a connection that stays; true if there was one. @throws whatever keeps it from being made */
  connect(prompt: Prompt, signal: AbortSignal): Promise<boolean>;
  status(): object;
  stop(now: boolean): void;
  /** What kept a session from opening, for the log. */
  failed(thrown: unknown): void;
  /** Bytes that went through, for STATUS. */
  count(bytes: number): void;
}

type OutputType = typeof FRAME.DATA | typeof FRAME.STDERR;

export class ServedSession {
  readonly ended: Promise<void>;
  readonly #host: SessionHost;
  readonly #frames: FrameSocket;
  readonly #gone = new AbortController();
  #state: 'hello' | 'request' | 'opening' | 'connecting' | 'open' | 'over' = 'hello';
  #served: Served | undefined;
  readonly #paused = new Set<RemoteStream['stdout']>();
  #untaken = 0;
  /** What the SSH channel took and the client was not told of yet. */
  #taken = 0;
  #outputEnded = false;
  /** Takes the answers to the prompt that is open. */
  #onAnswers: ((answers: readonly string[] | undefined) => void) | undefined;

  constructor(accept: AcceptWire, host: SessionHost) {
    this.#host = host;
    let markEnded = (): void => {};
    this.ended = new Promise((resolve) => {
      markEnded = resolve;
    });
    this.#frames = FrameSocket.accept(accept, {
      onFrame: (frame) => this.#onFrame(frame),
      onDrain: () => this.#resumeOutputs(),
      onClose: () => this.#end(),
      onGone: () => markEnded(),
    });
  }

  /** True once a session, or a connection, was asked for. */
  get isSession(): boolean {
    return this.#state === 'opening' || this.#state === 'connecting' || this.#state === 'open';
  }

  kill(): void {
    this.#frames.destroy();
  }

  #end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#gone.abort(new Error('the client has gone'));
    this.#onAnswers?.(undefined);
    if (this.#served !== undefined) discard(this.#served.stream);
  }

  #onFrame({ type, payload }: Frame): void {
    // What came in one piece with the frame that ended the session.
    if (this.#state === 'over') return;
    if (type === FRAME.STDIN) this.#onStdin(payload);
    else if (type === FRAME.EOF) this.#stdin().end();
    else if (type === FRAME.KILL) {
      this.kill();
      this.#end();
    } else this.#onControl(type, parseControl(payload));
  }

  #onControl(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (this.#state === 'hello') this.#onHello(type, body);
    else if (this.#state === 'request') this.#onRequest(type, body);
    else if (type === FRAME.PING) void this.#onPing(Number(body['ms']));
    else if (type === FRAME.ANSWER) this.#onAnswer(body['answers']);
    else throw new FrameError(`frame ${type} in state ${this.#state}`);
  }

  #onHello(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type !== FRAME.HELLO) throw new FrameError('no hello');
    this.#frames.controlSoon(FRAME.HELLO, { version: PROTOCOL_VERSION, pid: process.pid });
    if (body['version'] === PROTOCOL_VERSION) this.#state = 'request';
    else {
      this.#frames.end();
      this.#end();
    }
  }

  #onRequest(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type === FRAME.OPEN) {
      const request = parseOpen(body);
      this.#state = 'opening';
      void this.#open(request);
    } else if (type === FRAME.TAKE) {
      this.#take(parseTake(body));
    } else if (type === FRAME.CONNECT) {
      this.#state = 'connecting';
      void this.#connect();
    } else if (type === FRAME.STATUS) {
      this.#frames.control(FRAME.STATUS, this.#host.status());
      this.#frames.end();
    } else if (type === FRAME.STOP) {
      this.#frames.control(FRAME.STOP, {});
      this.#frames.end();
      this.#host.stop(body['now'] === true);
    } else throw new FrameError('no request');
  }

  #take(call: Call): void {
    const taken = this.#host.take(call, (chunk) => this.#passMailStderr(chunk), this.#gone.signal);
    if (taken === undefined) {
      this.#frames.control(FRAME.NONE, {});
      this.#frames.end();
      this.#end();
    } else if (taken.served === undefined) {
      this.#frames.control(FRAME.STARTING, { alias: taken.alias });
      this.#state = 'opening';
      void this.#open({ kind: 'mail' });
    } else {
      this.#served = taken.served;
      this.#state = 'open';
      this.#pipe(taken.served, 'mail', taken.alias);
    }
  }

  async #open(request: WholeRequest): Promise<void> {
    try {
      const served = await this.#host.open(
        request,
        (chunk) => this.#passMailStderr(chunk),
        this.#gone.signal,
      );
      this.#served = served;
      if (this.#state === 'over') {
        discard(served.stream);
        return;
      }
      this.#state = 'open';
      this.#pipe(served, request.kind);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #connect(): Promise<void> {
    try {
      const existed = await this.#host.connect((request) => this.#prompt(request), this.#gone.signal);
      this.#frames.control(FRAME.CONNECTED, { existed });
      this.#frames.end();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(thrown: unknown): void {
    // A client that has gone is no failure.
    if (this.#state === 'over') return;
    this.#host.failed(thrown);
    this.#fail(toFailure(thrown));
  }

  #prompt(request: PromptRequest): Promise<readonly string[] | undefined> {
    if (this.#state === 'over') return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#onAnswers = (answers) => {
        this.#onAnswers = undefined;
        resolve(answers);
      };
      this.#frames.control(FRAME.PROMPT, request);
    });
  }

  #onAnswer(answers: unknown): void {
    if (this.#onAnswers === undefined) throw new FrameError('an answer without a question');
    if (answers === null) this.#onAnswers(undefined);
    else if (Array.isArray(answers) && answers.every((each) => typeof each === 'string')) {
      this.#onAnswers(answers);
    } else throw new FrameError('no answers');
  }

  #fail({ code, facts }: Failure): void {
    this.#frames.control(FRAME.FAIL, { code, facts });
    this.#frames.end();
  }

  /** A mail stream's stderr is read where its greeting was awaited. */
  #pipe({ stream, greeting, route, steps }: Served, kind: WholeRequest['kind'], alias?: ToldAlias): void {
    const ownStderr = kind !== 'mail';
    this.#frames.control(FRAME.OPENED, { route, steps, greeting: greeting.toString('latin1'), alias });
    const pass = (type: OutputType, from: RemoteStream['stdout']): void => {
      from.on('data', (chunk: Buffer) => this.#passOutput(type, chunk, from));
      // Paused explicitly while its greeting was read.
      from.resume();
    };
    pass(FRAME.DATA, stream.stdout);
    // A forwarded channel closes only after both ends have ended: the client has to hear that the far one did.
    if (kind === 'forward') stream.stdout.once('end', () => this.#endOutput());
    const stderrEnded = ownStderr
      ? new Promise<void>((resolve) => {
          for (const event of ['end', 'close'] as const) stream.stderr.once(event, () => resolve());
        })
      : Promise.resolve();
    if (ownStderr) pass(FRAME.STDERR, stream.stderr);
    void Promise.all([stream.exit, stderrEnded]).then(([exit]) => this.#onExit(exit));
  }

  #passMailStderr(chunk: Buffer): void {
    if (this.#served !== undefined) this.#passOutput(FRAME.STDERR, chunk, this.#served.stream.stderr);
  }

  #passOutput(type: OutputType, chunk: Buffer, from: RemoteStream['stdout']): void {
    this.#host.count(chunk.length);
    if (this.#frames.bytes(type, chunk)) return;
    // Only this session's channel waits: its window closes, and the server stops sending on it.
    from.pause();
    this.#paused.add(from);
  }

  #resumeOutputs(): void {
    for (const output of this.#paused) output.resume();
    this.#paused.clear();
  }

  #onExit(exit: RemoteExit): void {
    if (this.#state === 'over') return;
    this.#endOutput();
    if (exit.kind === 'lost') this.#fail(exit.failure);
    else {
      this.#frames.control(
        FRAME.EXIT,
        exit.kind === 'status' ? { status: exit.status } : { signal: exit.signal },
      );
      this.#frames.end();
    }
  }

  #endOutput(): void {
    if (this.#state === 'over' || this.#outputEnded) return;
    this.#outputEnded = true;
    this.#frames.control(FRAME.EOF);
  }

  #onStdin(payload: Buffer): void {
    const stdin = this.#stdin();
    this.#host.count(payload.length);
    this.#untaken += payload.length;
    if (this.#untaken > STDIN_WINDOW) throw new FrameError('more input than may be under way');
    stdin.write(payload, () => {
      this.#untaken -= payload.length;
      this.#taken += payload.length;
      // Each one wakes the client: not for every frame of a long upload.
      if (this.#untaken > 0 && this.#taken < STDIN_WINDOW / 4) return;
      this.#frames.control(FRAME.TAKEN, { bytes: this.#taken });
      this.#taken = 0;
    });
  }

  #stdin(): RemoteStream['stdin'] {
    if (this.#served === undefined) throw new FrameError('input before a session');
    return this.#served.stream.stdin;
  }

  async #onPing(ms: number): Promise<void> {
    const alive = ms === 0 || (await this.#served?.alive(ms)) === true;
    this.#frames.control(FRAME.PONG, { alive });
  }
}
