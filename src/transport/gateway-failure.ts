/** Where a gateway cannot be reached: whose keys are to be checked, which are not those of the host behind it. */
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { gatewayName } from './openssh-options.ts';

/** The same failure with a hint for this gateway; one that has no other hint for gateways as it is. */
export function explainGateway(failure: Failure, gateway: Alias): Failure {
  const cause = { cause: failure };
  const { host = '', address = '', why = '' } = failure.facts as Readonly<Record<string, string>>;
  const named = isAlias(gateway);
  const of = (...keys: string[]): string => (named ? `${keys.join(', ')} of ${gateway.name}` : 'PROXY_JUMP');
  if (failure.code === 'dns-failed') {
    const remedy = named
      ? `check the name (${of('HOSTNAME')}) and the network`
      : `no alias is called ${gatewayName(gateway)}: check PROXY_JUMP, and the network`;
    return new Failure('gateway-unknown', { host, why, remedy }, cause);
  }
  if (failure.code === 'tcp-refused')
    return new Failure('gateway-refused', { address, keys: of('PORT') }, cause);
  if (failure.code === 'not-ssh') {
    return new Failure('gateway-not-ssh', { address, why, keys: of('HOSTNAME', 'PORT') }, cause);
  }
  return failure;
}

/** What stands in PROXY_JUMP alone is called by its user, host and port. */
function isAlias({ name }: Alias): boolean {
  return !/@.+:\d+$/.test(name);
}
