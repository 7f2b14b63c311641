/**
 * Moves bytes between the caller's descriptors and a remote session until either side ends: half-close in both
 * directions, bounded memory, nothing touched, nothing lost.
 *
 * `stream.pipeline` is not used: on Bun it never reports a failed sink for a channel like ssh2's, and it destroys
 * standard streams, which must stay usable for a refusal.
 */
import { type ByteSource, carry, hasEnded, type TellingSink } from '../byte-flow.ts';
import { errnoOf, Failure } from '../errors.ts';
import { GarbageCollector } from '../garbage-collector.ts';
import { AFTER_EOF_MS, CLOSE_GRACE_MS } from '../limits.ts';
import type { ReachedSession } from '../reach.ts';
import type { RemoteExit } from '../transport/transport.ts';
import { isLogout, PeerWatch } from './peer-watch.ts';

const ON_BUN = process.versions['bun'] !== undefined;

export interface PumpStreams {
  readonly stdin: ByteSource;
  readonly stdout: TellingSink;
  /** Undefined where remote stderr must not be shown; it then went to the log already. */
  readonly stderr: TellingSink | undefined;
}

export interface PumpOptions {
  /** Mail streams: EOF and LOGOUT must lead to an end within 10 s. */
  readonly mail: boolean;
  /** `-n`: the remote reads EOF at once. */
  readonly stdinFromNull: boolean;
  /** Seconds between probes of a silent peer; 0: none. */
  readonly aliveInterval: number;
  readonly aliveCountMax: number;
  /** Aborted by a signal to us. */
  readonly signal: AbortSignal;
}

export type PumpEnd =
  | RemoteExit
  /** Nobody reads our output any more. */
  | { readonly kind: 'reader-gone' }
  /** The remote did not end after EOF or LOGOUT, or the peer is dead. */
  | { readonly kind: 'stalled'; readonly why: string }
  | { readonly kind: 'interrupted' };

export interface PumpResult {
  readonly end: PumpEnd;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Resolves when the session is over and all its output is written; never rejects. */
export async function pump(
  session: ReachedSession,
  { stdin, stdout, stderr }: PumpStreams,
  options: PumpOptions,
): Promise<PumpResult> {
  const { stream } = session;
  let bytesIn = 0;
  let bytesOut = 0;
  let settle: (end: PumpEnd) => void = () => {};
  const ended = new Promise<PumpEnd>((resolve) => {
    settle = resolve;
  });
  const collector = new GarbageCollector();
  const watch = new PeerWatch(session, options, (why) => settle({ kind: 'stalled', why }));
  const exitTimer = new ProgressTimer(AFTER_EOF_MS, () => {
    settle({ kind: 'stalled', why: 'the remote command did not end' });
  });

  let failed = undefined as PumpEnd | undefined;
  stdout.on('error', (error) => {
    failed = explainOutput(error);
    settle(failed);
  });
  stdin.on('error', () => stream.stdin.end());
  const interrupted = new Promise<PumpEnd>((resolve) => {
    const interrupt = (): void => resolve({ kind: 'interrupted' });
    options.signal.addEventListener('abort', interrupt, { once: true });
    if (options.signal.aborted) interrupt();
  });
  void interrupted.then(settle);

  stream.stdout.on('data', (chunk: Buffer) => {
    bytesIn += chunk.length;
    collector.passed(chunk.length);
    watch.heard(chunk);
    exitTimer.progress();
  });
  const stopOutput = carry(stream.stdout, stdout);
  let readStderr = stderr;
  if (stderr !== undefined) {
    const stop = carry(stream.stderr, stderr);
    stderr.on('error', () => {
      // Nobody reads it any more, which must not stop the rest.
      readStderr = undefined;
      stop();
      stream.stderr.resume();
    });
  }

  let stopInput = (): void => {};
  if (options.stdinFromNull) stream.stdin.end();
  else {
    stdin.on('data', (chunk: Buffer) => {
      bytesOut += chunk.length;
      watch.asked();
      if (options.mail && isLogout(chunk)) exitTimer.start();
      else exitTimer.stop();
    });
    const onEnd = (): void => {
      if (options.mail) exitTimer.start();
      stream.stdin.end();
    };
    stdin.on('end', onEnd);
    const stop = carry(stdin, stream.stdin);
    stopInput = () => {
      stop();
      stdin.off('end', onEnd);
      stdin.pause();
    };
  }

  const stderrDone = new Promise<void>((resolve) => {
    if (hasEnded(stream.stderr)) resolve();
    for (const event of ['end', 'close', 'error'] as const) stream.stderr.once(event, () => resolve());
  });
  void stream.exit.then((exit) => settle(exit));
  let end = await ended;
  watch.stop();
  exitTimer.stop();
  stopInput();
  if (end !== failed && (end.kind === 'status' || end.kind === 'signal' || end.kind === 'lost')) {
    // The exit follows the end of stdout; what is left of stderr may still be on its way through here.
    await Promise.race([stderrDone, interrupted]);
    const written = Promise.all([flush(stdout), readStderr && flush(readStderr)]);
    end = await Promise.race([written.then(() => ended), interrupted]);
    // Half an output must not look like a whole one.
    if (failed?.kind === 'lost') end = failed;
  } else stopOutput();
  session.close();
  if (end.kind === 'interrupted' || end === failed) await grace();
  return { end, bytesIn, bytesOut };
}

/** A reader that goes away knows why; of a full disk nobody else would tell. */
function explainOutput(error: unknown): PumpEnd {
  const why = errnoOf(error) ?? 'EPIPE';
  if (why === 'EPIPE' || why === 'ECONNRESET') return { kind: 'reader-gone' };
  return { kind: 'lost', failure: new Failure('output-unwritable', { why }, { cause: error }) };
}

/**
 * Waits until all that was written has left the process, or cannot. On Bun only ending answers then: it calls back at
 * once for an empty write, and always tells a writableLength of 0. On Node ending would shut a socket down
 * (shutdown(2)), which stays the output of whoever called us.
 */
function flush(output: TellingSink): Promise<void> {
  return new Promise((resolve) => {
    const done = () => resolve();
    if (output.destroyed) return done();
    for (const event of ['finish', 'error', 'close'] as const) output.once(event, done);
    if (ON_BUN) output.end();
    else output.write(Buffer.alloc(0), done);
  });
}

/** Time for the close and the signal to the remote command to leave this machine. */
function grace(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CLOSE_GRACE_MS));
}

/** Fires when it was started and no progress came for `ms`. */
class ProgressTimer {
  readonly #ms: number;
  readonly #onExpire: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, onExpire: () => void) {
    this.#ms = ms;
    this.#onExpire = onExpire;
  }

  start(): void {
    this.stop();
    this.#timer = setTimeout(this.#onExpire, this.#ms);
  }

  progress(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
