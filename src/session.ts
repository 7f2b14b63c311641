/**
 * One run of pine-rsh, from argv to exit status. Reads as the story of a session: what is asked for, which alias, how
 * to answer if it fails, open, pipe, end.
 *
 * The heavy rooms (transport, pipe) are loaded only when an alias is found: a host that is not ours must be declined
 * within milliseconds.
 */
import type { Readable } from 'node:stream';
import type { Alias } from './alias/alias.ts';
import { lookupAlias, queryOf } from './alias/lookup.ts';
import { type Invocation, parseArgv } from './argv.ts';
import { BrokerUseless, type TakenSession } from './broker/client.ts';
import type { ToldAlias } from './broker/told-alias.ts';
import { CallerSignals } from './caller-signals.ts';
import { EXIT_FAILURE, errnoOf, Failure, toError, toFailure } from './errors.ts';
import { classifySession, isMailStream, looksLikeMailStream, type SessionKind } from './imap/mail-stream.ts';
import { EARLY_BYTE_MS, REFUSAL_LINGER_MS, SIGNAL_STATUS_BASE } from './limits.ts';
import { captureConsole, Log, say } from './log.ts';
import { looksLikeSendmail, sendmailArguments } from './mail/sendmail-words.ts';
import { type Descriptors, inspectDescriptors } from './pipe/descriptors.ts';
import type { PumpResult } from './pipe/pump.ts';
import { type ReachedSession, reach, reachTaken } from './reach.ts';
import type { Settings } from './settings.ts';
import type { Start } from './take-warm.ts';
import { escapeLines } from './terminal-text.ts';
import { writeAll } from './write-all.ts';

/**
 * Runs one session; returns the exit status.
 *
 * @param readSettings called here, because what it throws must be answered like any other failure
 */
export async function runSession(
  args: readonly string[],
  readSettings: () => Settings,
  start: Start,
): Promise<number> {
  const descriptors = start.descriptors ?? inspectDescriptors();
  const signals = start.signals ?? new CallerSignals();
  // A message in flight is not ended by what ends the mail client. Alpine ignores these signals and so would we, but
  // both runtimes set them back to their defaults when they start.
  const mailer = looksLikeSendmail(args) && !looksLikeMailStream(args, descriptors);
  if (start.signals === undefined) {
    if (mailer && !descriptors.terminal) signals.ignore('SIGHUP', 'SIGINT', 'SIGQUIT');
    else signals.obey('SIGHUP', 'SIGINT');
    signals.obey('SIGTERM');
  }
  const gone = signals.gone;
  const answer = new Answer(descriptors, gone);
  answer.mailer = mailer;
  // Bun ends the process for a rejection that nobody handles without asking the handlers of uncaught exceptions.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (thrown) => {
      const end = (status: number): void => process.exit(status);
      answer.fail(thrown).then(end, () => end(EXIT_FAILURE));
    });
  }
  try {
    // Until argv is understood only its shape tells whether the caller speaks IMAP.
    answer.mail = looksLikeMailStream(args, descriptors);
    if (start.taken !== undefined) answer.take(start.taken);
    const settings = readSettings();
    answer.log = new Log(settings.stateDir, 0);
    captureConsole(answer.log);
    const parsed = parseArgv(args);
    if (parsed.kind !== 'session') return await explainProgram(parsed.kind);
    const log = new Log(settings.stateDir, parsed.invocation.verbosity);
    answer.log = log;
    if (start.trouble !== undefined && errnoOf(start.trouble) === undefined) {
      log.record('take-error', { text: toError(start.trouble).stack });
    }
    const mailArguments = answer.mail ? undefined : asSendmail(parsed.invocation);
    answer.mailer = mailArguments !== undefined;
    if (mailer && !answer.mailer) {
      signals.release('SIGHUP', 'SIGINT', 'SIGQUIT');
      signals.obey('SIGHUP', 'SIGINT');
    }
    const run = { args, settings, log, descriptors, answer, gone };
    return start.taken === undefined
      ? await runInvocation(parsed.invocation, mailArguments, run)
      : await runTaken(parsed.invocation, start.taken, mailArguments, run);
  } catch (error) {
    if (!gone.aborted || error !== gone.reason) return answer.fail(error);
    const signal = String(gone.reason);
    const status = await answer.fail(new Failure('interrupted', { signal }));
    return answer.mail || answer.mailer ? status : signalStatus(signal);
  }
}

