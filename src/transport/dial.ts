/**
 * An alias -> an authenticated connection, over ssh2: by TCP, by PROXY_COMMAND or through gateways.
 *
 * ssh2 takes 10 ms to load. It is loaded, and everything that a login needs is read, once the network has work.
 */
import type { Alias } from '../alias/alias.ts';
import { makeDeferred } from '../deferred.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './address.ts';
import { Attempt } from './attempt.ts';
import type { DialHost } from './gateway.ts';
import type { LoginPlan } from './login.ts';
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
  const plan = await planLogin(alias, context);
  const { resolveGateways } = await import('./gateway.ts');
  const through = await dialGateways(await resolveGateways(alias, context), context);
  return dialHost(alias, context, { role: 'host', through }, plan);
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
  made?: LoginPlan,
): Promise<Connection> {
  const prefix = role === 'gateway' ? 'gateway ' : '';
  const address = prefix + formatAddress(alias.hostname, alias.port);
  const attempt = new Attempt(address, alias.connectTimeout, context.signal);
  let opening: Promise<Route> | undefined;
  try {
    const underway = makeDeferred<void>();
    opening = openRoute(alias, prefix, through, context, attempt, underway.resolve);
    // A failure is told below.
    await Promise.race([underway.promise, opening.catch(() => {})]);
    const plan = made ?? (await planLogin(alias, context));
    const route = await opening;
    const onStep = role === 'host' ? context.onStep : undefined;
    onStep?.('tcp');
    return await plan.login({ address, route, attempt, onStep });
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

async function planLogin(alias: Alias, context: DialContext): Promise<LoginPlan> {
  const { LoginPlan } = await import('./login.ts');
  return new LoginPlan(alias, context);
}

/**
 * What SSH to a host can go over.
 *
 * @param prefix what messages put before the host
 * @param onUnderway called when it has only to be waited for
 */
export async function openRoute(
  alias: Alias,
  prefix: string,
  through: Connection | undefined,
  context: DialContext,
  attempt: Attempt,
  onUnderway?: () => void,
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
  const socket = await openTcp(hostname, port, context.family, attempt.signal, prefix, onUnderway);
  return { stream: socket, failure: () => undefined, close: () => void socket.destroy() };
}
