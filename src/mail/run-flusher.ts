/** `pine-rsh --flush ALIAS`: sends waiting mail in a process of its own. */
import { toFailure } from '../errors.ts';
import { QUEUE_LEAVE_MS } from '../limits.ts';
import { Log } from '../log.ts';
import { readSettings } from '../settings.ts';
import { flushQueue } from './flush.ts';

/** Returns the exit status; nobody looks at it. */
export async function runFlusher(alias: string): Promise<number> {
  const settings = readSettings();
  process.title = `pine-rsh --flush ${alias}`;
  // What happens to the terminal of the mail client that started it does not matter.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => {});
  const ended = new AbortController();
  process.on('SIGTERM', () => ended.abort('SIGTERM'));
  try {
    await flushQueue(alias, { settings, signal: ended.signal, onMail: () => {}, waitMs: QUEUE_LEAVE_MS });
    return 0;
  } catch (error) {
    const { message } = toFailure(error);
    new Log(settings.stateDir, 0).record('flush-failed', { alias, text: message });
    return 1;
  }
}
