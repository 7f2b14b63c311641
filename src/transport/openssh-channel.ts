/**
 * One channel of the SSH connection protocol (RFC 4254 section 5) as three streams: windows and backpressure both ways,
 * memory bounded by the window.
 */
import { Readable, Writable } from 'node:stream';
import { CHANNEL_PACKET_MAX, CHANNEL_READ_AHEAD, CHANNEL_WINDOW } from '../limits.ts';
import { encodeMessage, type Field, MESSAGE, STDERR_DATA } from './openssh-packet.ts';
import type { WireReader } from './ssh-wire.ts';
import type { RemoteExit } from './transport.ts';

/** What a channel sends its messages with. */
export interface ChannelLink {
  /** False if no more should be sent before `onDrain` calls back. */
  send(frame: Buffer): boolean;
  /** Calls back once. */
  onDrain(resume: () => void): void;
  /** The channel needs no more messages. */
  release(id: number): void;
}

/** How a channel ended: by both sides, or with the connection. */
export type ChannelEnd = 'closed' | 'lost';

/** `opened`, or the peer's words for why not, and its code (RFC 4254 section 5.1) if it answered at all. */
export type ChannelOpening = 'opened' | { readonly refused: string; readonly reason?: number };

export class Channel {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly opening: Promise<ChannelOpening>;
  readonly ended: Promise<ChannelEnd>;
  /** What the peer said about its command. */
  exit: Exclude<RemoteExit, { kind: 'lost' }> | undefined;
  readonly #id: number;
  readonly #link: ChannelLink;
  #settleOpening: (opening: ChannelOpening) => void = () => {};
  #settleEnd: (end: ChannelEnd) => void = () => {};
  readonly #answers: ((granted: boolean) => void)[] = [];
  #peer = 0;
  #peerWindow = 0;
  #peerPacketMax = 0;
  /** Bytes of the window that the peer has used. */
  #used = 0;
  #outgoing: Buffer = Buffer.alloc(0);
  #onSent: (() => void) | undefined;
  #isConfirmed = false;
  #closeSent = false;
  #over = false;

  constructor(id: number, link: ChannelLink) {
    this.#id = id;
    this.#link = link;
    this.opening = new Promise((resolve) => {
      this.#settleOpening = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#settleEnd = resolve;
    });
    const read = (): void => this.#reopenWindow();
    this.stdout = new Readable({ highWaterMark: CHANNEL_READ_AHEAD, read });
    this.stderr = new Readable({ highWaterMark: CHANNEL_READ_AHEAD, read });
    this.stdin = new Writable({
      write: (chunk: Buffer, _, done) => {
        this.#outgoing = chunk;
        this.#onSent = done;
        this.#flush();
      },
      final: (done) => {
        this.#send(MESSAGE.CHANNEL_EOF);
        done();
      },
    });
    // Each stream needs its own: an error without a handler would end the process.
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.on('error', () => {});
  }

  /** Both sides have opened it and neither has closed it. */
  get isOpen(): boolean {
    return this.#isConfirmed && !this.#over && !this.#closeSent;
  }

