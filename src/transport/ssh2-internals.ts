/**
 * The only file that goes beyond ssh2's documented interface. Each function looks first whether ssh2 is built as it
 * expects, and says so if not; its caller then goes the documented way.
 */
import { randomFillSync, randomUUID } from 'node:crypto';
import ssh2 from 'ssh2';
// @ts-expect-error: not part of its declared interface
import constants from 'ssh2/lib/protocol/constants.js';
import {
  CHANNEL_PACKET_MAX,
  CHANNELS_AHEAD,
  IDENTIFICATION_MAX,
  PACKET_REUSED_MIN,
  WINDOW_EXCESS_MAX,
  WINDOW_GROWN,
  WINDOW_GROWN_ALL,
  WINDOW_ROUND_TRIP_MS,
} from '../limits.ts';
import { COPY_OFFSET } from './joined-writes.ts';
import { encodeStrings, WireReader } from './ssh-wire.ts';

const { utils } = ssh2;

/** What ssh2 can do on this runtime. */
export interface SupportedAlgorithms {
  readonly kex: readonly string[];
  readonly serverHostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly hmac: readonly string[];
}

/** Undefined where ssh2 does not tell: then it will throw at a name that it does not know. */
export function supportedAlgorithms(): SupportedAlgorithms | undefined {
  const lists = constants as Readonly<Record<string, unknown>>;
  const found = ['KEX', 'SERVER_HOST_KEY', 'CIPHER', 'MAC'].map((name) => lists[`SUPPORTED_${name}`]);
  if (!found.every((list) => Array.isArray(list) && list.every((name) => typeof name === 'string'))) {
    return undefined;
  }
  const [kex, serverHostKey, cipher, hmac] = found as readonly (readonly string[])[];
  return { kex, serverHostKey, cipher, hmac } as SupportedAlgorithms;
}

/** RFC 8332: one RSA key, two ways to sign. */
export const RSA_HASHES = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' } as const;

/**
 * The same RSA key, bound to one way to sign. ssh2 itself offers only one of them, by what the server says it knows,
 * and sshd says what it knows, not what PubkeyAcceptedAlgorithms leaves of that.
 *
 * @returns undefined if ssh2 does not take such a key
 */
export function bindRsaKey(
  key: ssh2.ParsedKey,
  algorithm: keyof typeof RSA_HASHES,
): ssh2.ParsedKey | undefined {
  return disguise(key, {
    type: { value: algorithm },
    sign: { value: (data: Buffer): Buffer => key.sign(data, RSA_HASHES[algorithm]) },
  });
}

/** Any key: only its place in the chain of prototypes matters, by which ssh2 knows its own. */
const SOME_KEY = utils.parseKey(
  `ssh-ed25519 ${encodeStrings('ssh-ed25519', Buffer.alloc(32)).toString('base64')}`,
);

/**
 * A public key of a type that ssh2 does not know (FIDO keys, certificates), to be offered in the name of an agent.
 *
 * @returns undefined if ssh2 does not take such a key
 */
export function makePublicKey(algorithm: string, blob: Buffer): ssh2.ParsedKey | undefined {
  if (SOME_KEY instanceof Error) return undefined;
  return disguise(SOME_KEY, { type: { value: algorithm }, getPublicSSH: { value: () => blob } });
}

function disguise(key: ssh2.ParsedKey, changes: PropertyDescriptorMap): ssh2.ParsedKey | undefined {
  const disguised = Object.create(key, changes) as ssh2.ParsedKey;
  return utils.parseKey(disguised) === disguised ? disguised : undefined;
}

interface ProtocolShape {
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number;
      alloc(size: number): Uint8Array;
      finalize(packet: Uint8Array): Uint8Array;
    };
  };
  readonly _cipher: { encrypt(packet: Uint8Array): void };
  readonly _authsQueue: string[];
  readonly _kexinit: unknown;
}

/**
 * Sends a signed request for publickey authentication (RFC 4252 section 7) whose signature has more parts than ssh2
 * would write.
 *
 * @param signed what was signed: the session id, then the request itself
 * @param signature the signature as the agent gave it, its type first
 * @returns false if ssh2 is built otherwise; nothing was sent then
 */
