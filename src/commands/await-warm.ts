/** Waits for an imapd kept ready: a second folder opens fast once there is one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { listBrokers } from '../broker/status.ts';
import type { Settings } from '../settings.ts';
import { BROKER_POLL_MS, BROKER_WARM_MS } from './limits.ts';

/**
 * Returns at once where no broker runs, and in any case before long.
 *
 * @param alias of this alias; undefined: of any
 */
export async function awaitWarmImapd(settings: Settings, signal: AbortSignal, alias?: string): Promise<void> {
  const deadline = performance.now() + BROKER_WARM_MS;
  while (performance.now() < deadline && !signal.aborted) {
    const all = await listBrokers(settings);
    const brokers = all.filter((broker) => alias === undefined || broker.alias === alias);
    if (brokers.length === 0 || brokers.some(({ warm }) => warm > 0)) return;
    await sleep(BROKER_POLL_MS);
  }
}
