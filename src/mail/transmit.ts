/**
 * One message to one host's sendmail: opens the session, sends the message behind its size, and says what became of it.
 * What is certain is kept apart from what is not: until the last bytes are on their way nothing can have been
 * delivered, from then on only the remote command's own word counts.
 */
import { randomBytes } from 'node:crypto';
import type { Alias } from '../alias/alias.ts';
import { hasEnded } from '../byte-flow.ts';
import { Failure, toFailure } from '../errors.ts';
import { STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND } from '../imap/imapd-command.ts';
import {
  CHANNEL_PACKET_MAX,
  LOG_SAMPLE_MAX,
  MAIL_ANSWER_MS,
  MAIL_PROGRESS_BYTES,
  MAIL_STALL_MS,
  SIGNAL_STATUS_BASE,
} from '../limits.ts';
import type { Log } from '../log.ts';
import { type ReachedSession, reach } from '../reach.ts';
import type { Settings } from '../settings.ts';
import { signalNumber } from '../signals.ts';
import { formatAddress } from '../transport/address.ts';
import type { RemoteExit } from '../transport/transport.ts';
import { formatPreamble, MarkReader, SENDMAIL_WRAPPER, STATUS_TRY_LATER } from './sendmail-command.ts';
import type { StoredMail } from './spool.ts';

/** What became of a message. `docs/sending-mail.md` has a line for each. */
export type Outcome =
  /** The remote command said so. */
  | { readonly kind: 'delivered' }
  /** There was no login. */
  | { readonly kind: 'unreached'; readonly failure: Failure }
  /** Certainly not delivered: no sendmail saw the message. */
  | { readonly kind: 'unsent'; readonly failure: Failure }
  /** Not now, says the remote command (EX_TEMPFAIL). */
  | { readonly kind: 'put-off'; readonly said: string }
  /** The host did not take it. `failure` is what pine-rsh has to add. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly said: string;
      readonly failure: Failure | undefined;
    }
  /** It may have been delivered. */
  | { readonly kind: 'unknown'; readonly status: number; readonly said: string; readonly failure: Failure };

export interface TransmitOptions {
  readonly alias: Alias;
  readonly settings: Settings;
  readonly verbosity: number;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called before the last bytes leave; if it throws they do not. */
  readonly onLastBytes: () => void;
  /** Takes what the remote command prints. */
  readonly onOutput: (fd: 1 | 2, chunk: Buffer) => void;
}

/** Never throws; closes the session but not the message. */
export async function transmit(mail: StoredMail, options: TransmitOptions): Promise<Outcome> {
  const started = performance.now();
  let session: ReachedSession | undefined;
  let outcome: Outcome;
  try {
    session = await openSession(mail, options);
    outcome = await new Upload(mail, session, options).run();
  } catch (error) {
    const { signal } = options;
    const failure = signal.aborted
      ? new Failure('interrupted', { signal: String(signal.reason) })
      : toFailure(error);
    // A server that logs us in and runs nothing was reached.
    const reached = session !== undefined || failure.code === 'exec-refused';
    outcome = { kind: reached ? 'unsent' : 'unreached', failure };
  }
  session?.close();
  options.log.record('mail', {
    alias: options.alias.name,
    route: session?.route,
    bytes: mail.size,
    outcome: outcome.kind,
    status: 'status' in outcome ? outcome.status : undefined,
    said: 'said' in outcome ? outcome.said : undefined,
    why: 'failure' in outcome ? outcome.failure?.message : undefined,
    ms: Math.round(performance.now() - started),
  });
  return outcome;
}

function openSession(
  { envelope }: StoredMail,
  { alias, settings, verbosity, log, signal }: TransmitOptions,
): Promise<ReachedSession> {
  return reach({
    alias,
    session: { kind: 'exec', command: SENDMAIL_WRAPPER },
    target: undefined,
    family: envelope.family,
    settings,
    verbosity,
    log,
    signal,
    onGreeting: () => {},
    onStderr: () => {},
  });
}

/** What ended the wait for something. */
type Event = 'done' | 'exit' | 'stalled' | 'dead' | 'interrupted';

