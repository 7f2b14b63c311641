/** What `doctor` says about one step of opening mail. */
import { type FailureCode, toFailure } from '../../errors.ts';

/** The steps, in the order of a report. */
export type Check =
  | 'alias'
  | 'name'
  | 'connection'
  | 'host-key'
  | 'algorithms'
  | 'key'
  | 'login'
  | 'imapd'
  | 'noise'
  | 'greeting'
  | 'round-trip'
  | 'open'
  | 'warm'
  | 'sendmail'
  | 'queue'
  | 'log'
  | 'pinerc';

/** One step. A warning does not keep mail from opening. */
export interface Finding {
  readonly mark: 'ok' | 'warning' | 'failed';
  readonly check: Check;
  /** Milliseconds; undefined where time says nothing. */
  readonly ms: number | undefined;
  /** May quote strangers: whoever shows it escapes it. */
  readonly text: string;
  readonly hint: string | undefined;
  /** What has failed. */
  readonly code?: FailureCode;
}

export function passed(check: Check, text: string, ms?: number): Finding {
  return { mark: 'ok', check, ms, text, hint: undefined };
}

export function warned(check: Check, text: string, hint: string | undefined, ms?: number): Finding {
  return { mark: 'warning', check, ms, text, hint };
}

/** @param thrown whatever was caught */
export function failed(check: Check, thrown: unknown, ms?: number): Finding {
  const { message, hint, code } = toFailure(thrown);
  return { mark: 'failed', check, ms, text: message, hint, code };
}

/** Milliseconds since `since`, of `performance.now()`. */
export function elapsed(since: number): number {
  return Math.round(performance.now() - since);
}