export function sendSignedRequest(client: ssh2.Client, signed: Buffer, signature: Buffer): boolean {
  const protocol = (client as unknown as { _protocol?: unknown })._protocol;
  // During a new key exchange packets wait, and ssh2 would have to be told.
  if (!isProtocol(protocol) || protocol._kexinit !== undefined) return false;
  const reader = new WireReader(signed);
  reader.string();
  const payload = Buffer.concat([reader.rest(), encodeStrings(signature)]);
  const { write } = protocol._packetRW;
  const packet = write.alloc(payload.length);
  packet.set(payload, write.allocStart);
  protocol._authsQueue.push('publickey');
  protocol._cipher.encrypt(write.finalize(packet));
  return true;
}

function isProtocol(value: unknown): value is ProtocolShape {
  const shape = value as Partial<ProtocolShape> | undefined;
  const write = shape?._packetRW?.write;
  return (
    typeof write?.allocStart === 'number' &&
    typeof write.alloc === 'function' &&
    typeof write.finalize === 'function' &&
    typeof shape?._cipher?.encrypt === 'function' &&
    Array.isArray(shape._authsQueue)
  );
}

/**
 * Sends a signal to a remote command (RFC 4254 section 6.9) even after its input has ended, when ssh2's own `signal`
 * does nothing: a command that ignores EOF must be reached all the same.
 *
 * @returns false if ssh2 is not built as expected; nothing was sent then
 */
export function signalAfterEof(channel: ssh2.ClientChannel, name: string): boolean {
  const { outgoing, _client } = channel as unknown as {
    outgoing?: { id?: unknown; state?: unknown };
    _client?: { _protocol?: { signal?: (id: number, name: string) => void } };
  };
  const protocol = _client?._protocol;
  if (typeof protocol?.signal !== 'function' || typeof outgoing?.id !== 'number') return false;
  if (outgoing.state !== 'eof') return false;
  protocol.signal(outgoing.id, name);
  return true;
}

interface ParserShape {
  parse(chunk: Buffer, from: number, to: number): void;
  /** What came of an unfinished identification; undefined again once it is whole. */
  _buffer: Buffer | undefined;
}

/**
 * Lets a server's identification, and the lines that may stand before it (RFC 4253 section 4.2), come in any number of
 * pieces: ssh2 forgets all of them but the first and the last, and then waits for ever. Leaves ssh2 alone if it is
 * built otherwise. To be called between `connect` and the first bytes.
 */
export function joinIdentification(client: ssh2.Client): void {
  const protocol = (client as unknown as { _protocol?: Partial<ParserShape> })._protocol;
  const parse = protocol?.parse;
  if (protocol === undefined || typeof parse !== 'function' || !('_buffer' in protocol)) return;
  let read = Buffer.alloc(0);
  protocol.parse = (chunk, from, to) => {
    read = Buffer.concat([read, chunk.subarray(from, to)]);
    // From the beginning each time, so that whatever is wrong with it is told at once.
    protocol._buffer = undefined;
    parse.call(protocol, read, 0, read.length);
    if (protocol._buffer === undefined || read.length > IDENTIFICATION_MAX) protocol.parse = parse;
  };
}

/** Whose first channel is number 0; a request for a channel that does not exist would end the connection. */
const COUNTS_FROM_ZERO = /^(?:OpenSSH|dropbear)_/;

type Handler = (protocol: unknown, ...values: unknown[]) => void;

interface RoundTripShape {
  readonly _handlers: {
    SERVICE_ACCEPT: Handler;
    EXT_INFO: Handler;
    GLOBAL_REQUEST: Handler;
    readonly USERAUTH_PK_OK: Handler;
  };
  service(name: string): void;
  authPK(user: string, key: unknown, algorithm: string | undefined, sign?: unknown): void;
  session(id: number, window: number, packet: number): void;
  directTcpip(...words: unknown[]): void;
  exec(channel: number, command: string, wantReply: boolean): void;
}

/** A channel that no command was started on yet. */
interface Prepared {
  /** The server's number for it, once it is open. */
  channel?: number;
  /** Told once a command was started. */
  done?: ssh2.ClientCallback;
}

/**
 * Saves the waits that the protocol does not need: the request for the login service and the first request to log in
 * go together (RFC 4252 lets a client send both), a key that will do signs at once instead of being offered first
 * (section 7), and a command follows its channel's opening at once where the server's numbering is known.
 */