async function explainProgram(what: 'help' | 'version'): Promise<number> {
  const { USAGE, versionText } = await import('./usage.ts');
  return print(what === 'help' ? USAGE : `${versionText('pine-rsh')}\n`);
}

interface Run {
  readonly args: readonly string[];
  readonly settings: Settings;
  readonly log: Log;
  readonly descriptors: Descriptors;
  readonly answer: Answer;
  /** Aborted when a signal ends us; its reason is the signal's name. */
  readonly gone: AbortSignal;
}

/** sendmail's arguments if that is what is asked for. */
function asSendmail({ words, subsystem, forward, printAlias }: Invocation): readonly string[] | undefined {
  return subsystem || forward !== undefined || printAlias ? undefined : sendmailArguments(words);
}

async function runInvocation(
  invocation: Invocation,
  mailArguments: readonly string[] | undefined,
  run: Run,
): Promise<number> {
  const { args, settings, log, descriptors, answer, gone } = run;
  answer.name = invocation.host;
  answer.mail ||=
    isMailStream(invocation.words) && invocation.forward === undefined && !invocation.printAlias;

  const found = lookupAlias(settings, queryOf(invocation));
  if (found.kind === 'unmanaged') return declineUnmanaged(invocation, found, run);
  const { alias } = found;
  answer.alias = alias;
  const session = classifySession(invocation, args, descriptors, alias.imapd);
  if (session.kind === 'print') {
    const { formatAlias } = await import('./alias/printed-alias.ts');
    return print(formatAlias(alias));
  }
  if (mailArguments !== undefined) {
    const { submitMail } = await import('./mail/submission.ts');
    answer.inputTaken = true;
    return submitMail({
      invocation,
      args: mailArguments,
      alias,
      settings,
      log,
      input: process.stdin,
      signal: gone,
    });
  }
  answer.mail = session.kind === 'mail';
  if (answer.mail && descriptors.terminal) {
    throw new Failure('no-command-on-terminal', { host: invocation.host });
  }

  answer.startEarlyByte();
  const opened = await openSession(invocation, alias, session, run);
  return pipeSession(invocation, alias, session.kind, opened, run);
}

/** A session that its call's broker has, or is starting. */
async function runTaken(
  invocation: Invocation,
  taken: TakenSession,
  mailArguments: readonly string[] | undefined,
  run: Run,
): Promise<number> {
  const { answer, log, gone: signal } = run;
  const { alias } = taken;
  let opened: ReachedSession;
  try {
    answer.startEarlyByte();
    const onStderr = stderrHandler(alias.name, true, run);
    opened = await reachTaken(taken, { signal, onStderr, onGreeting: (greeting) => answer.greet(greeting) });
  } catch (error) {
    if (!(error instanceof BrokerUseless)) throw error;
    log.record('broker-useless', { alias: alias.name, why: error.message });
    return runInvocation(invocation, mailArguments, run);
  }
  return pipeSession(invocation, alias, 'mail', opened, run);
}

