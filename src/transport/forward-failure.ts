import { Failure } from '../errors.ts';

/** RFC 4254 section 5.1, SSH_OPEN_CONNECT_FAILED: the server would, but gets no connection there. */
const CONNECT_FAILED = 2;

/** Why a server opened no channel to `target`; `reason` is its code, undefined if it gave none. */
export function forwardFailure(
  reason: unknown,
  facts: { readonly address: string; readonly target: string; readonly why: string },
  options?: { readonly cause: unknown },
): Failure {
  return new Failure(reason === CONNECT_FAILED ? 'target-unreached' : 'forward-refused', facts, options);
}
