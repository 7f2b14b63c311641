/**
 * pine-rsh as a sendmail: `sendmail-path=/path/pine-rsh work sendmail -oi -t`. From the message on stdin to an exit
 * status that says what became of it.
 */
import { Readable } from 'node:stream';
import type { Alias } from '../alias/alias.ts';
import type { Invocation } from '../argv.ts';
import { Failure } from '../errors.ts';
import { type Log, say } from '../log.ts';
import type { Settings } from '../settings.ts';
import { writeAll } from '../write-all.ts';
import type { Envelope } from './envelope.ts';
import { startFlusher } from './flusher-process.ts';
import { settleOrphans } from './orphans.ts';
import { QueueFolder } from './queue-folder.ts';
import { STATUS_TRY_LATER } from './sendmail-command.ts';
import { type SpooledMail, spoolMail } from './spool.ts';
import { type Outcome, transmit } from './transmit.ts';

export interface Submission {
  readonly invocation: Invocation;
  /** sendmail's. */
  readonly args: readonly string[];
  readonly alias: Alias;
  readonly settings: Settings;
  readonly log: Log;
  readonly input: Readable;
  readonly signal: AbortSignal;
}

/**
 * Sends the message, or keeps it where the alias allows that and the host may be back by itself. The exit status is the
 * remote command's where it said one.
 *
 * @throws {Failure} what kept the message from being sent; its `sysexit` is the status
 */
export async function submitMail(submission: Submission): Promise<number> {
  const { alias, settings, invocation, args } = submission;
  const input = invocation.stdinFromNull ? Readable.from([]) : submission.input;
  const folder = new QueueFolder(settings);
  const envelope = makeEnvelope(submission);
  const keepFor = alias.queue ? alias.name : undefined;
  if (keepFor !== undefined) settleOrphans(folder);
  const mail = await spoolMail(input, { folder, envelope, keepFor, signal: submission.signal });
  try {
    if (args.some((arg) => /[\n\0]/.test(arg))) {
      throw new Failure('usage', { problem: 'an argument of sendmail holds a line break' });
    }
    if (alias.queue && folder.isBusy(alias.name)) {
      keep(mail, 'behind other messages', submission);
      startFlusher(alias.name, settings);
      return 0;
    }
    const outcome = await transmit(mail, {
      ...submission,
      verbosity: submission.invocation.verbosity,
      onLastBytes: () => {},
      onOutput: writeAll,
    });
    if (alias.queue && mayPass(outcome) && !submission.signal.aborted) {
      keep(mail, outcome.failure.message, submission);
      return 0;
    }
    return answerOutcome(outcome, alias);
  } finally {
    mail.close();
  }
}

/** A host key, a login or a setting that is wrong wants a person, who would not learn of it from a queue. */
function mayPass(outcome: Outcome): outcome is Extract<Outcome, { kind: 'unreached' }> {
  return outcome.kind === 'unreached' && outcome.failure.sysexit === STATUS_TRY_LATER;
}

function makeEnvelope({ invocation, args }: Submission): Envelope {
  const { host, user, port, family, overrides } = invocation;
  return { host, user, port, family, overrides: Object.fromEntries(overrides), args, written: Date.now() };
}

/** @throws {Failure} `mail-not-kept` */
function keep(mail: SpooledMail, why: string, { alias, log }: Submission): void {
  const id = mail.keep(why);
  log.record('mail-kept', { alias: alias.name, id, bytes: mail.size, why });
}

/** The exit status. @throws {Failure} */
function answerOutcome(outcome: Outcome, alias: Alias): number {
  if (outcome.kind === 'delivered') return 0;
  if (outcome.kind === 'unreached' || outcome.kind === 'unsent') throw outcome.failure;
  const status = outcome.kind === 'put-off' ? STATUS_TRY_LATER : outcome.status;
  const failure = explainOutcome(outcome, status, alias);
  if (failure?.sysexit === status) throw failure;
  // A status that the remote command gave is passed on; what we know about it is told beside.
  if (failure !== undefined) say(`${alias.name}: ${failure.message}; ${failure.hint}`);
  return status;
}

/** What is to be said beside the remote's own words. */
function explainOutcome(
  outcome: Extract<Outcome, { readonly said: string }>,
  status: number,
  alias: Alias,
): Failure | undefined {
  if (outcome.kind !== 'put-off' && outcome.failure !== undefined) return outcome.failure;
  // Alpine shows what was said, and nothing else.
  return outcome.said === '' ? new Failure('sendmail-silent', { host: alias.hostname, status }) : undefined;
}
