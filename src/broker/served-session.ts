/** One client's session in the broker: frames on one side, an SSH channel on the other. */
import type { Socket } from 'node:net';
import type { Failure } from '../errors.ts';
import { toFailure } from '../errors.ts';
import type { RemoteExit, RemoteStream } from '../transport/transport.ts';
import type { OpenRequest } from './client.ts';
import { FRAME, type Frame, FrameError, type FrameType, PROTOCOL_VERSION, parseControl } from './frame.ts';
import { FrameSocket } from './frame-socket.ts';

/** What the broker opened for a client. */
export interface Served {
  readonly stream: RemoteStream;
  readonly greeting: Buffer;
  readonly route: 'shared' | 'warm';
  readonly steps: Readonly<Record<string, number>>;
  readonly alive: (withinMs: number) => Promise<boolean>;
}

/** What a session asks of its broker. */
export interface SessionHost {
  /** @throws whatever keeps the session from opening */
  open(request: OpenRequest, onStderr: (chunk: Buffer) => void, signal: AbortSignal): Promise<Served>;
  status(): object;
  stop(now: boolean): void;
  /** Bytes that went through, for STATUS. */
  count(bytes: number): void;
}

export class ServedSession {
  readonly ended: Promise<void>;
  readonly #host: SessionHost;
  readonly #frames: FrameSocket;
  readonly #gone = new AbortController();
  #state: 'hello' | 'request' | 'opening' | 'open' | 'over' = 'hello';
  #served: Served | undefined;

  constructor(socket: Socket, host: SessionHost) {
    this.#host = host;
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()));
    this.#frames = new FrameSocket(
      socket,
      (frame) => this.#onFrame(frame),
      () => this.#end(),
    );
    socket.on('close', () => this.#end());
    // A client never half-closes its socket (it sends EOF): its end of it is its end.
    socket.on('end', () => {
      socket.end();
      this.#end();
    });
  }

  /** True once a session was asked for. */
  get isSession(): boolean {
    return this.#state === 'opening' || this.#state === 'open';
  }

  kill(): void {
    this.#frames.socket.destroy();
  }

  #end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#gone.abort(new Error('the client has gone'));
    const stream = this.#served?.stream;
    stream?.kill();
    // A channel whose output nobody reads would never close.
    stream?.stdout.resume();
    stream?.stderr.resume();
  }

  #onFrame({ type, payload }: Frame): void {
    if (type === FRAME.STDIN) this.#onStdin(payload);
    else if (type === FRAME.EOF) this.#served?.stream.stdin.end();
    else if (type === FRAME.KILL) this.kill();
    else this.#onControl(type, parseControl(payload));
  }

  #onControl(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (this.#state === 'hello') this.#onHello(type, body);
    else if (this.#state === 'request') this.#onRequest(type, body);
    else if (type === FRAME.PING) void this.#onPing(Number(body['ms']));
    else throw new FrameError(`frame ${type} in state ${this.#state}`);
  }

  #onHello(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type !== FRAME.HELLO) throw new FrameError('no hello');
    this.#frames.control(FRAME.HELLO, { version: PROTOCOL_VERSION, pid: process.pid });
    if (body['version'] === PROTOCOL_VERSION) this.#state = 'request';
    else this.#frames.socket.end();
  }

  #onRequest(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type === FRAME.OPEN) {
      this.#state = 'opening';
      void this.#open(body as unknown as OpenRequest);
    } else if (type === FRAME.STATUS) {
      this.#frames.control(FRAME.STATUS, this.#host.status());
      this.#frames.socket.end();
    } else if (type === FRAME.STOP) {
      this.#frames.control(FRAME.STOP, {});
      this.#frames.socket.end();
      this.#host.stop(body['now'] === true);
    } else throw new FrameError('no request');
  }

  async #open(request: OpenRequest): Promise<void> {
    try {
      const served = await this.#host.open(
        request,
        (chunk) => this.#frames.bytes(FRAME.STDERR, chunk),
        this.#gone.signal,
      );
      this.#served = served;
      if (this.#state === 'over') {
        served.stream.kill();
        served.stream.stdout.resume();
        return;
      }
      this.#state = 'open';
      this.#pipe(served, request.kind !== 'mail');
    } catch (error) {
      this.#fail(toFailure(error));
    }
  }

  #fail({ code, facts }: Failure): void {
    this.#frames.control(FRAME.FAIL, { code, facts });
    this.#frames.socket.end();
  }

  /** A mail stream's stderr is read where its greeting was awaited. */
  #pipe({ stream, greeting, route, steps }: Served, ownStderr: boolean): void {
    this.#frames.control(FRAME.OPENED, { route, steps, greeting: greeting.toString('latin1') });
    const pass = (type: typeof FRAME.DATA | typeof FRAME.STDERR, from: RemoteStream['stdout']): void => {
      from.on('data', (chunk: Buffer) => {
        this.#host.count(chunk.length);
        if (this.#frames.bytes(type, chunk)) return;
        // Only this session's channel waits: its window closes, and the server stops sending on it.
        from.pause();
        this.#frames.socket.once('drain', () => from.resume());
      });
      // Paused explicitly while its greeting was read.
      from.resume();
    };
    pass(FRAME.DATA, stream.stdout);
    const stderrEnded = ownStderr
      ? new Promise<void>((resolve) => {
          for (const event of ['end', 'close'] as const) stream.stderr.once(event, () => resolve());
        })
      : Promise.resolve();
    if (ownStderr) pass(FRAME.STDERR, stream.stderr);
    void Promise.all([stream.exit, stderrEnded]).then(([exit]) => this.#onExit(exit));
  }

  #onExit(exit: RemoteExit): void {
    if (this.#state === 'over') return;
    this.#frames.control(FRAME.EOF);
    if (exit.kind === 'lost') this.#fail(exit.failure);
    else {
      this.#frames.control(
        FRAME.EXIT,
        exit.kind === 'status' ? { status: exit.status } : { signal: exit.signal },
      );
      this.#frames.socket.end();
    }
  }

  #onStdin(payload: Buffer): void {
    if (this.#served === undefined) throw new FrameError('input before a session');
    this.#host.count(payload.length);
    this.#served.stream.stdin.write(payload, () => {
      this.#frames.control(FRAME.TAKEN, { bytes: payload.length });
    });
  }

  async #onPing(ms: number): Promise<void> {
    const alive = ms === 0 || (await this.#served?.alive(ms)) === true;
    this.#frames.control(FRAME.PONG, { alive });
  }
}
