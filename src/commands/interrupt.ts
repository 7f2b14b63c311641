/**
 * Ending a long command from outside: Ctrl-C, a closed terminal, a reader that went away.
 */
import type { Output } from './output.ts';

/** What a shell reports for a program that SIGINT ended. */
export const EXIT_INTERRUPTED = 130;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with a signal that is aborted by SIGINT, SIGTERM, SIGHUP or the end of `output`. The process is not
 * killed meanwhile, so that `work` can clean up.
 */
export async function withInterrupt<T>(
  output: Output,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  for (const name of SIGNALS) process.on(name, abort);
  output.closed.addEventListener('abort', abort);
  if (output.closed.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, abort);
    output.closed.removeEventListener('abort', abort);
  }
}
