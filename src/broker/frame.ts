/** The frames of PROTOCOL.md, sections 1 and 3: encoding and decoding. Pure. */
import { utf8Bytes } from '../bytes.ts';
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
  TAKE: 20,
  NONE: 21,
  STARTING: 22,
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
const LAST_TYPE = FRAME.STARTING;

/** Whether a control frame can hold this. */
export function fitsControl(body: object): boolean {
  return utf8Bytes(JSON.stringify(body)).length <= FRAME_PAYLOAD_MAX;
}

/** One control frame; `body` becomes JSON, undefined an empty payload. */
export function encodeControl(type: FrameType, body?: object): Uint8Array {
  return encodeFrame(type, body === undefined ? new Uint8Array() : utf8Bytes(JSON.stringify(body)));
}

/** The five bytes that precede a payload, so that large payloads need not be copied. */
export function encodeHeader(type: FrameType, length: number): Uint8Array {
  const header = new Uint8Array(HEADER);
  writeHeader(header, type, length);
  return header;
}

function writeHeader(to: Uint8Array, type: FrameType, length: number): void {
  const counted = length + 1;
  for (let at = 0; at < LENGTH; at += 1) to[at] = counted >>> (8 * (LENGTH - 1 - at));
  to[LENGTH] = type;
}

/** One whole frame. The payload must be within the limit; `splitPayload` cuts longer ones. */
export function encodeFrame(type: FrameType, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER + payload.length);
  writeHeader(frame, type, payload.length);
  frame.set(payload, HEADER);
  return frame;
}

/** Bytes of any length as payloads within the limit. */
export function splitPayload(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
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
  /** The frame that comes in pieces: room for its header at first, for all of it once its length is known. */
  #frame: Buffer | undefined;
  #filled = 0;

  /**
   * @param onFrame gets each frame that is whole now, also those before a bad one
   * @throws {FrameError} for a length or a type that the protocol does not have
   */
  push(chunk: Buffer, onFrame: (frame: Frame) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      const whole = this.#filled === 0 ? frameLength(rest) : undefined;
      if (whole !== undefined && rest.length >= whole) {
        const frame = rest.subarray(0, whole);
        rest = rest.subarray(whole);
        onFrame(toFrame(frame));
      } else {
        this.#frame ??= Buffer.allocUnsafe(HEADER);
        const copied = rest.copy(this.#frame, this.#filled);
        rest = rest.subarray(copied);
        this.#filled += copied;
        const frame = this.#collect(this.#frame);
        if (frame !== undefined) onFrame(frame);
      }
    }
  }

  /** The frame that is whole now; else there is room for more of it. */
  #collect(frame: Buffer): Frame | undefined {
    const length = frameLength(frame.subarray(0, this.#filled));
    if (length === undefined) return undefined;
    if (this.#filled < length) {
      if (frame.length < length) {
        this.#frame = Buffer.allocUnsafe(length);
        frame.copy(this.#frame, 0, 0, this.#filled);
      }
      return undefined;
    }
    this.#frame = undefined;
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
