/** How long everything before a greeting may take together, and what a person is told when it took longer. */
import { Failure } from './errors.ts';
import { OPEN_DEADLINE_MS } from './limits.ts';

export interface OpenDeadline {
  /** Ends with the outer signal too; its reason is then that one's. */
  readonly signal: AbortSignal;
  end(): void;
}

/** @param address as messages call the host */
export function startOpenDeadline(address: string, outer: AbortSignal, ms = OPEN_DEADLINE_MS): OpenDeadline {
  const deadline = new AbortController();
  const onOuter = (): void => deadline.abort(outer.reason);
  outer.addEventListener('abort', onOuter, { once: true });
  if (outer.aborted) onOuter();
  const timer = setTimeout(() => {
    const seconds = ms / 1000;
    deadline.abort(new Failure('connect-timeout', { address, seconds, stage: 'all steps together' }));
  }, ms);
  return {
    signal: deadline.signal,
    end() {
      clearTimeout(timer);
      outer.removeEventListener('abort', onOuter);
    },
  };
}
