/**
 * The host that a person named, and the way to it. Beside an alias that may be a gateway in the PROXY_JUMP of one,
 * which has no file of its own: messages call it `user@host:port`.
 */
import type { Alias } from '../alias/alias.ts';
import { listAliases } from '../alias/list.ts';
import { Failure } from '../errors.ts';
import type { DialContext } from '../transport/dial.ts';
import { findAlias } from './find-alias.ts';

export interface Hop {
  /** With what ssh_config adds to it. */
  readonly alias: Alias;
  /** The gateways before it, in the order of the way. */
  readonly gateways: readonly Alias[];
}

/** @throws {Failure} `alias-missing`, what is wrong with the alias's files, `ssh-config-refused`, `gateway-loop` */
export async function findHop(word: string, context: DialContext): Promise<Hop> {
  try {
    return await findWay(findAlias(context.settings, word).alias, context);
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.code !== 'alias-missing') throw thrown;
    const gateway = await findGateway(word, context);
    if (gateway === undefined) throw thrown;
    return gateway;
  }
}

async function findWay(named: Alias, context: DialContext): Promise<Hop> {
  const [{ resolveGateways }, { fillFromSshConfig }] = await Promise.all([
    import('../transport/gateway.ts'),
    import('../transport/ssh-config.ts'),
  ]);
  const alias = await fillFromSshConfig(named, context);
  return { alias, gateways: await resolveGateways(alias, context) };
}

async function findGateway(word: string, context: DialContext): Promise<Hop | undefined> {
  for (const { alias } of listAliases(context.settings).aliases) {
    if (alias === undefined) continue;
    const { gateways } = await findWay(alias, context);
    const at = gateways.findIndex(({ name }) => name === word);
    const gateway = gateways[at];
    if (gateway !== undefined) return { alias: gateway, gateways: gateways.slice(0, at) };
  }
  return undefined;
}
