/**
 * Ending brokers for good: told to, waited for, and killed if they do not listen. One that does not answer is killed.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopBroker } from '../broker/status.ts';
import type { Settings } from '../settings.ts';
import { type BrokerProcess, findBrokerProcess } from './broker-process.ts';
import type { RunningBroker } from './find-brokers.ts';
import { BROKER_END_MS, BROKER_POLL_MS } from './limits.ts';

/** Ends brokers at once, their sessions too, and waits until their processes are gone. */
export async function endBrokers(brokers: readonly RunningBroker[], settings: Settings): Promise<void> {
  await Promise.all(brokers.map(({ socket }) => stopBroker(socket, settings, true)));
  const deadline = performance.now() + BROKER_END_MS;
  for (const { pid } of brokers) {
    while (isRunning(pid)) {
      if (performance.now() >= deadline) sendSignal(pid, 'SIGKILL');
      await sleep(BROKER_POLL_MS);
    }
  }
}

/** Kills a broker that does not answer, and waits until its process is gone. False if it stays. */
export async function killBroker(
  { pid, socket }: BrokerProcess & { readonly socket: string },
  uid: number,
): Promise<boolean> {
  // By now the number may be another's.
  if (findBrokerProcess(socket, uid)?.pid === pid) sendSignal(pid, 'SIGKILL');
  const deadline = performance.now() + BROKER_END_MS;
  while (isRunning(pid)) {
    if (performance.now() >= deadline) return false;
    await sleep(BROKER_POLL_MS);
  }
  return true;
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

/** False when the process is gone. Numbers below 2 mean groups of processes, or all of them (kill(2)). */
function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  if (!Number.isInteger(pid) || pid < 2) return false;
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
