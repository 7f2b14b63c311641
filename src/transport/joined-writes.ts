/**
 * One write for what belongs together. ssh2 gives its stream each packet in three or four pieces (length, body, tag),
 * and with Nagle's algorithm off each would be a system call and a segment of its own.
 */
import type { Writable } from 'node:stream';
import { CHANNEL_PACKET_MAX } from '../limits.ts';

/** Two whole packets with their frames, as the larger reads of an upload give them. */
const ROOM = 2 * (CHANNEL_PACKET_MAX + 1024);

/**
 * Not at the start of a page: where the target begins a few bytes behind the source's place in its page, copying on
 * AMD's processors takes fifteen times as long (glibc bug 30994), and lengths and headers move bodies by just so much.
 */
export const COPY_OFFSET = 64;

/** Makes one write of all writes of one turn. */
export function joinWrites(stream: Pick<Writable, 'write' | 'end' | 'writable'>): void {
  const write = stream.write.bind(stream) as (bytes: Buffer, done: () => void) => boolean;
  const end = stream.end.bind(stream);
  // Fresh memory for every write would cost more than the copy into it.
  const spare: Buffer[] = [];
  let joined: Buffer | undefined;
  let filled = COPY_OFFSET;
  const flush = (): void => {
    if (joined === undefined) return;
    const room = joined;
    joined = undefined;
    if (!stream.writable) return;
    write(room.subarray(COPY_OFFSET, filled), () => {
      if (spare.length === 0 && room.length === COPY_OFFSET + ROOM) spare.push(room);
    });
  };
  // Some ciphers of ssh2 give bytes that are no Buffer.
  stream.write = (chunk: Uint8Array): boolean => {
    if (joined !== undefined && filled + chunk.length > joined.length) flush();
    if (joined === undefined) {
      const used = chunk.length <= ROOM ? spare.pop() : undefined;
      joined = used ?? Buffer.allocUnsafe(COPY_OFFSET + Math.max(ROOM, chunk.length));
      filled = COPY_OFFSET;
      queueMicrotask(flush);
    }
    joined.set(chunk, filled);
    filled += chunk.length;
    return true;
  };
  stream.end = ((...words: []) => {
    flush();
    return end(...words);
  }) as typeof stream.end;
}