class Upload {
  readonly #mail: StoredMail;
  readonly #session: ReachedSession;
  readonly #options: TransmitOptions;
  readonly #reader: MarkReader;
  readonly #mark = randomBytes(8).toString('hex');
  readonly #exit: Promise<Event>;
  readonly #interrupted: Promise<Event>;
  readonly #stderrEnd: Promise<Event>;
  #ended: RemoteExit | undefined;
  /** From here on nobody but the remote can say whether the message was delivered. */
  #allSent = false;
  #said = '';
  #lastOutput = performance.now();

  constructor(mail: StoredMail, session: ReachedSession, options: TransmitOptions) {
    this.#mail = mail;
    this.#session = session;
    this.#options = options;
    this.#reader = new MarkReader(this.#mark, LOG_SAMPLE_MAX);
    const { stream } = session;
    stream.stdout.on('data', (chunk: Buffer) => this.#onOutput(1, this.#reader.push(chunk)));
    stream.stderr.on('data', (chunk: Buffer) => this.#onOutput(2, chunk));
    this.#stderrEnd = new Promise((resolve) => {
      if (hasEnded(stream.stderr)) resolve('done');
      for (const event of ['end', 'close', 'error'] as const)
        stream.stderr.once(event, () => resolve('done'));
    });
    this.#exit = stream.exit.then((exit) => {
      this.#ended = exit;
      return 'exit';
    });
    this.#interrupted = new Promise((resolve) => {
      const { signal } = options;
      signal.addEventListener('abort', () => resolve('interrupted'), { once: true });
      if (signal.aborted) resolve('interrupted');
    });
  }

  async run(): Promise<Outcome> {
    const sent = await this.#send();
    const event = sent === 'done' ? await this.#awaitExit() : sent;
    if (this.#ended === undefined) return this.#giveUp(event);
    // The exit follows the end of stdout; the last words on stderr may still be on their way through here.
    await within(MAIL_STALL_MS, this.#stderrEnd, this.#interrupted);
    return this.#judge(this.#ended);
  }

  async #send(): Promise<Event> {
    const { envelope, size } = this.#mail;
    const preamble = Buffer.from(
      formatPreamble(this.#options.alias.sendmail, envelope.args, size, this.#mark),
    );
    const buffer = Buffer.alloc(CHANNEL_PACKET_MAX);
    let unconfirmed = 0;
    for (let at = -1; at < size; ) {
      // The last byte goes alone, once the peer has all before it: a line that is lost earlier leaves no doubt.
      const isLast = size - at === 1;
      const most = at === -1 ? 0 : Math.min(buffer.length, Math.max(1, size - at - 1));
      const count = most === 0 ? 0 : this.#mail.read(buffer.subarray(0, most), at);
      if (count < Math.min(1, most)) throw new Failure('internal', { what: 'the message became shorter' });
      const chunk = at === -1 ? preamble : Buffer.from(buffer.subarray(0, count));
      if (isLast && at !== -1) {
        const heard = await this.#probe();
        if (heard !== 'done') return heard;
      }
      at = Math.max(at, 0) + count;
      if (at === size) {
        this.#options.onLastBytes();
        this.#allSent = true;
      }
      const event = await this.#within(this.#write(chunk), MAIL_STALL_MS);
      if (event !== 'done') return event;
      unconfirmed += chunk.length;
      // A write is done when this machine has it. Only the peer's answer behind it shows that the line carries it.
      if (unconfirmed >= MAIL_PROGRESS_BYTES) {
        const heard = await this.#probe();
        if (heard !== 'done') return heard;
        unconfirmed = 0;
      }
    }
    this.#session.stream.stdin.end();
    return 'done';
  }

  #write(chunk: Buffer): Promise<Event> {
    return new Promise((resolve) => {
      // An error is the end of the session, which is told by its exit.
      this.#session.stream.stdin.write(chunk, (error) => {
        if (!error) resolve('done');
      });
    });
  }

  /** Until the remote command ends, the line is dead, or it takes too long. */
  async #awaitExit(): Promise<Event> {
    this.#lastOutput = performance.now();
    for (;;) {
      const event = await this.#within(this.#exit, MAIL_STALL_MS);
      if (event !== 'stalled') return event;
      if (performance.now() - this.#lastOutput >= MAIL_ANSWER_MS) return 'stalled';
      const heard = await this.#probe();
      if (heard !== 'done') return heard;
    }
  }

  async #probe(): Promise<Event> {
    const answer = this.#session.alive(MAIL_STALL_MS).then((alive): Event => (alive ? 'done' : 'dead'));
    return Promise.race([answer, this.#exit, this.#interrupted]);
  }

  #within(wanted: Promise<Event>, ms: number): Promise<Event> {
    return within(ms, wanted, this.#exit, this.#interrupted);
  }

  #onOutput(fd: 1 | 2, chunk: Buffer): void {
    this.#lastOutput = performance.now();
    if (chunk.length === 0) return;
    this.#said = (this.#said + chunk.toString('latin1')).slice(-LOG_SAMPLE_MAX);
    this.#options.onOutput(fd, chunk);
  }

  /** We end it, or the line is dead. */
  #giveUp(event: Event): Outcome {
    if (event === 'interrupted') return this.#lost(`ended by ${String(this.#options.signal.reason)}`);
    const seconds = MAIL_STALL_MS / 1000;
    if (event === 'dead') return this.#lost(`no sign of life for ${seconds} s`);
    if (!this.#allSent) return this.#lost(`nothing went through for ${seconds} s`);
    return this.#lost(`no answer within ${MAIL_ANSWER_MS / 1000} s`);
  }

  #lost(why: string): Outcome {
    const { alias } = this.#options;
    const host = formatAddress(alias.hostname, alias.port);
    if (!this.#allSent) return { kind: 'unsent', failure: new Failure('mail-unsent', { host, why }) };
    const failure = new Failure('mail-unknown', { host, why });
    return { kind: 'unknown', status: failure.sysexit, said: this.#said, failure };
  }

  #judge(exit: RemoteExit): Outcome {
    const said = this.#said.trim();
    if (exit.kind === 'lost') return this.#lost(exit.failure.message);
    if (!this.#reader.found) return this.#notRun(exit, said);
    const host = this.#options.alias.hostname;
    if (exit.kind === 'signal') {
      const status = SIGNAL_STATUS_BASE + signalNumber(exit.signal);
      const failure = new Failure('mail-unknown', { host, why: `signal ${exit.signal} ended it` });
      return { kind: 'unknown', status, said, failure };
    }
    const { status } = exit;
    if (status === 0) return { kind: 'delivered' };
    if (status === STATUS_TRY_LATER) return { kind: 'put-off', said };
    const missing = status === STATUS_NOT_FOUND || status === STATUS_NOT_EXECUTABLE;
    const command = this.#options.alias.sendmail === 'auto' ? 'SENDMAIL=auto' : this.#options.alias.sendmail;
    const failure = missing ? new Failure('sendmail-missing', { host, command }) : undefined;
    return { kind: 'refused', status, said, failure };
  }

  /** The message was never whole there, whatever the status says: something else ran, or there was no room. */
  #notRun(exit: RemoteExit & { kind: 'status' | 'signal' }, said: string): Outcome {
    if (exit.kind === 'status' && exit.status === STATUS_TRY_LATER) return { kind: 'put-off', said };
    const how = exit.kind === 'status' ? `status ${exit.status}` : `signal ${exit.signal}`;
    const words = said || this.#reader.noise.toString('latin1').trim().split('\n').at(-1)?.trim() || '';
    const host = this.#options.alias.hostname;
    const facts = { host, how, said: words === '' ? '' : `: ${words.slice(0, LOG_SAMPLE_MAX)}` };
    const failure = new Failure('mail-not-run', facts);
    return { kind: 'refused', status: failure.sysexit, said, failure };
  }
}

/** The first of these, or `stalled` after `ms`. */
async function within(ms: number, ...wanted: readonly Promise<Event>[]): Promise<Event> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Event>((resolve) => {
    timer = setTimeout(() => resolve('stalled'), ms);
  });
  try {
    return await Promise.race([...wanted, late]);
  } finally {
    clearTimeout(timer);
  }
}
