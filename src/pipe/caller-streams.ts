/**
 * The caller's descriptors as streams. On Bun without process.stdin and process.stdout where they are pipes or sockets,
 * as mail clients give them: those take 5 ms to set up, and are built upon the same readers and writers.
 */
import { constants, openSync } from 'node:fs';
import type { ByteSource, TellingSink } from '../byte-flow.ts';
import { LightSink, LightSource } from '../light-streams.ts';
import { CALLER_AHEAD } from '../limits.ts';
import { isPipe, statDescriptor } from './descriptors.ts';

/** The parts of Bun that are used (bun.com/reference: Bun.stdin, FileSink). */
interface BunRuntime {
  readonly stdin: { stream(): ReadableStream<Uint8Array> };
  file(fd: number): { writer(): FileSink };
}

interface FileSink {
  /** How much it took; a promise where it waits until all of that has gone, which fails if the descriptor does. */
  write(bytes: Uint8Array): number | Promise<number>;
  /** The same for what it took before; throws what the descriptor fails with at once. */
  flush(): number | Promise<number>;
}

const bun = (globalThis as { Bun?: BunRuntime }).Bun;

/** fd 0. Nothing is taken from it before somebody listens. */
export function openInput(): ByteSource {
  // Nothing can be read from a folder (`</`): for Bun that is an error of its own kind, for us the end of the input.
  const stat = statDescriptor(0);
  if (stat?.isDirectory()) return new LightSource(1, (source) => source.finish());
  return bun === undefined || !isPipe(stat) ? process.stdin : readInput(bun);
}

/** fd 1 or 2. */
export function openOutput(fd: 1 | 2): TellingSink {
  if (bun === undefined || !isPipe(statDescriptor(fd))) return fd === 1 ? process.stdout : process.stderr;
  const file = bun.file(ownDescription(fd)).writer();
  return new LightSink({
    ahead: CALLER_AHEAD,
    write(chunk, done) {
      try {
        const written = file.write(chunk);
        const gone = typeof written === 'number' ? file.flush() : written;
        if (typeof gone === 'number') done();
        else gone.then(() => done(), done);
      } catch (error) {
        done(error as Error);
      }
    },
  });
}

/**
 * The same pipe, opened again: Bun makes it non-blocking, which whoever shares the caller's pipe would feel (`make 2>&1 |
 * tee`). Sockets cannot be opened again, and are hardly ever shared.
 */
function ownDescription(fd: number): number {
  const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd;
  }
}

function readInput(runtime: BunRuntime): ByteSource {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const readOn = async (source: LightSource): Promise<void> => {
    reader ??= runtime.stdin.stream().getReader();
    let wanted = true;
    while (wanted) {
      // Whoever wrote may be gone with an error; what is under way can still be answered.
      const { value } = await reader.read().catch(() => ({ value: undefined }));
      if (value === undefined) return source.finish();
      wanted = source.push(Buffer.from(value.buffer, value.byteOffset, value.length));
    }
  };
  // One chunk at a time: what waits here would wait for ever if the session ended.
  return new LightSource(1, (source) => void readOn(source));
}
