/**
 * The real standard output and error as an `Output`.
 */
import { errnoOf } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { COLUMNS_DEFAULT, COLUMNS_MIN } from './limits.ts';
import type { Output } from './output.ts';

export interface ProcessOutput extends Output {
  /** Waits until everything written has left the process. */
  flush(): Promise<void>;
}

/** Watches both streams: whoever pipes us into `head` must not get a stack trace. */
export function openProcessOutput(settings: Settings): ProcessOutput {
  const closed = new AbortController();
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (errnoOf(error) !== 'EPIPE') throw error;
      closed.abort();
    });
  }
  const { stdout, stderr, stdin } = process;
  return {
    stdout,
    stderr,
    columns: Math.max(COLUMNS_MIN, stdout.columns || COLUMNS_DEFAULT),
    color: stdout.isTTY === true && !settings.noColor && settings.term !== 'dumb',
    interactive: stdout.isTTY === true && stdin.isTTY === true,
    closed: closed.signal,
    flush: async () => {
      for (const stream of [stdout, stderr]) {
        if (closed.signal.aborted) return;
        await new Promise<void>((resolve) => stream.write('', () => resolve()));
      }
    },
  };
}
