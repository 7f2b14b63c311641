/**
 * What a broker is for: one alias as resolved for one caller. Its socket's name is a hash over all of it, so that an
 * edited alias file, another user, another agent or another version never meets a connection made for something else.
 */
import type { Alias } from '../alias/alias.ts';
import { BUILD } from '../build-info.ts';
import { shortHash } from '../hash.ts';
import type { Settings } from '../settings.ts';

export interface BrokerSpec {
  readonly alias: Alias;
  readonly family: 0 | 4 | 6;
  readonly settings: Settings;
  readonly verbosity: number;
  /** Absolute path of the socket to listen on. */
  readonly socket: string;
}

/** The version a broker tells in STATUS. */
export const BROKER_VERSION = `${BUILD.version} (${BUILD.kind})`;

const NAME = /^b-([0-9a-f]{8})-[0-9a-f]{16}$/;

/**
 * The socket's file name: `b-WHOSE-WHAT`. WHOSE is the same for all versions of one alias as one caller uses it; a new
 * WHAT retires the brokers before it.
 */
export function brokerFileName(alias: Alias, family: 0 | 4 | 6, settings: Settings): string {
  const { HOME, KRB5CCNAME } = settings.brokerEnv;
  const caller = [settings.uid, settings.agentSocket, HOME, KRB5CCNAME];
  const whose = hash([alias.name, alias.user, alias.port, family, ...caller], 8);
  const what = hash([plainAlias(alias), family, ...caller, settings.shortcuts, BUILD.kind, BUILD.source], 16);
  return `b-${whose}-${what}`;
}

/** What the socket of a broker is called that takes no more sessions. */
export function retiredFileName(pid: number): string {
  return `r-${pid}`;
}

export function isRetiredFileName(name: string): boolean {
  return /^r-\d+$/.test(name);
}

/** WHOSE of a socket's file name; undefined for any other file. */
export function callerOf(fileName: string): string | undefined {
  return NAME.exec(fileName)?.[1];
}

function hash(values: readonly unknown[], digits: number): string {
  return shortHash(JSON.stringify(values), digits);
}

function plainAlias(alias: Alias): object {
  return { ...alias, given: [...alias.given].sort() };
}

/** For the broker's stdin. */
export function encodeSpec(spec: BrokerSpec): string {
  return JSON.stringify({ ...spec, alias: plainAlias(spec.alias) });
}

/** The other way round. The text comes from our own client through a pipe that nobody else has. */
export function decodeSpec(text: string): BrokerSpec {
  const spec = JSON.parse(text) as Omit<BrokerSpec, 'alias'> & {
    alias: Omit<Alias, 'given'> & { given: string[] };
  };
  return { ...spec, alias: { ...spec.alias, given: new Set(spec.alias.given) } };
}