/** From an open session to its end. */
async function pipeSession(
  { stdinFromNull }: Invocation,
  alias: ToldAlias,
  kind: SessionKind['kind'],
  opened: ReachedSession,
  { settings, log, descriptors, answer, gone }: Run,
): Promise<number> {
  if (alias.queue) {
    // The host can be reached: now is the time for what waits for it.
    void import('./mail/flusher-process.ts').then(({ sendWaitingMail }) =>
      sendWaitingMail(alias.name, settings),
    );
  }
  const { pump } = await import('./pipe/pump.ts');
  const { openInput, openOutput } = await import('./pipe/caller-streams.ts');
  const result = await pump(
    opened,
    { stdin: openInput(), stdout: openOutput(1), stderr: answer.mail ? undefined : openOutput(2) },
    {
      mail: answer.mail,
      stdinFromNull,
      aliveInterval: alias.serverAliveInterval,
      aliveCountMax: alias.serverAliveCountMax,
      signal: gone,
    },
  );
  const status = await exitStatus(result, gone);
  logSession(log, alias.name, kind, opened, result, status);
  if (result.end.kind === 'lost' && (!answer.mail || !descriptors.sharedOutput)) {
    say(`${alias.name}: ${result.end.failure.message}; ${result.end.failure.hint}`);
  }
  return status;
}

/** Not ours: in a mail stream without a word, so that Pine goes on as if there were no rsh. */
function declineUnmanaged(
  invocation: Invocation,
  { deny, file }: { readonly deny: boolean; readonly file: string },
  { descriptors, answer }: Run,
): number {
  if (deny && answer.mail) throw new Failure('unmanaged-denied', { host: invocation.host, file });
  if (answer.mailer) {
    throw new Failure('alias-missing', { host: invocation.host, remedy: `create ${file}` });
  }
  if (!answer.mail || !descriptors.sharedOutput) {
    const remedy = `create ${file}, or see pine-rshctl list`;
    const failure = new Failure('alias-missing', { host: invocation.host, remedy });
    say(`${failure.message}; ${failure.hint}`);
  }
  return EXIT_FAILURE;
}

async function openSession(
  invocation: Invocation,
  alias: Alias,
  session: SessionKind,
  run: Run,
): Promise<ReachedSession> {
  const { args, answer, log, gone, settings } = run;
  return reach({
    alias,
    call: { args, env: settings.callEnv },
    session,
    target: invocation.forward,
    family: invocation.family,
    settings,
    verbosity: invocation.verbosity,
    log,
    signal: gone,
    onGreeting: (greeting) => answer.greet(greeting),
    onStderr: stderrHandler(alias.name, session.kind === 'mail', run),
  });
}

/** What an imapd says on stderr goes to the log, and to whoever reads it apart from the mail. */
function stderrHandler(name: string, mail: boolean, { log, descriptors }: Run): (chunk: Buffer) => void {
  return (chunk) => {
    log.record('stderr', { alias: name, text: chunk.toString('latin1') });
    if (mail && !descriptors.sharedOutput) process.stderr.write(escapeLines(chunk));
  };
}

async function exitStatus({ end }: PumpResult, gone: AbortSignal): Promise<number> {
  if (end.kind === 'status') return end.status;
  if (end.kind === 'signal') return signalStatus(end.signal);
  if (end.kind === 'interrupted') return signalStatus(String(gone.reason));
  return EXIT_FAILURE;
}

async function signalStatus(name: string): Promise<number> {
  const { signalNumber } = await import('./signals.ts');
  return SIGNAL_STATUS_BASE + signalNumber(name);
}

function logSession(
  log: Log,
  name: string,
  kind: SessionKind['kind'],
  opened: ReachedSession,
  { end, bytesIn, bytesOut }: PumpResult,
  status: number,
): void {
  const why = end.kind === 'lost' ? end.failure.message : end.kind === 'stalled' ? end.why : undefined;
  log.record('session', {
    alias: name,
    kind,
    route: opened.route,
    ...Object.fromEntries(Object.entries(opened.steps).map(([step, ms]) => [`${step}_ms`, ms])),
    end: end.kind,
    status,
    bytes_in: bytesIn,
    bytes_out: bytesOut,
    why,
  });
}

function print(text: string): number {
  writeAll(1, text);
  return 0;
}

