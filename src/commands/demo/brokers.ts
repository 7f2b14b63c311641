/**
 * The brokers that the demo's sessions start: waited for, because a second folder opens fast once an imapd is warm,
 * and ended, because they would outlive the demo.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { listBrokers, stopBroker } from '../../broker/status.ts';
import type { Settings } from '../../settings.ts';
import { BROKER_END_MS, BROKER_POLL_MS, BROKER_WARM_MS } from '../limits.ts';

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
export async function endBrokers(settings: Settings): Promise<void> {
  const brokers = await listBrokers(settings);
  await Promise.all(brokers.map(({ socket }) => stopBroker(socket, settings, true)));
  const deadline = performance.now() + BROKER_END_MS;
  for (const { pid } of brokers) {
    while (isRunning(pid)) {
      if (performance.now() >= deadline) sendSignal(pid, 'SIGKILL');
      await sleep(BROKER_POLL_MS);
    }
  }
}

/** A zombie has ended: only init did not ask yet, and in a container it may take its time (proc_pid_stat(5)). */
function isRunning(pid: number): boolean {
  if (!sendSignal(pid, 0)) return false;
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    // No /proc, or gone between the two questions: the next round tells.
    return true;
  }
}

/** False when the process is gone. */
function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