  /** Asks the peer for something; false if it says no or the connection ends first. */
  request(name: string, ...fields: readonly Field[]): Promise<boolean> {
    if (!this.isOpen) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#answers.push(resolve);
      this.#send(MESSAGE.CHANNEL_REQUEST, name, true, ...fields);
    });
  }

  /** Tells the peer's command to end (RFC 4254 section 6.9); not every server does. */
  signal(name: string): void {
    this.#send(MESSAGE.CHANNEL_REQUEST, 'signal', false, name);
  }

  close(): void {
    this.#send(MESSAGE.CHANNEL_CLOSE);
    this.#flush();
  }

  /** The connection has ended. */
  lose(): void {
    this.#end('lost');
  }

  /** @param type one of those from CHANNEL_OPEN_CONFIRMATION on. @throws {RangeError} for a message that breaks the protocol */
  onMessage(type: number, fields: WireReader): void {
    if (type === MESSAGE.CHANNEL_OPEN_CONFIRMATION) this.#onConfirmation(fields);
    else if (type === MESSAGE.CHANNEL_OPEN_FAILURE) this.#onRefusal(fields);
    else if (type === MESSAGE.CHANNEL_WINDOW_ADJUST) {
      this.#peerWindow += fields.uint32();
      this.#flush();
    } else if (type === MESSAGE.CHANNEL_DATA) this.#onData(this.stdout, fields.string());
    else if (type === MESSAGE.CHANNEL_EXTENDED_DATA) this.#onExtendedData(fields);
    else if (type === MESSAGE.CHANNEL_EOF) this.#endOutput();
    else if (type === MESSAGE.CHANNEL_CLOSE) this.#onClose();
    else if (type === MESSAGE.CHANNEL_REQUEST) this.#onRequest(fields);
    else this.#answers.shift()?.(type === MESSAGE.CHANNEL_SUCCESS);
  }

  #onConfirmation(fields: WireReader): void {
    this.#peer = fields.uint32();
    this.#peerWindow = fields.uint32();
    this.#peerPacketMax = Math.min(fields.uint32(), CHANNEL_PACKET_MAX);
    this.#isConfirmed = true;
    this.#settleOpening('opened');
    this.#flush();
  }

  #onRefusal(fields: WireReader): void {
    const reason = fields.uint32();
    this.#settleOpening({ refused: fields.text() || 'no reason given', reason });
    this.#end('closed');
  }

  #onExtendedData(fields: WireReader): void {
    const type = fields.uint32();
    const data = fields.string();
    if (type === STDERR_DATA) this.#onData(this.stderr, data);
    else {
      this.#used += data.length;
      this.#reopenWindow();
    }
  }

  #onData(stream: Readable, data: Buffer): void {
    this.#used += data.length;
    if (this.#used > CHANNEL_WINDOW) throw new RangeError('more data than the window allows');
    if (stream.readableEnded || stream.destroyed) this.#reopenWindow();
    else stream.push(data);
  }

  #onRequest(fields: WireReader): void {
    const name = fields.text();
    const [wantsAnswer] = fields.bytes(1);
    if (name === 'exit-status') this.exit = { kind: 'status', status: fields.uint32() };
    else if (name === 'exit-signal') this.exit = { kind: 'signal', signal: fields.text() };
    // sshd's keepalive (sshd_config(5) ClientAliveInterval) is a request that wants any answer at all.
    if (wantsAnswer !== 0) this.#send(MESSAGE.CHANNEL_FAILURE);
  }

  #onClose(): void {
    this.#send(MESSAGE.CHANNEL_CLOSE);
    this.#end('closed');
  }

  #end(end: ChannelEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#link.release(this.#id);
    this.#settleOpening({ refused: 'the connection ended' });
    for (const answer of this.#answers.splice(0)) answer(false);
    this.#endOutput();
    this.#flush();
    this.#settleEnd(end);
  }

  #endOutput(): void {
    for (const stream of [this.stdout, this.stderr]) stream.push(null);
  }

  /** Lets the peer send as much as has been read, half a window at a time. */
  #reopenWindow(): void {
    const read = this.#used - this.stdout.readableLength - this.stderr.readableLength;
    if (this.#over || read < CHANNEL_WINDOW / 2) return;
    this.#used -= read;
    this.#send(MESSAGE.CHANNEL_WINDOW_ADJUST, read);
  }

  /** Sends what the peer's window takes; what nobody will read any more is dropped. */
  #flush(): void {
    while (this.#outgoing.length > 0 && !this.#over && !this.#closeSent) {
      const size = Math.min(this.#outgoing.length, this.#peerWindow, this.#peerPacketMax);
      if (size === 0) return;
      const part = this.#outgoing.subarray(0, size);
      this.#outgoing = this.#outgoing.subarray(size);
      this.#peerWindow -= size;
      if (this.#send(MESSAGE.CHANNEL_DATA, part)) continue;
      this.#link.onDrain(() => this.#flush());
      return;
    }
    this.#outgoing = this.#outgoing.subarray(this.#outgoing.length);
    const done = this.#onSent;
    this.#onSent = undefined;
    done?.();
  }

  /** Nothing may follow a CLOSE: ssh would end our control connection over it. */
  #send(type: number, ...fields: readonly Field[]): boolean {
    if (!this.isOpen) return true;
    if (type === MESSAGE.CHANNEL_CLOSE) this.#closeSent = true;
    return this.#link.send(encodeMessage(type, this.#peer, ...fields));
  }
}
