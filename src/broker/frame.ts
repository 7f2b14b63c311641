/** The frames of PROTOCOL.md, sections 1 and 3: encoding and decoding. Pure. */
import { FRAME_PAYLOAD_MAX } from '../limits.ts';

/** PROTOCOL.md section 3; a test compares the two. */
export const FRAME = {
  HELLO: 1,
  OPEN: 2,
  OPENED: 3,
  STDIN: 4,
  DATA: 5,
  STDERR: 6,
  EOF: 7,
  EXIT: 8,
  FAIL: 9,
  KILL: 10,
  PING: 11,
  PONG: 12,
  STATUS: 13,
  STOP: 14,
  TAKEN: 15,
  CONNECT: 16,
  PROMPT: 17,
  ANSWER: 18,
  CONNECTED: 19,
} as const;

/** PROTOCOL.md; a change that an old peer would misunderstand raises it. */
export const PROTOCOL_VERSION = 1;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

/** The bytes of a frame's length, and of that with its type. */
const LENGTH = 4;
const HEADER = 5;
const LAST_TYPE = FRAME.CONNECTED;

/** One control frame; `body` becomes JSON, undefined an empty payload. */
export function encodeControl(type: FrameType, body?: object): Buffer {
  return encodeFrame(type, body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body)));
}

/** The five bytes that precede a payload, so that large payloads need not be copied. */
export function encodeHeader(type: FrameType, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32BE(length + 1, 0);
  header[LENGTH] = type;
  return header;
}

/** One whole frame. The payload must be within the limit; `splitPayload` cuts longer ones. */
export function encodeFrame(type: FrameType, payload: Buffer): Buffer {
  return Buffer.concat([encodeHeader(type, payload.length), payload]);
}

/** Bytes of any length as payloads within the limit. */
export function splitPayload(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += FRAME_PAYLOAD_MAX) {
    parts.push(bytes.subarray(at, at + FRAME_PAYLOAD_MAX));
  }
  return parts;
}

/** A peer that does not keep to the protocol; its connection is closed. */
export class FrameError extends Error {}

/**
 * Collects bytes and gives whole frames. Only a frame that comes in pieces is copied; what is whole in a chunk is given
 * as part of it. Holds at most one frame and the chunk it was given.
 */
export class FrameReader {
  /** Room for the frame that comes in pieces: its header at first, all of it once its length is known. */
  #frame: Buffer = Buffer.alloc(HEADER);
  #filled = 0;

  /** @throws {FrameError} for a length or a type that the protocol does not have */
  *push(chunk: Buffer): Generator<Frame> {
    let rest = chunk;
    while (rest.length > 0) {
      const whole = this.#filled === 0 ? frameLength(rest) : undefined;
      if (whole !== undefined && rest.length >= whole) {
        const frame = rest.subarray(0, whole);
        rest = rest.subarray(whole);
        yield toFrame(frame);
      } else {
        const copied = rest.copy(this.#frame, this.#filled);
        rest = rest.subarray(copied);
        this.#filled += copied;
        const frame = this.#collect();
        if (frame !== undefined) yield frame;
      }
    }
  }

  /** The frame that is whole now; else there is room for more of it. */
  #collect(): Frame | undefined {
    const length = frameLength(this.#frame.subarray(0, this.#filled));
    if (length === undefined) return undefined;
    const frame = this.#frame;
    if (this.#filled < length) {
      if (frame.length < length) {
        this.#frame = Buffer.allocUnsafe(length);
        frame.copy(this.#frame, 0, 0, this.#filled);
      }
      return undefined;
    }
    this.#frame = Buffer.alloc(HEADER);
    this.#filled = 0;
    return toFrame(frame);
  }
}

/** Of a whole frame, from its first bytes; undefined while they do not tell. @throws {FrameError} */
function frameLength(bytes: Buffer): number | undefined {
  if (bytes.length < LENGTH) return undefined;
  const length = bytes.readUInt32BE(0);
  if (length < 1 || length > FRAME_PAYLOAD_MAX + 1) throw new FrameError(`frame length ${length}`);
  if (bytes.length < HEADER) return undefined;
  const type = bytes[LENGTH] as number;
  if (type < 1 || type > LAST_TYPE) throw new FrameError(`frame type ${type}`);
  return LENGTH + length;
}

function toFrame(bytes: Buffer): Frame {
  return { type: bytes[LENGTH] as FrameType, payload: bytes.subarray(HEADER) };
}

/** A control payload as an object. @throws {FrameError} if it is none */
export function parseControl(payload: Buffer): Readonly<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(payload.toString('utf8'));
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
      return body as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw new FrameError('control payload is no object');
}
