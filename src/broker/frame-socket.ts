/** Frames over a Unix socket, for both ends. */
import type { Socket } from 'node:net';
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

export class FrameSocket {
  readonly socket: Socket;
  readonly #reader = new FrameReader();

  /** `onFrame` may be replaced between frames; `onBroken` gets protocol errors, after which nothing more comes. */
  constructor(socket: Socket, onFrame: (frame: Frame) => void, onBroken: (error: unknown) => void) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of this.#reader.push(chunk)) onFrame(frame);
      } catch (error) {
        socket.destroy();
        onBroken(error);
      }
    });
    // Whoever waits learns it from 'close'.
    socket.on('error', () => {});
  }

  control(type: FrameType, body?: object): boolean {
    return this.socket.writable && this.socket.write(encodeControl(type, body));
  }

  /** Several control frames in one write. */
  controls(...frames: readonly (readonly [FrameType, object?])[]): void {
    this.socket.write(Buffer.concat(frames.map(([type, body]) => encodeControl(type, body))));
  }

  /** Raw bytes in as many frames as they need; false when the socket wants a pause. */
  bytes(type: typeof FRAME.STDIN | typeof FRAME.DATA | typeof FRAME.STDERR, bytes: Buffer): boolean {
    let ready = true;
    if (!this.socket.writable) return ready;
    for (const part of splitPayload(bytes)) {
      // A copy of a short payload costs less than a second system call.
      if (part.length <= FRAME_JOIN_MAX) ready = this.socket.write(encodeFrame(type, part));
      else {
        this.socket.cork();
        this.socket.write(encodeHeader(type, part.length));
        ready = this.socket.write(part);
        this.socket.uncork();
      }
    }
    return ready;
  }
}
