/**
 * The messages between us and a master of the system's ssh, as bytes. Its control socket is spoken to as OpenSSH's
 * PROTOCOL.mux says: a hello, then proxy mode, in which each frame is one message of the SSH connection protocol
 * (RFC 4254). Pure.
 */
import { Failure } from '../errors.ts';
import { MUX_PACKET_MAX } from '../limits.ts';
import { encodeStrings, encodeUint32 } from './ssh-wire.ts';

/** PROTOCOL.mux section 1 and 3. */
export const MUX = {
  HELLO: 0x00000001,
  VERSION: 4,
  PROXY: 0x1000000f,
  PROXY_STARTED: 0x8000000f,
} as const;

/** RFC 4250 section 4.1.2. */
export const MESSAGE = {
  CHANNEL_OPEN: 90,
  CHANNEL_OPEN_CONFIRMATION: 91,
  CHANNEL_OPEN_FAILURE: 92,
  CHANNEL_WINDOW_ADJUST: 93,
  CHANNEL_DATA: 94,
  CHANNEL_EXTENDED_DATA: 95,
  CHANNEL_EOF: 96,
  CHANNEL_CLOSE: 97,
  CHANNEL_REQUEST: 98,
  CHANNEL_SUCCESS: 99,
  CHANNEL_FAILURE: 100,
} as const;

/** RFC 4254 section 5.2: the only type of extended data. */
export const STDERR_DATA = 1;

/** What a message is made of: numbers are uint32, the rest is written with its length (RFC 4251 section 5). */
export type Field = number | boolean | string | Buffer;

/** Fields one after the other. */
export function encodeFields(...fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(encodeField));
}

function encodeField(field: Field): Buffer[] {
  if (typeof field === 'boolean') return [Buffer.of(field ? 1 : 0)];
  if (typeof field === 'number') return [encodeUint32(field)];
  return [encodeStrings(typeof field === 'string' ? Buffer.from(field) : field)];
}

/** A frame of the control socket. */
export function encodeFrame(...fields: readonly Field[]): Buffer {
  return encodeFields(encodeFields(...fields));
}

/** A frame of proxy mode: an unencrypted packet without padding. */
export function encodeMessage(type: number, ...fields: readonly Field[]): Buffer {
  return encodeFields(Buffer.concat([Buffer.of(0, type), encodeFields(...fields)]));
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #pending: Buffer[] = [];
  #length = 0;

  /** @throws {Failure} `ssh-unusable` for a frame that ssh would never send */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    for (;;) {
      if (this.#length < LENGTH_SIZE) return;
      const size = this.#peekLength();
      if (size > MUX_PACKET_MAX) throw new Failure('ssh-unusable', { why: `a frame of ${size} bytes` });
      if (this.#length < LENGTH_SIZE + size) return;
      const bytes = this.#pending.length === 1 ? (this.#pending[0] as Buffer) : Buffer.concat(this.#pending);
      const rest = bytes.subarray(LENGTH_SIZE + size);
      this.#pending = rest.length > 0 ? [rest] : [];
      this.#length = rest.length;
      yield bytes.subarray(LENGTH_SIZE, LENGTH_SIZE + size);
    }
  }

  #peekLength(): number {
    const [first] = this.#pending as [Buffer];
    if (first.length >= LENGTH_SIZE) return first.readUInt32BE(0);
    this.#pending = [Buffer.concat(this.#pending)];
    return (this.#pending[0] as Buffer).readUInt32BE(0);
  }
}

const LENGTH_SIZE = 4;
