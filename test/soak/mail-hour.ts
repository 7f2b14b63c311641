/**
 * An hour of mail: people read and send over one connection that breaks, goes dead and comes back, on a host that is
 * started anew, with brokers, clients and imapds that are killed. Every opening must get a greeting or a reason,
 * every session must end, no message may be lost or doubled, and in the end nothing more runs and is held than in the
 * beginning. Run by hand, for all builds at once: `npx tsx test/soak/mail-hour.ts [MINUTES]`.
 *
 * Two aliases: the broker of `work` is killed, stopped and replaced; that of `calm` meets all else, and must be one and
 * the same process from the beginning to the end, as large at the end as after the first tenth.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openRelay, writeKnownHosts } from '../helpers/faulty-host.ts';
import { openMailDrop } from '../helpers/mail-drop.ts';
import { findProcesses, residentMemoryOf } from '../helpers/processes.ts';
import type { PineChild } from '../helpers/run-as-pine.ts';
import { waitUntil } from '../helpers/wait.ts';
import { FAULTS, type FaultyWorld } from './hour/faults.ts';
import { useMail } from './hour/mail-user.ts';
import { withScope } from './hour/own-scope.ts';
import { Tally } from './hour/tally.ts';

const MINUTES = Number(process.argv[2] ?? 60);
/** Quiet times, in which everything is counted. */
const PARTS = 10;
const USERS = 3;
const FAULT_EVERY_MS = 8_000;
const QUIET_MS = 90_000;

function print(build: Build, text: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${build.name}: ${text}\n`);
}

interface Soak {
  readonly build: Build;
  readonly sharing: Sharing;
  readonly world: FaultyWorld;
  readonly tally: Tally;
  readonly clients: Set<PineChild>;
  readonly brokersOf: (alias: string) => number[];
  /** The broker of `calm`. */
  readonly calmPids: Set<number>;
}

/** Users at work and faults for a part of the time. */
async function live({ build, sharing, world, tally, clients }: Soak, ms: number): Promise<void> {
  const end = performance.now() + ms;
  const killed = world.killed as Set<PineChild>;
  const user = async (alias: string): Promise<void> => {
    while (performance.now() < end) {
      const remoteUser = sharing.host.user;
      await useMail({ build, home: sharing.home, alias, remoteUser, tally, clients, killed });
    }
  };
  const trouble = async (): Promise<void> => {
    while (performance.now() < end) {
      await sleep(Math.random() * 2 * FAULT_EVERY_MS);
      const fault = FAULTS[Math.floor(Math.random() * FAULTS.length)];
      if (fault === undefined) continue;
      tally.count(`fault: ${fault.name}`);
      await fault.happen(world);
    }
  };
  const users = ['work', 'calm'].flatMap((alias) => Array.from({ length: USERS }, () => user(alias)));
  await Promise.all([...users, trouble()]);
}

/** Waits until nobody reads mail, and tells what is left; offends if that is too much. */
async function takeStock({ build, sharing, tally, brokersOf, calmPids }: Soak, when: string): Promise<void> {
  const { home, host } = sharing;
  // One more session each: a broker that lost its connection has one again. How many spare imapds it has depends on what
  // went before.
  for (const alias of ['work', 'calm']) await sharing.leave(await sharing.open([alias, '-l', host.user]));
  const counts = (): string => {
    const ours = findProcesses(home.dir).map(({ command }) => command);
    return `${ours.length} processes here, ${host.remoteProcesses().length} there, ${host.sessionPids().length} connections`;
  };
  try {
    // Two brokers here; a connection for each there, and its spares.
    const quiet = async (): Promise<boolean> => {
      const brokers = await sharing.brokers();
      const spares = brokers.reduce((sum, { warm }) => sum + warm, 0);
      return (
        brokers.length === 2 &&
        brokers.every(({ sessions, connections }) => sessions === 0 && connections === 1) &&
        findProcesses(home.dir).length === 2 &&
        host.remoteProcesses().length === spares &&
        host.sessionPids().length === 2
      );
    };
    await waitUntil('quiet', quiet, { timeout: QUIET_MS, detail: counts });
  } catch (error) {
    const left = [...findProcesses(home.dir), ...host.remoteProcesses()].map(
      ({ pid, command }) => `${pid} ${command}`,
    );
    tally.offend(`${when}: ${error}: ${left.join('; ')}`);
  }
  for (const alias of ['calm', 'work']) {
    for (const pid of brokersOf(alias)) {
      if (alias === 'calm') calmPids.add(pid);
      const threads = /^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      const memory = Math.round(residentMemoryOf(pid) / 1024 / 1024);
      const descriptors = readdirSync(`/proc/${pid}/fd`).length;
      print(
        build,
        `${when}: broker of ${alias} (${pid}): ${descriptors} descriptors, ${memory} MiB, ${threads} threads`,
      );
    }
  }
  const files = (dir: string): number => readdirSync(dir, { recursive: true }).length;
  print(
    build,
    `${when}: ${counts()}; files in runtime folder ${files(home.runtimeDir)}, in state folder ${files(home.stateDir)}; offences ${tally.offences.length}`,
  );
}

async function soak(build: Build): Promise<boolean> {
  return await withScope(async (scope) => {
    const sharing = await openSharing(scope, build, { sshd: { config: ['MaxSessions 30'] } });
    const { host, home } = sharing;
    const relay = await openRelay(scope, host.port);
    const drop = openMailDrop(host);
    const keys = {
      ...host.aliasKeys,
      PORT: relay.port,
      KNOWN_HOSTS: writeKnownHosts(host, relay.port),
      IMAPD: host.rimapd,
      SENDMAIL: drop.program,
      SERVER_ALIVE_INTERVAL: 5,
      SERVER_ALIVE_COUNT_MAX: 1,
      PERSIST: 7_200,
    };
    let edits = 0;
    const editAlias = (): void =>
      void home.writeAlias('work', { ...keys, CONNECT_TIMEOUT: 12 + (edits++ % 2) });
    editAlias();
    home.writeAlias('calm', keys);
    const brokersOf = (alias: string): number[] =>
      sharing
        .brokerProcesses()
        .flatMap(({ pid, command }) => (command.endsWith(` --broker ${alias}`) ? pid : []));
    const clients = new Set<PineChild>();
    const world = {
      host,
      relay,
      brokers: () => brokersOf('work'),
      editAlias,
      clients,
      killed: new Set<PineChild>(),
    };
    const tally = new Tally();
    const all: Soak = { build, sharing, world, tally, clients, brokersOf, calmPids: new Set() };

    await takeStock(all, 'before');
    const start = performance.now();
    for (let part = 1; part <= PARTS; part += 1) {
      await live(all, (MINUTES * 60_000 * part) / PARTS - (performance.now() - start));
      await takeStock(all, `${((performance.now() - start) / 60_000).toFixed(1)} min`);
    }
    const subjects = host.listMessages('Work').map(({ subject }) => subject);
    const delivered = drop
      .messages()
      .map(({ bytes }) => /^Subject: (.*)$/m.exec(bytes.toString())?.[1] ?? '');
    tally.checkMail(subjects, delivered);
    if (all.calmPids.size !== 1) tally.offend(`calm had ${all.calmPids.size} brokers`);
    print(build, `${MINUTES} minutes\n${tally.report()}`);
    return tally.offences.length === 0;
  });
}

const outcomes = await Promise.all(BUILDS.map(soak));
process.exitCode = outcomes.every(Boolean) ? 0 : 1;