export class RoundTrips {
  /** The key that is offered next signs without being asked for. */
  signAtOnce = false;
  readonly #protocol: RoundTripShape;
  readonly #client: ssh2.Client;
  #markSpoken: () => void = () => {};
  /** Settled once the server's list of algorithms (RFC 8308) has come, or will not come any more. */
  readonly spoken = new Promise<void>((resolve) => {
    this.#markSpoken = resolve;
  });
  #command: string | undefined;
  #fresh = true;
  readonly #prepared = new Map<string, Prepared>();
  #mayPrepare = true;

  private constructor(client: ssh2.Client, protocol: RoundTripShape) {
    this.#client = client;
    this.#protocol = protocol;
    this.#joinService();
    this.#signAtOnce();
    this.#sendCommandAtOnce();
    this.#ignoreHostKeys();
  }

  /** To be called between `connect` and the first packet. Undefined if ssh2 is built otherwise; nothing is changed then. */
  static save(client: ssh2.Client): RoundTrips | undefined {
    const protocol = (client as unknown as { _protocol?: unknown })._protocol;
    return isRoundTripShape(protocol) ? new RoundTrips(client, protocol) : undefined;
  }

  /** The command that will be started next, for the first channel of a connection. */
  announce(command: string): void {
    const version = (this.#client as unknown as { _remoteVer?: unknown })._remoteVer;
    if (this.#fresh && typeof version === 'string' && COUNTS_FROM_ZERO.test(version)) this.#command = command;
  }

  /**
   * Opens channels for the next commands in advance, as many as are missing. A server that refuses one, or takes it
   * back, has no room for what nobody uses yet, and is not asked again.
   */
  prepare(): void {
    while (this.#mayPrepare && this.#prepared.size < CHANNELS_AHEAD) this.#prepareOne();
  }

  #prepareOne(): void {
    const marker = `\0${randomUUID()}`;
    const prepared: Prepared = {};
    this.#prepared.set(marker, prepared);
    try {
      // ssh2 sends the marker as the command of the channel, were it not held back below.
      this.#client.exec(marker, (error, channel) => {
        if (prepared.done !== undefined) prepared.done(error, channel);
        else {
          this.#prepared.delete(marker);
          this.#mayPrepare = false;
        }
      });
    } catch {
      // The connection has gone; whoever needs it is told elsewhere.
      this.#mayPrepare = false;
    }
  }

  /** Starts a command on a channel that was opened in advance. False if there is none. */
  startPrepared(command: string, done: ssh2.ClientCallback): boolean {
    for (const [marker, prepared] of this.#prepared) {
      if (prepared.channel === undefined) continue;
      this.#prepared.delete(marker);
      prepared.done = done;
      this.#protocol.exec(prepared.channel, command, true);
      return true;
    }
    return false;
  }

  #joinService(): void {
    const protocol = this.#protocol;
    const handlers = protocol._handlers;
    const { SERVICE_ACCEPT: accepted, EXT_INFO: extended } = handlers;
    const request = protocol.service.bind(protocol);
    handlers.EXT_INFO = (...values) => {
      extended(...values);
      this.#markSpoken();
    };
    protocol.service = (name) => {
      request(name);
      handlers.SERVICE_ACCEPT = () => this.#markSpoken();
      accepted(protocol, name);
    };
  }

  #signAtOnce(): void {
    const protocol = this.#protocol;
    const offer = protocol.authPK.bind(protocol);
    protocol.authPK = (user, key, algorithm, sign) => {
      // As if the server had said that it takes the key.
      if (sign === undefined && this.signAtOnce) protocol._handlers.USERAUTH_PK_OK(protocol);
      else offer(user, key, algorithm, sign);
    };
  }

  #sendCommandAtOnce(): void {
    const protocol = this.#protocol;
    const session = protocol.session.bind(protocol);
    const forward = protocol.directTcpip.bind(protocol);
    const exec = protocol.exec.bind(protocol);
    let sent: string | undefined;
    protocol.session = (...words) => {
      session(...words);
      sent = this.#fresh ? this.#command : undefined;
      this.#fresh = false;
      if (sent !== undefined) exec(0, sent, true);
    };
    protocol.directTcpip = (...words) => {
      this.#fresh = false;
      forward(...words);
    };
    protocol.exec = (channel, command, wantReply) => {
      const prepared = this.#prepared.get(command);
      if (prepared !== undefined) {
        prepared.channel = channel;
        return;
      }
      const done = sent === command && channel === 0;
      sent = undefined;
      if (!done) exec(channel, command, wantReply);
    };
  }

  /** ssh2 would have the server sign with all its keys, just when it should start our command. Nobody asks for them. */
  #ignoreHostKeys(): void {
    const handlers = this.#protocol._handlers;
    const asked = handlers.GLOBAL_REQUEST;
    handlers.GLOBAL_REQUEST = (protocol, name, wantReply, ...more) => {
      if (name !== 'hostkeys-00@openssh.com' || wantReply === true) asked(protocol, name, wantReply, ...more);
    };
  }
}

