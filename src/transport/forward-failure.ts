/** Why a server did not open a connection onwards: it may not, or the other end is not there. */
import { Failure } from '../errors.ts';

/** The server tried (RFC 4254 section 5.1, SSH_OPEN_CONNECT_FAILED); all other codes say that it did not. */
const CONNECT_FAILED = 2;

export interface ForwardFacts {
  readonly address: string;
  /** Where the connection was to lead. */
  readonly target: string;
  /** In the server's own words. */
  readonly why: string;
}

/** @param reason the code in the server's answer; undefined if there is none */
export function forwardFailure(
  facts: ForwardFacts,
  reason: number | undefined,
  options?: ErrorOptions,
): Failure {
  if (reason !== CONNECT_FAILED) return new Failure('forward-refused', facts, options);
  const remedy = /refused/i.test(facts.why)
    ? 'nothing listens there: check host and port, and that the service runs'
    : 'check host and port as they are known there, and the network behind';
  return new Failure('forward-failed', { ...facts, remedy }, options);
}
