/**
 * The real standard output and error as an `Output`.
 */
import { errnoOf } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { COLUMNS_DEFAULT, COLUMNS_MIN } from './limits.ts';
import type { Output } from './output.ts';

export interface ProcessOutput extends Output {
  /** Waits until everything written has left the process. False if it could not: a full disk. */
  flush(): Promise<boolean>;
}

/** Watches both streams: whoever pipes us into `head` must not get a stack trace. */
export function openProcessOutput(settings: Pick<Settings, 'noColor' | 'term'>): ProcessOutput {
  const closed = new AbortController();
  let failed = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      failed ||= errnoOf(error) !== 'EPIPE';
      closed.abort();
    });
  }
  const { stdout, stderr, stdin } = process;
  return {
    stdout,
    stderr,
    columns: Math.max(COLUMNS_MIN, stdout.columns || COLUMNS_DEFAULT),
    color: stdout.isTTY === true && !settings.noColor && settings.term !== 'dumb',
    terminal: stdout.isTTY === true,
    interactive: stdout.isTTY === true && stdin.isTTY === true,
    closed: closed.signal,
    flush: async () => {
      for (const stream of [stdout, stderr]) {
        // The callback gets the error, too; the listener above has seen it by the next turn.
        if (!closed.signal.aborted) await new Promise((resolve) => stream.write('', resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return !failed;
    },
  };
}
