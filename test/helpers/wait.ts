/**
 * Waiting for a condition instead of for time: a test is as fast as the machine lets it be, and on a busy machine it
 * is slow, not wrong.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Generous: only a failing test waits that long. */
export const PATIENCE_MS = 20_000;

const POLL_MS = 20;

export interface WaitOptions {
  /** Milliseconds. */
  readonly timeout?: number;
  /** What to show when the wait fails: the screen, a log. */
  readonly detail?: () => string;
}

/** Asks `probe` until it gives something other than undefined or false. */
export async function waitUntil<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  options: WaitOptions = {},
): Promise<T> {
  const timeout = options.timeout ?? PATIENCE_MS;
  const end = performance.now() + timeout;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() >= end) {
      throw new Error(`${what}: not within ${timeout} ms\n${options.detail?.() ?? ''}`);
    }
    await sleep(POLL_MS);
  }
}

/** `promise`, or an error with `detail` when it takes longer than `timeout` milliseconds. */
export async function within<T>(what: string, promise: Promise<T>, options: WaitOptions = {}): Promise<T> {
  const timeout = options.timeout ?? PATIENCE_MS;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what}: not within ${timeout} ms\n${options.detail?.() ?? ''}`));
    }, timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
