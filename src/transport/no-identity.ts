/** That there was no key to log in with, whichever program looked for one. */
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';

export function noIdentity(
  { name, user, identityFiles }: Pick<Alias, 'name' | 'user' | 'identityFiles'>,
  options?: ErrorOptions,
): Failure {
  const tried =
    identityFiles !== undefined
      ? 'the agent holds none'
      : 'none in ~/.ssh under a default name, none in the agent';
  return new Failure('no-identity', { user, tried, alias: name }, options);
}