/** Alpine gives no reason for a message that was not read to its end. */
function drain(input: Readable): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['end', 'error', 'close']) input.once(event, () => resolve());
    input.resume();
  });
}

/** How the caller is answered: knows what was written to it so far, and in which language to refuse. */
class Answer {
  /** True once the caller is known, or assumed, to speak IMAP. */
  mail = false;
  /** We are, or may be, a sendmail: the caller wants its message read, and a status of sysexits.h. */
  mailer = false;
  /** Somebody else reads that message. */
  inputTaken = false;
  name = '';
  alias: ToldAlias | undefined;
  /** Undefined until it is known where the log is. */
  log: Log | undefined;
  readonly #descriptors: Descriptors;
  readonly #gone: AbortSignal;
  #greeted = false;
  #earlyBytes = 0;
  #earlyTimer: NodeJS.Timeout | undefined;
  #failed: Promise<number> | undefined;

  constructor(descriptors: Descriptors, gone: AbortSignal) {
    this.#descriptors = descriptors;
    this.#gone = gone;
  }

  /** Pine gives up after rsh-open-timeout without a byte; a lone `*` keeps it waiting, and cannot be taken back. */
  startEarlyByte(): void {
    if (!this.mail || this.#greeted || this.alias?.fallback !== 'deny') return;
    this.#earlyTimer ??= setTimeout(() => {
      this.#earlyBytes = 1;
      writeAll(1, '*');
    }, EARLY_BYTE_MS);
  }

  /** The client's broker has a session for it: if that was ready, the client has its greeting already. */
  take({ alias, ready }: TakenSession): void {
    this.mail = true;
    this.alias = alias;
    this.#greeted = ready;
  }

  /** Hands the greeting to the client. From here on nothing but the session's bytes is written. */
  greet(greeting: Uint8Array): void {
    clearTimeout(this.#earlyTimer);
    this.#greeted = true;
    if (greeting.length === 0) return;
    // Not through process.stdout, which takes Bun 9 ms to set up: the client reads the greeting meanwhile.
    writeAll(1, greeting.subarray(this.#earlyBytes));
  }

  /** Tells the first failure to whoever can hear it; returns the exit status. */
  fail(thrown: unknown): Promise<number> {
    this.#failed ??= this.#tell(thrown);
    return this.#failed;
  }

  async #tell(thrown: unknown): Promise<number> {
    clearTimeout(this.#earlyTimer);
    const failure = toFailure(thrown);
    const name = this.alias?.name ?? this.name;
    this.log?.record('failure', {
      alias: name,
      code: failure.code,
      text: failure.message,
      stack: failure.code === 'internal' && thrown instanceof Error ? thrown.stack : undefined,
    });
    if (this.mailer && !this.inputTaken) await drain(process.stdin);
    const person = !this.mail || !this.#descriptors.sharedOutput || this.#descriptors.terminal;
    const { refusalText, refuse } = await import('./imap/refusal.ts');
    const text = refusalText(name, failure);
    if (person) writeAll(2, `${text}\n`);
    if (this.mail && !this.#greeted && !this.#descriptors.terminal && this.#mayRefuse()) {
      this.#greeted = true;
      process.stdout.on('error', () => {});
      // A signal ends the wait for a client that is silent: its refusal is on its way already. After one that came
      // before there is time for that, and no more.
      const giveUp = (): void => void process.stdin.destroy();
      if (this.#gone.aborted) setTimeout(giveUp, REFUSAL_LINGER_MS);
      else this.#gone.addEventListener('abort', giveUp, { once: true });
      await refuse(text, { input: process.stdin, output: process.stdout }, this.#earlyBytes);
    }
    return this.mailer ? failure.sysexit : EXIT_FAILURE;
  }

  /** FALLBACK=allow: end without a word, and Pine tries TCP. What is not known is denied. */
  #mayRefuse(): boolean {
    return this.alias === undefined || this.alias.fallback === 'deny';
  }
}
