/** Frames over a Unix socket, for both ends. */
import { joinBytes } from '../bytes.ts';
import { FRAME_JOIN_MAX } from '../limits.ts';
import {
  encodeControl,
  encodeFrame,
  encodeHeader,
  type FRAME,
  type Frame,
  FrameReader,
  type FrameType,
  splitPayload,
} from './frame.ts';
import { type AcceptWire, openWire, type Wire, type WireEvents } from './wire.ts';

/** What a side does with what comes. */
export interface FrameHandler {
  /** May throw a `FrameError`: the connection is closed then. */
  onFrame(frame: Frame): void;
  /** Once, when nothing more comes, whatever the reason. */
  onClose(): void;
  onDrain?(): void;
  /** Once, after `onClose`: what was written has gone out, or never will. */
  onGone?(): void;
}

export class FrameSocket {
  readonly #reader = new FrameReader();
  readonly #handler: FrameHandler;
  #wire: Wire | undefined;
  /** What waits for the next frame. */
  #held: Uint8Array | undefined;

  private constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** @throws a system error with `code` if nobody listens at `path` */
  static async connect(path: string, handler: FrameHandler): Promise<FrameSocket> {
    const frames = new FrameSocket(handler);
    frames.#wire = await openWire(path, frames.#events());
    return frames;
  }

  static accept(accept: AcceptWire, handler: FrameHandler): FrameSocket {
    const frames = new FrameSocket(handler);
    frames.#wire = accept(frames.#events());
    return frames;
  }

  #events(): WireEvents {
    return {
      onData: (chunk) => {
        try {
          this.#reader.push(chunk, (frame) => this.#handler.onFrame(frame));
        } catch {
          // A peer that does not keep to the protocol costs itself its connection, and nobody else.
          this.destroy();
          this.#handler.onClose();
        }
      },
      onDrain: () => this.#handler.onDrain?.(),
      onClose: () => this.#handler.onClose(),
      onGone: () => this.#handler.onGone?.(),
    };
  }

  control(type: FrameType, body?: object): boolean {
    return this.#write(encodeControl(type, body));
  }

  /** A control frame that goes out with the next one, or a moment later by itself: each write wakes the other side. */
  controlSoon(type: FrameType, body: object): void {
    this.#held = encodeControl(type, body);
    setImmediate(() => this.#flush());
  }

  /** Several control frames in one write. */
  controls(...frames: readonly (readonly [FrameType, object?])[]): void {
    let encoded: Uint8Array | undefined;
    for (const [type, body] of frames) {
      const next = encodeControl(type, body);
      encoded = encoded === undefined ? next : joinBytes(encoded, next);
    }
    if (encoded !== undefined) this.#write(encoded);
  }

  /** Raw bytes in as many frames as they need; false when the socket wants a pause. */
  bytes(type: typeof FRAME.STDIN | typeof FRAME.DATA | typeof FRAME.STDERR, bytes: Uint8Array): boolean {
    let ready = true;
    for (const part of splitPayload(bytes)) {
      // A copy of a short payload costs less than a second system call.
      if (part.length <= FRAME_JOIN_MAX) ready = this.#write(encodeFrame(type, part));
      else {
        this.#write(encodeHeader(type, part.length));
        ready = this.#write(part);
      }
    }
    return ready;
  }

  pause(): void {
    this.#wire?.pause();
  }

  resume(): void {
    this.#wire?.resume();
  }

  /** Closes after what was written has gone out. */
  end(): void {
    this.#flush();
    this.#wire?.end();
  }

  destroy(): void {
    this.#wire?.destroy();
  }

  #flush(): void {
    const held = this.#takeHeld();
    if (held !== undefined) this.#wire?.write(held);
  }

  #takeHeld(): Uint8Array | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  #write(bytes: Uint8Array): boolean {
    const held = this.#takeHeld();
    return this.#wire?.write(held === undefined ? bytes : joinBytes(held, bytes)) ?? true;
  }
}
