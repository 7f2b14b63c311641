/** Where everything is measured: a mail host, lines of several lengths to it, and who opens mail over them. */
import { join } from 'node:path';
import { endBrokers } from '../test/broker/sharing.ts';
import { ROOT } from '../test/helpers/builds.ts';
import { type MailHost, openMailHost } from '../test/helpers/mail-host.ts';
import type { Scope } from '../test/helpers/scope.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../test/helpers/temp-home.ts';
import { openDelayLine } from './delay-line.ts';
import type { Command } from './mail-session.ts';

export interface Stage {
  readonly scope: Scope;
  readonly host: MailHost;
  readonly runs: number;
  /** Milliseconds there and back. */
  readonly roundTrips: readonly number[];
  /** The near end of the line of that length. */
  readonly ports: ReadonlyMap<number, number>;
  /** All names under which the host is reached, as lines of known_hosts. */
  readonly knownHosts: string;
}

/** What mail clients should name: the standalone itself, without its launcher. */
export const STANDALONE = join(ROOT, 'dist', 'pine-rsh');

export async function openStage(scope: Scope, roundTrips: readonly number[], runs: number): Promise<Stage> {
  const host = await openMailHost(scope);
  const ports = new Map<number, number>();
  for (const each of new Set([0, ...roundTrips])) {
    ports.set(each, await openDelayLine(scope, host.port, each));
  }
  const keys = Object.values(host.hostKeys);
  const knownHosts = [...ports.values()]
    .flatMap((port) => keys.map((key) => `[127.0.0.1]:${port} ${key}\n`))
    .join('');
  return { scope, host, runs, roundTrips, ports, knownHosts };
}

/** The port of a line that the stage has. */
export function portOf({ ports }: Stage, roundTrip: number): number {
  const port = ports.get(roundTrip);
  if (port === undefined) throw new Error(`no line of ${roundTrip} ms`);
  return port;
}

/** A home whose alias `work` is the host over that line; brokers that come up there end with the run. */
export function openHome(stage: Stage, roundTrip: number, keys: AliasKeys = {}): TempHome {
  const home = openTempHome(stage.scope);
  endBrokers(stage.scope, home);
  home.writeAlias('work', {
    ...stage.host.aliasKeys,
    PORT: portOf(stage, roundTrip),
    IMAPD: stage.host.rimapd,
    KNOWN_HOSTS: home.writeFile('known_hosts', stage.knownHosts),
    ...keys,
  });
  return home;
}

/** As Pine starts it for `{NAME/user=USER}`. */
export function pineOpens({ host }: Stage, { env }: TempHome, name = 'work'): Command {
  return { file: STANDALONE, words: [name, '-l', host.user, 'exec', '/etc/rimapd'], env };
}
