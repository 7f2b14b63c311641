/**
 * The brokers that run now. One that is stopped or hangs keeps its socket and says nothing: it is reported apart,
 * because "no broker runs" would be wrong, and what is known about it is what the system tells.
 */
import { isBrokerLive, listBrokerSockets, listRetiredSockets } from '../broker/socket-path.ts';
import { type BrokerStatus, listBrokers } from '../broker/status.ts';
import { errnoOf } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { type BrokerProcess, findBrokerProcess } from './broker-process.ts';
import { type Output, printProblem } from './output.ts';

/** A broker that answers, with the path of its socket. */
export type RunningBroker = BrokerStatus & { readonly socket: string };

/** A socket behind which nobody answers although somebody holds it: who that is, where the system tells. */
export type SilentBroker = { readonly socket: string } & Partial<BrokerProcess>;

export interface FoundBrokers {
  /** By alias, the oldest first. */
  readonly brokers: readonly RunningBroker[];
  readonly silent: readonly SilentBroker[];
}

/** @throws {Failure} `file-unusable` */
export async function findBrokers(settings: Settings): Promise<FoundBrokers> {
  const { uid } = settings;
  const sockets = [...listBrokerSockets(settings), ...listRetiredSockets(settings)];
  const brokers = await listBrokers(settings, sockets);
  const answered = new Set(brokers.map(({ socket }) => socket));
  const others = sockets.filter((socket) => !answered.has(socket));
  const held = await Promise.all(others.map((socket) => isHeld(socket, uid)));
  return {
    brokers: brokers.toSorted((a, b) =>
      a.alias === b.alias ? b.age_s - a.age_s : a.alias < b.alias ? -1 : 1,
    ),
    silent: others
      .filter((_, at) => held[at])
      .map((socket) => ({ socket, ...findBrokerProcess(socket, uid) })),
  };
}

/** Says which brokers do not answer. */
export function printSilent(output: Output, silent: readonly SilentBroker[]): void {
  for (const { socket, alias, pid } of silent) {
    if (alias === undefined) {
      const hint = 'end its process with kill -9; its command line reads: pine-rsh --broker ALIAS';
      printProblem(output, `a broker does not answer: ${socket}`, hint);
    } else {
      const hint = `run: pine-rshctl stop ${alias}`;
      printProblem(output, `the broker of ${alias} (pid ${pid}) does not answer`, hint);
    }
  }
}

/** False for what a dead broker left behind. */
function isHeld(path: string, uid: number): Promise<boolean> {
  // So many wait for an answer that no more may.
  return isBrokerLive(path, uid).catch((error) => errnoOf(error) === 'EAGAIN');
}
