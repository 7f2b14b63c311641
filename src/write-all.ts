/** Output without process.stdout, which takes Bun 9 ms to set up. */
import { writeSync } from 'node:fs';
import { utf8Bytes } from './bytes.ts';
import { WRITE_PATIENCE_MS, WRITE_RETRY_MS } from './limits.ts';

/**
 * Writes to a descriptor, synchronously; for short output that must be out before anything else happens. Where a reader
 * takes nothing from a pipe that does not block (somebody else made it so) it is waited for, but not for ever.
 */
export function writeAll(fd: number, data: string | Uint8Array): void {
  let rest = typeof data === 'string' ? utf8Bytes(data) : data;
  let waited = 0;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || waited >= WRITE_PATIENCE_MS) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WRITE_RETRY_MS);
      waited += WRITE_RETRY_MS;
    }
  }
}
