/** Output without process.stdout, which takes Bun 9 ms to set up. */
import { writeSync } from 'node:fs';
import { utf8Bytes } from './bytes.ts';

/** Writes to a descriptor, synchronously; for short output that must be out before anything else happens. */
export function writeAll(fd: number, data: string | Uint8Array): void {
  let rest = typeof data === 'string' ? utf8Bytes(data) : data;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
    }
  }
}
