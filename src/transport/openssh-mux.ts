/**
 * The control socket of a master of the system's ssh, in proxy mode: we open the channels ourselves and ssh only
 * carries their messages. One process serves all sessions, an exit status of 255 is not taken for a lost connection,
 * signals and refusals keep their names: none of this holds for `ssh -S PATH HOST COMMAND`.
 *
 * Source: OpenSSH PROTOCOL.mux (proxy mode since OpenSSH 7.4), RFC 4254.
 */
import { connect, type Socket } from 'node:net';
import { Failure, toError } from '../errors.ts';
import { CHANNEL_PACKET_MAX, CHANNEL_WINDOW } from '../limits.ts';
import { Channel, type ChannelLink } from './openssh-channel.ts';
import { encodeFrame, encodeMessage, type Field, FrameReader, MESSAGE, MUX } from './openssh-packet.ts';
import { WireReader } from './ssh-wire.ts';

/** A request without a meaning, which every server must answer (RFC 4254 section 5.4); sshd asks the same way. */
const PROBE_REQUEST = 'keepalive@openssh.com';

/**
 * Connects and enters proxy mode.
 *
 * @throws {Failure} `ssh-unusable`
 * @throws the reason of `signal`
 */
export function openMux(path: string, signal: AbortSignal): Promise<Mux> {
  const socket = connect(path);
  const mux = new Mux(socket);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason);
      socket.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    void mux.ready.then(() => signal.removeEventListener('abort', onAbort));
    socket.once('error', (cause) => {
      reject(new Failure('ssh-unusable', { why: cause.message }, { cause }));
    });
    void mux.ready.then(() => resolve(mux));
    void mux.closed.then(() => {
      reject(mux.fault ?? new Failure('ssh-unusable', { why: 'it closed its control socket' }));
    });
  });
}

export class Mux implements ChannelLink {
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  /** What ssh said that it should not have said. */
  fault: Failure | undefined;
  lastHeard = performance.now();
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  readonly #channels = new Map<number, Channel>();
  #state: 'hello' | 'proxy' | 'ready' | 'closed' = 'hello';
  #nextId = 0;
  #waiting: (() => void)[] = [];
  #markReady: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    this.ready = new Promise((resolve) => {
      this.#markReady = resolve;
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#onClose();
        resolve();
      });
    });
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('drain', () => this.#resume());
    socket.write(encodeFrame(MUX.HELLO, MUX.VERSION));
  }

  /** Opens a channel; how that went tells its `opening`. */
  openChannel(type: string, ...fields: readonly Field[]): Channel {
    const id = this.#nextId;
    this.#nextId += 1;
    const channel = new Channel(id, this);
    if (this.#state === 'closed') {
      channel.lose();
      return channel;
    }
    this.#channels.set(id, channel);
    this.send(encodeMessage(MESSAGE.CHANNEL_OPEN, type, id, CHANNEL_WINDOW, CHANNEL_PACKET_MAX, ...fields));
    return channel;
  }

  /** True if the peer answered within that time. */
  async probe(withinMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), withinMs);
    });
    try {
      return await Promise.race([this.#askPeer().then(() => !this.isClosed), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** ssh closes all channels, after what was sent on them, and its side of the socket. */
  close(): void {
    this.#socket.end();
  }

  send(frame: Buffer): boolean {
    return this.#state === 'closed' || this.#socket.write(frame);
  }

  onDrain(resume: () => void): void {
    this.#waiting.push(resume);
  }

  release(id: number): void {
    this.#channels.delete(id);
  }

  /** Any answer is one. A refused channel would do too, but ssh (9.2) keeps its memory for ever. */
  async #askPeer(): Promise<unknown> {
    const open = [...this.#channels.values()].find((channel) => channel.isOpen);
    if (open !== undefined) return await open.request(PROBE_REQUEST);
    const channel = this.openChannel('session');
    const opening = await channel.opening;
    channel.close();
    return opening;
  }

  #onData(chunk: Buffer): void {
    this.lastHeard = performance.now();
    try {
      for (const frame of this.#frames.push(chunk)) this.#onFrame(frame);
    } catch (error) {
      this.fault =
        error instanceof Failure
          ? error
          : new Failure('ssh-unusable', { why: toError(error).message }, { cause: error });
      this.#socket.destroy();
    }
  }

  #onFrame(frame: Buffer): void {
    if (this.#state === 'ready') {
      this.#onMessage(frame);
      return;
    }
    const fields = new WireReader(frame);
    const type = fields.uint32();
    if (this.#state === 'hello' && type === MUX.HELLO && fields.uint32() === MUX.VERSION) {
      this.#state = 'proxy';
      this.#socket.write(encodeFrame(MUX.PROXY, 0));
    } else if (this.#state === 'proxy' && type === MUX.PROXY_STARTED) {
      this.#state = 'ready';
      this.#markReady();
    } else throw new Failure('ssh-unusable', { why: 'its control socket has no proxy mode' });
  }

  /** Padding length, type, and for all types we know of the channel. */
  #onMessage(frame: Buffer): void {
    const fields = new WireReader(frame, 1);
    const [type = 0] = fields.bytes(1);
    if (type < MESSAGE.CHANNEL_OPEN_CONFIRMATION || type > MESSAGE.CHANNEL_FAILURE) return;
    this.#channels.get(fields.uint32())?.onMessage(type, fields);
  }

  #resume(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #onClose(): void {
    this.#state = 'closed';
    for (const channel of [...this.#channels.values()]) channel.lose();
    this.#resume();
  }
}
