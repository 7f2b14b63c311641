/** The way to a host for the system's ssh: the gateways of PROXY_JUMP as aliases, each with what ssh_config adds to it. */
import type { Alias, JumpHost } from '../alias/alias.ts';
import { lookupAlias } from '../alias/lookup.ts';
import type { Settings } from '../settings.ts';
import type { SshHost } from './openssh-options.ts';
import { fillFromSshConfig, type SshConfigContext } from './ssh-config.ts';

export interface RouteContext extends SshConfigContext {
  readonly settings: Settings;
}

/**
 * The gateways in the order of the way, then the host.
 *
 * @param host with what ssh_config adds to it
 * @throws {Failure} every code of the group "alias files", for a gateway that is an alias; `ssh-config-refused`
 */
export function findRoute(host: SshHost, context: RouteContext): Promise<SshHost[]> {
  return extendRoute(host, new Set(), context);
}

/** Of the gateways only the first may have gateways of its own: the others are reached through those before them. */
async function extendRoute(
  host: SshHost,
  passed: ReadonlySet<string>,
  context: RouteContext,
): Promise<SshHost[]> {
  const { alias } = host;
  // A gateway that is reached through itself would never be.
  if (passed.has(alias.name)) return [withoutProxy(host)];
  const gateways = await Promise.all(alias.proxyJump.map((jump) => findGateway(jump, alias, context)));
  const [first, ...others] = gateways;
  if (first === undefined) return [host];
  const before = await extendRoute(first, new Set([...passed, alias.name]), context);
  return [...before, ...others.map(withoutProxy), withoutProxy(host)];
}

function withoutProxy({ alias, name }: SshHost): SshHost {
  return { alias: { ...alias, proxyJump: [], proxyCommand: undefined }, name };
}

async function findGateway(
  { host, user, port }: JumpHost,
  behind: Alias,
  context: RouteContext,
): Promise<SshHost> {
  const { settings } = context;
  const found = lookupAlias(settings, { host, user, port, options: new Map() });
  const alias =
    found.kind === 'managed'
      ? found.alias
      : {
          ...behind,
          name: host,
          hostname: host,
          user: user ?? settings.loginName,
          port: port ?? SSH_PORT,
          hostKeyAlias: undefined,
          hostKeyFingerprint: undefined,
          proxyJump: [],
          proxyCommand: undefined,
          given: new Set([...(user === undefined ? [] : ['USER']), ...(port === undefined ? [] : ['PORT'])]),
        };
  return { alias: await fillFromSshConfig(alias, context), name: alias.hostname };
}

/** RFC 4253 section 4.1. */
const SSH_PORT = 22;
