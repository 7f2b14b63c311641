/** Mail that opens over a connection that is there, where a login of our own has failed. */
import type { Alias } from '../../alias/alias.ts';
import type { FailureCode } from '../../errors.ts';
import { type Finding, warned } from './finding.ts';

/** Logins that fail without a person: `pine-rshctl connect` is made for them, so that a connection is all that counts. */
const NEED_PERSON: readonly (FailureCode | undefined)[] = [
  'identity-encrypted',
  'login-needs-person',
  'login-unfinished',
  'no-identity',
];

/** The failure as it counts, then why mail opens all the same. The next login meets it, so that it stays a failure. */
export function explainHeld(failure: Finding, { name }: Alias): [failure: Finding, why: Finding] {
  const byHand = NEED_PERSON.includes(failure.code);
  const text = `mail goes over the connection that is there already; the next login will ${byHand ? 'need a person' : 'fail'}`;
  const hint = `pine-rshctl stop ${name} ends it${byHand ? `, pine-rshctl connect ${name} makes another` : ''}`;
  return [{ ...failure, mark: byHand ? 'warning' : 'failed' }, warned('login', text, hint)];
}
