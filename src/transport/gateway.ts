/**
 * PROXY_JUMP: hosts on the way to the host. Each is an alias, or `user@host:port` with the identities and known_hosts
 * files of the alias that names it; each is checked and logged in to as any other host.
 */
import type { Alias, JumpHost } from '../alias/alias.ts';
import { ALIAS_KEYS } from '../alias/keys.ts';
import { lookupAlias } from '../alias/lookup.ts';
import { Failure } from '../errors.ts';
import { GATEWAYS_MAX } from '../limits.ts';
import type { Settings } from '../settings.ts';
import { withAbort } from '../with-abort.ts';
import { formatAddress } from './address.ts';
import type { DialContext } from './dial.ts';
import { explainGateway } from './gateway-failure.ts';
import { JoinedStream, type Route } from './route.ts';
import { fillFromSshConfig } from './ssh-config.ts';
import type { Connection } from './transport.ts';

/** Connects to a host and logs in; `through` is a connection to the gateway before it, which then belongs to it. */
export type DialHost = (
  alias: Alias,
  context: DialContext,
  hop: { readonly role: 'host' | 'gateway'; readonly through: Connection | undefined },
) => Promise<Connection>;

/**
 * The gateways of an alias in the order of the way, those of the first gateway before it. PROXY_JUMP counts no more in
 * them; PROXY_COMMAND may, in the first.
 *
 * @throws {Failure} `gateway-loop`; every code of the group "alias files"; `ssh-config-refused`
 */
export async function resolveGateways(alias: Alias, context: DialContext): Promise<readonly Alias[]> {
  const path = [alias];
  let way: readonly Alias[] = [];
  for (;;) {
    const [current] = path.slice(-1) as [Alias];
    const gateways: Alias[] = [];
    for (const jump of current.proxyJump) {
      gateways.push(await fillFromSshConfig(findGateway(jump, current, context.settings), context));
    }
    for (const gateway of gateways) checkPath(path, gateway);
    const [first, ...others] = gateways;
    // The way to the others is written here; a way of their own does not count (ssh_config(5) ProxyJump).
    way = [...others.map(withoutWay), ...way];
    if (first === undefined) return way;
    way = [{ ...first, proxyJump: [] }, ...way];
    path.push(first);
  }
}

function withoutWay(alias: Alias): Alias {
  return { ...alias, proxyJump: [], proxyCommand: undefined };
}

/**
 * Connects to the gateways one after the other; gives the connection to the last.
 *
 * @throws {Failure} what `dial` throws, naming the gateway
 */
export async function openGateways(
  gateways: readonly Alias[],
  context: DialContext,
  dialHost: DialHost,
): Promise<Connection | undefined> {
  let through: Connection | undefined;
  for (const gateway of gateways) {
    try {
      through = await dialHost(gateway, context, { role: 'gateway', through });
    } catch (error) {
      throw nameGateway(error, gateway);
    }
  }
  return through;
}

/** A gateway that is no alias has what the alias has but what is about its host alone. */
function findGateway({ host, user, port }: JumpHost, alias: Alias, settings: Settings): Alias {
  const found = isAliasName(host, user)
    ? lookupAlias(settings, { host, user, port, options: new Map() })
    : undefined;
  if (found?.kind === 'managed') return found.alias;
  const login = user ?? settings.loginName;
  const place = { hostname: host, port: port ?? DEFAULT_PORT, user: login };
  const given = new Set(alias.given);
  for (const key of ['HOSTNAME', 'PORT', 'USER', 'PROXY_JUMP', 'PROXY_COMMAND']) given.delete(key);
  if (user !== undefined) given.add('USER');
  if (port !== undefined) given.add('PORT');
  return {
    ...alias,
    ...place,
    name: nameOfPlace(login, host, place.port),
    given,
    // What ssh_config says about the alias's host says nothing about its gateway.
    identityFiles: given.has('IDENTITY_FILE') ? alias.identityFiles : undefined,
    hostKeyAlias: undefined,
    hostKeyFingerprint: undefined,
    proxyJump: [],
    proxyCommand: undefined,
  };
}

function nameOfPlace(user: string, host: string, port: number): string {
  return `${user}@${formatAddress(host, port)}`;
}

const DEFAULT_PORT = Number(ALIAS_KEYS.PORT.preset);

/** Names of aliases become file names; PROXY_JUMP may hold users that could not. */
function isAliasName(host: string, user: string | undefined): boolean {
  return [host, user ?? 'x'].every((name) => /^[A-Za-z0-9_+:%][A-Za-z0-9._\-+:%]*$/.test(name));
}

/**
 * An alias that leads to itself does so for ever. Two aliases of one place need not: `localhost`, or a name that DNS
 * answers differently inside, is another host as seen from a gateway. Only a place that is written as the way to itself
 * is a mistake for certain.
 *
 * @throws {Failure} `gateway-loop`
 */
function checkPath(path: readonly Alias[], gateway: Alias): void {
  const { user, hostname, port } = path.at(-1) as Alias;
  const again = path.some(({ name }) => name === gateway.name);
  if (path.length < GATEWAYS_MAX && !again && gateway.name !== nameOfPlace(user, hostname, port)) return;
  const route = [...path, gateway].map(({ name }) => name).join(' -> ');
  throw new Failure('gateway-loop', { alias: (path[0] as Alias).name, route });
}

/** Failures of keys and files do not say for which host, those of the network not whose keys to check. */
function nameGateway(error: unknown, gateway: Alias): unknown {
  const { name, hostname } = gateway;
  if (!(error instanceof Failure)) return error;
  if (error.message.includes(hostname)) return explainGateway(error, gateway);
  return new Failure(
    'gateway-failed',
    { hop: name, why: error.message, remedy: error.hint },
    { cause: error },
  );
}

/**
 * A channel through a gateway; closing the route closes the gateway's connection.
 *
 * @throws {Failure} `forward-refused`, `forward-failed`, `connection-lost`
 * @throws the signal's reason
 */
export async function openThroughGateway(
  gateway: Connection,
  { hostname, port }: Pick<Alias, 'hostname' | 'port'>,
  signal: AbortSignal,
): Promise<Route> {
  let lost: Failure | undefined;
  void gateway.closed.then((failure) => {
    lost = failure;
  });
  // A channel that opens too late goes with the gateway's connection.
  const remote = await withAbort(signal, gateway.forward(hostname, port));
  const stream = new JoinedStream(remote.stdout, remote.stdin, () => remote.exit);
  remote.stderr.resume();
  let closed = false;
  return {
    stream,
    failure: () => (closed ? undefined : lost),
    close() {
      if (closed) return;
      closed = true;
      stream.destroy();
      gateway.close();
    },
  };
}
