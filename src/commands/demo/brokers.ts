/**
 * The brokers that the demo's sessions start: waited for, because a second folder opens fast once an imapd is warm,
 * and ended, because they would outlive the demo.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { listBrokers } from '../../broker/status.ts';
import type { Settings } from '../../settings.ts';
import { endBrokers } from '../end-brokers.ts';
import { BROKER_POLL_MS, BROKER_WARM_MS } from '../limits.ts';

/** Waits for an imapd kept ready; returns at once where no broker runs, and in any case before long. */
export async function awaitWarmImapd(settings: Settings, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + BROKER_WARM_MS;
  while (performance.now() < deadline && !signal.aborted) {
    const brokers = await listBrokers(settings);
    if (brokers.length === 0 || brokers.some(({ warm }) => warm > 0)) return;
    await sleep(BROKER_POLL_MS);
  }
}

/** Ends all brokers of these settings and waits until their processes are gone. */
export async function endAllBrokers(settings: Settings): Promise<void> {
  await endBrokers(await listBrokers(settings), settings);
}
