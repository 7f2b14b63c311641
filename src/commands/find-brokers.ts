/**
 * The brokers that run now. One that is stopped or hangs keeps its socket and says nothing: it is reported apart,
 * because "no broker runs" would be wrong and nothing more is known about it.
 */
import { isBrokerLive, listBrokerSockets } from '../broker/socket-path.ts';
import { type BrokerStatus, listBrokers } from '../broker/status.ts';
import type { Settings } from '../settings.ts';
import { type Output, printProblem } from './output.ts';

/** A broker that answers, with the path of its socket. */
export type RunningBroker = BrokerStatus & { readonly socket: string };

export interface FoundBrokers {
  /** By alias, the oldest first. */
  readonly brokers: readonly RunningBroker[];
  /** Sockets behind which nobody answers although somebody holds them. */
  readonly silent: readonly string[];
}

export async function findBrokers(settings: Settings): Promise<FoundBrokers> {
  const brokers = await listBrokers(settings);
  const answered = new Set(brokers.map(({ socket }) => socket));
  const others = listBrokerSockets(settings).filter((socket) => !answered.has(socket));
  const held = await Promise.all(others.map((socket) => isHeld(socket, settings.uid)));
  return {
    brokers: brokers.toSorted((a, b) =>
      a.alias === b.alias ? b.age_s - a.age_s : a.alias < b.alias ? -1 : 1,
    ),
    silent: others.filter((_, at) => held[at]),
  };
}

/** Says which brokers do not answer. */
export function printSilent(output: Output, silent: readonly string[]): void {
  for (const socket of silent) {
    const hint = 'end its process with kill -9; its command line reads: pine-rsh --broker ALIAS';
    printProblem(output, `a broker does not answer: ${socket}`, hint);
  }
}

/** False for what a dead broker left behind. */
function isHeld(path: string, uid: number): Promise<boolean> {
  return isBrokerLive(path, uid).catch(() => false);
}