function isRoundTripShape(value: unknown): value is RoundTripShape {
  const shape = value as Partial<RoundTripShape> | undefined;
  const handlers = shape?._handlers as Readonly<Record<string, unknown>> | undefined;
  return (
    [shape?.service, shape?.authPK, shape?.session, shape?.directTcpip, shape?.exec].every(isFunction) &&
    ['SERVICE_ACCEPT', 'EXT_INFO', 'GLOBAL_REQUEST', 'USERAUTH_PK_OK'].every((name) =>
      isFunction(handlers?.[name]),
    )
  );
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

interface WindowShape {
  readonly incoming: { window: number };
  readonly outgoing: { readonly id: number; readonly state: string };
  readonly _client: { readonly _protocol: { channelWindowAdjust(id: number, bytes: number): void } };
}

/** By how much a channel's window is larger than ssh2 counts, in bytes. */
const lent = new WeakMap<object, () => number>();

type DataHandler = (protocol: unknown, recipient: number, data: Buffer, ...more: unknown[]) => void;

interface DataShape {
  readonly _protocol: { readonly _handlers: Record<(typeof DATA_MESSAGES)[number], DataHandler> };
  readonly _chanMgr: { get(id: number): Partial<Pick<WindowShape, 'incoming'>> | null | undefined };
}

const DATA_MESSAGES = ['CHANNEL_DATA', 'CHANNEL_EXTENDED_DATA'] as const;

/**
 * Keeps a server from filling our memory with what it had no leave to send: ssh2 counts a channel's window (RFC 4254
 * section 5.2) and then takes what goes beyond it all the same. To be called between `connect` and the first packet;
 * does nothing where ssh2 is built otherwise.
 *
 * @param onExcess called at each message that goes beyond the window by more than `WINDOW_EXCESS_MAX`, which is dropped
 */
export function enforceWindow(client: ssh2.Client, onExcess: () => void): void {
  const { _protocol: protocol, _chanMgr: channels } = client as unknown as Partial<DataShape>;
  const handlers = protocol?._handlers;
  if (handlers === undefined || !isFunction(channels?.get)) return;
  if (!DATA_MESSAGES.every((name) => isFunction(handlers[name]))) return;
  for (const name of DATA_MESSAGES) {
    const handle = handlers[name];
    handlers[name] = (self, recipient, data, ...more) => {
      const incoming = channels?.get(recipient)?.incoming;
      const left = incoming === undefined ? 0 : incoming.window + (lent.get(incoming)?.() ?? 0);
      if (data.length - left > WINDOW_EXCESS_MAX) onExcess();
      else handle(self, recipient, data, ...more);
    };
  }
}

interface SinkShape {
  _write(data: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void;
}

/**
 * Has an upload wait for the line below. ssh2 minds a channel's window only (RFC 4254 section 5.2), which a server may open
 * as wide as it likes: what the line does not take would pile up here. Does nothing where ssh2 is built otherwise.
 *
 * @param whenClear calls back once the line has room, at once if it has
 */
export function awaitLine(channel: ssh2.ClientChannel, whenClear: (done: () => void) => void): void {
  const sink = channel as unknown as Partial<SinkShape>;
  const write = sink._write;
  if (typeof write !== 'function') return;
  sink._write = (data, encoding, done) => {
    write.call(channel, data, encoding, (error) => {
      if (error) done(error);
      else whenClear(() => done());
    });
  };
}

interface WriterShape {
  /** Where a packet's payload begins: behind its length; 0 during a key exchange, when packets wait to be framed. */
  readonly allocStart: number;
  alloc(size: number, force?: boolean): Buffer;
}

interface PacketShape {
  readonly _cipher: unknown;
  readonly _packetRW: { write: WriterShape };
}

/**
 * Builds the large packets of an upload in one piece of memory instead of one for each, which begins where copying is
 * fast (`COPY_OFFSET`). For streams that take a copy of all that is written at once (`joinWrites`): ssh2 encrypts a
 * packet and writes it before it makes the next. To be called between `connect` and the first packet; does nothing where
 * ssh2 is built otherwise.
 */
export function reusePackets(client: ssh2.Client): void {
  const protocol = (client as unknown as { _protocol?: unknown })._protocol;
  if (!isPacketShape(protocol)) return;
  const packets = protocol._packetRW;
  let writer = packets.write;
  // ssh2 takes a new one after each key exchange.
  Object.defineProperty(packets, 'write', {
    get: () => writer,
    set: (next: WriterShape) => {
      writer = next;
      if (isFunction(next?.alloc)) reuseMemory(next, protocol);
    },
  });
}

function reuseMemory(writer: WriterShape, protocol: PacketShape): void {
  const alloc = writer.alloc.bind(writer);
  const room = Buffer.allocUnsafe(COPY_OFFSET + CHANNEL_PACKET_MAX + 1024).subarray(COPY_OFFSET);
  let cipher: unknown;
  let payload = 0;
  let packet = room;
  writer.alloc = (size, force) => {
    const start = writer.allocStart;
    if (start === 0 || size < PACKET_REUSED_MIN) return alloc(size, force);
    // Frames differ by cipher and size only, but for their padding.
    if (cipher !== protocol._cipher || payload !== size) {
      const framed = alloc(size, force);
      if (framed.length > room.length) return framed;
      cipher = protocol._cipher;
      payload = size;
      packet = room.subarray(0, framed.length);
      packet.set(framed.subarray(0, start));
    }
    randomFillSync(packet, start + size);
    return packet;
  };
}

function isPacketShape(value: unknown): value is PacketShape {
  const shape = value as Partial<PacketShape> | undefined;
  const writer = shape?._packetRW?.write;
  return (
    typeof writer?.allocStart === 'number' &&
    isFunction(writer.alloc) &&
    shape !== undefined &&
    '_cipher' in shape
  );
}

/** What all channels together were given beyond ssh2's own window, in bytes. */
let grownByAll = 0;

/**
 * Lets a channel's window (RFC 4254 section 5.2) grow on a long line, which ssh2's own 2 MiB do not fill: 40 MB/s at
 * 50 ms. A server that sent half a window and then nothing for a while, while nothing lay here unread, waits
 * for leave to send: it gets twice as much. On a short line a larger window only costs memory and caches. The server is
 * told of more than ssh2 counts; ssh2 sees `real - extra`. What a stalled reader may hold back is bounded:
 * `WINDOW_GROWN` a channel, `WINDOW_GROWN_ALL` for the process.
 *
 * Does nothing where ssh2 is built otherwise.
 *
 * @param roundTrip milliseconds; up to twice too many does no harm
 * @returns to be called when the channel is given up
 */
export function growWindow(channel: ssh2.ClientChannel, roundTrip: number): () => void {
  if (roundTrip < WINDOW_ROUND_TRIP_MS || !hasWindow(channel)) return () => {};
  const { incoming, outgoing, _client: client } = channel;
  const own = incoming.window;
  // Never a whole number: ssh2 drops data when it counts exactly 0.
  let extra = 0.5;
  let real = own;
  let released = false;
  let burst = 0;
  let heard = performance.now();
  const grow = (): void => {
    const more = Math.floor(Math.min(own + extra, WINDOW_GROWN - extra, WINDOW_GROWN_ALL - grownByAll));
    if (more <= 0 || released) return;
    extra += more;
    grownByAll += more;
    real += more;
    client._protocol.channelWindowAdjust(outgoing.id, more);
  };
  const arrived = (bytes: number): void => {
    const now = performance.now();
    if (now - heard >= roundTrip / 4) {
      if (burst >= (own + extra) / 2 && channel.readableLength === 0) grow();
      burst = 0;
    }
    burst += bytes;
    heard = now;
  };
  lent.set(incoming, () => extra);
  Object.defineProperty(incoming, 'window', {
    get: () => real - extra,
    set: (counted: number) => {
      const before = real;
      real = Math.floor(counted + extra);
      if (real < before) arrived(before - real);
    },
  });
  return () => {
    if (!released) grownByAll -= Math.floor(extra);
    released = true;
  };
}

function hasWindow(value: unknown): value is WindowShape & ssh2.ClientChannel {
  const shape = value as Partial<WindowShape>;
  return (
    Number.isInteger(shape.incoming?.window) &&
    typeof shape.outgoing?.id === 'number' &&
    isFunction(shape._client?._protocol?.channelWindowAdjust)
  );
}
