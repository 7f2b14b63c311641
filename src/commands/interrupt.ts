/**
 * Ending a long command from outside: Ctrl-C, a closed terminal, a reader that went away.
 */
import { SIGNAL_STATUS_BASE } from '../limits.ts';
import { signalNumber } from '../signals.ts';
import type { Output } from './output.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What a shell reports for a program that a signal ended. */
const statusOf = (name: string): number => SIGNAL_STATUS_BASE + signalNumber(name);

/**
 * Runs `work` with a signal that is aborted by SIGINT, SIGTERM, SIGHUP or the end of `output`. The process is not
 * killed meanwhile, so that `work` can clean up; `exitStatus` says with what it should end then.
 */
export async function withInterrupt<T>(
  output: Output,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (name: string): void => controller.abort(statusOf(name));
  const hangUp = (): void => controller.abort(statusOf('SIGPIPE'));
  for (const name of SIGNALS) process.on(name, abort);
  output.closed.addEventListener('abort', hangUp);
  if (output.closed.aborted) hangUp();
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, abort);
    output.closed.removeEventListener('abort', hangUp);
  }
}

/** The status of a command that `signal` (of `withInterrupt`) has ended. */
export function exitStatus(signal: AbortSignal): number {
  return Number(signal.reason);
}
