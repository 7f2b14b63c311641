/** An alias -> an authenticated connection, over ssh2: by TCP, by PROXY_COMMAND or through gateways. */
import type { Alias } from '../alias/alias.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './address.ts';
import { Attempt } from './attempt.ts';
import type { DialHost } from './gateway.ts';
import { type Identities, loadIdentities } from './identity.ts';
import { login } from './login.ts';
import type { Prompt } from './prompt.ts';
import type { Route } from './route.ts';
import { openTcp } from './tcp.ts';
import type { Connection } from './transport.ts';

/** What dialling needs beside the alias. */
export interface DialContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly family: 0 | 4 | 6;
  /** Ends the attempt from outside; its reason is what `dial` throws. */
  readonly signal: AbortSignal;
  /** Asks a person; mail streams have none. */
  readonly prompt?: Prompt | undefined;
  /**
   * Called when a step is done: `tcp`, `kex` (with the algorithms agreed on), `key` (its label, before it is offered),
   * `login`; for `fetchHostKeys` `software` (the server's). The details are for people.
   */
  readonly onStep?: (step: string, detail?: string) => void;
}

/**
 * Connects and logs in, each hop within its own CONNECT_TIMEOUT.
 *
 * @throws {Failure} every code of the groups "reaching the host", "host keys" and "logging in"
 */
export async function dial(alias: Alias, context: DialContext): Promise<Connection> {
  if (alias.proxyJump.length === 0) return dialHost(alias, context, { role: 'host', through: undefined });
  // A wrong IDENTITY_FILE is told before any gateway is bothered.
  const identities = loadIdentities(alias, context);
  const { resolveGateways } = await import('./gateway.ts');
  const through = await dialGateways(await resolveGateways(alias, context), context);
  return dialHost(alias, context, { role: 'host', through }, identities);
}

/** A connection to the last of these gateways (of `resolveGateways`), through the others. @throws as `dial` does */
export async function dialGateways(
  gateways: readonly Alias[],
  context: DialContext,
): Promise<Connection | undefined> {
  const { openGateways } = await import('./gateway.ts');
  return openGateways(gateways, context, dialHost);
}

async function dialHost(
  alias: Alias,
  context: DialContext,
  { role, through }: Parameters<DialHost>[2],
  loaded?: Identities,
): Promise<Connection> {
  const prefix = role === 'gateway' ? 'gateway ' : '';
  const address = prefix + formatAddress(alias.hostname, alias.port);
  const attempt = new Attempt(address, alias.connectTimeout, context.signal);
  let opening: Promise<Route> | undefined;
  try {
    opening = openRoute(alias, prefix, through, context, attempt);
    // Key files are read, and the agent asked, while the network works.
    const identities = loaded ?? loadIdentities(alias, context);
    const route = await opening;
    const { settings, log, prompt } = context;
    const onStep = role === 'host' ? context.onStep : undefined;
    onStep?.('tcp');
    return await login({ alias, address, route, identities, attempt, settings, log, prompt, onStep });
  } catch (error) {
    // A connection that is still being made is of no use any more.
    attempt.cancel();
    opening?.then((route) => route.close()).catch(() => {});
    through?.close();
    throw error;
  } finally {
    attempt.end();
  }
}

/**
 * What SSH to a host can go over.
 *
 * @param prefix what messages put before the host
 */
export async function openRoute(
  alias: Alias,
  prefix: string,
  through: Connection | undefined,
  context: DialContext,
  attempt: Attempt,
): Promise<Route> {
  const { hostname, port, proxyCommand } = alias;
  if (through !== undefined) {
    const { openThroughGateway } = await import('./gateway.ts');
    return openThroughGateway(through, alias, attempt.signal);
  }
  if (proxyCommand !== undefined) {
    const { openProxyCommand } = await import('./proxy-command.ts');
    return openProxyCommand(alias, proxyCommand, prefix + formatAddress(hostname, port), context);
  }
  const socket = await openTcp(hostname, port, context.family, attempt.signal, prefix);
  return { stream: socket, failure: () => undefined, close: () => void socket.destroy() };
}
