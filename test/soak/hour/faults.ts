/** What goes wrong in a soak, one thing at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { killConnections, type Relay } from '../../helpers/faulty-host.ts';
import type { MailHost } from '../../helpers/mail-host.ts';
import { signalProcess } from '../../helpers/processes.ts';
import type { PineChild } from '../../helpers/run-as-pine.ts';

export interface FaultyWorld {
  readonly host: MailHost;
  readonly relay: Relay;
  /** Brokers that may be killed, stopped and replaced. */
  brokers(): readonly number[];
  /** Writes the file of their alias with another value than before. */
  editAlias(): void;
  readonly clients: ReadonlySet<PineChild>;
  readonly killed: Set<PineChild>;
}

interface Fault {
  readonly name: string;
  readonly happen: (world: FaultyWorld) => void | Promise<void>;
}

const STALL_MAX_MS = 12_000;
const STOP_MAX_MS = 6_000;

function signalBrokers({ brokers }: FaultyWorld, signal: NodeJS.Signals): void {
  for (const pid of brokers()) signalProcess(pid, signal);
}

export const FAULTS: readonly Fault[] = [
  { name: 'line breaks', happen: ({ relay }) => relay.breakLines() },
  {
    name: 'line goes dead for a while',
    happen: async ({ relay }) => {
      relay.stall();
      await sleep(Math.random() * STALL_MAX_MS);
      relay.resume();
    },
  },
  { name: 'broker is killed', happen: (world) => signalBrokers(world, 'SIGKILL') },
  {
    name: 'broker stops for a while',
    happen: async (world) => {
      const stopped = world.brokers();
      for (const pid of stopped) signalProcess(pid, 'SIGSTOP');
      await sleep(Math.random() * STOP_MAX_MS);
      for (const pid of stopped) signalProcess(pid, 'SIGCONT');
    },
  },
  { name: 'broker is told to end', happen: (world) => signalBrokers(world, 'SIGTERM') },
  { name: 'alias file is edited', happen: ({ editAlias }) => editAlias() },
  { name: 'server is started anew', happen: ({ host }) => host.restart() },
  { name: "server's connections are killed", happen: ({ host }) => killConnections(host) },
  {
    name: 'an imapd is killed',
    happen: ({ host }) => {
      const imapds = host.remoteProcesses().filter(({ command }) => /imap/.test(command));
      const { pid } = imapds[Math.floor(Math.random() * imapds.length)] ?? {};
      if (pid !== undefined) signalProcess(pid, 'SIGKILL');
    },
  },
  {
    name: 'a client is killed',
    happen: ({ clients, killed }) => {
      const child = [...clients][Math.floor(Math.random() * clients.size)];
      if (child === undefined) return;
      killed.add(child);
      child.kill('SIGKILL');
    },
  },
];
