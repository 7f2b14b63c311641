/**
 * An imapd over a connection, its greeting read and checked. Runs wherever the SSH channel lives, so that a mail client
 * never sees a byte before `* PREAUTH`.
 */
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { imapdByHand } from '../imap/by-hand.ts';
import { GreetingGuard, type GreetingVerdict } from '../imap/greeting.ts';
import { imapdCommand, STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND } from '../imap/imapd-command.ts';
import { sampleText } from '../imap/sample.ts';
import { LOG_SAMPLE_MAX, OPEN_DEADLINE_MS } from '../limits.ts';
import type { Log } from '../log.ts';
import { withAbort } from '../with-abort.ts';
import { discardLater } from './discard.ts';
import type { Connection, RemoteExit, RemoteStream } from './transport.ts';

/** What stands in messages for the command of `IMAPD=auto`. */
const AUTO = 'IMAPD=auto';

/** A session whose stdout goes on right behind the greeting. */
export interface ImapSession {
  readonly stream: RemoteStream;
  /** CRLF-ended and under 1,000 bytes. */
  readonly greeting: Buffer;
}

export interface ImapdOptions {
  /** A command given by the client; undefined: the alias's IMAPD. */
  readonly command: string | undefined;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** The last words on stderr are needed for reasons, so the caller's sink is fed from here. */
  readonly onStderr: (chunk: Buffer) => void;
  /** Takes what came before the greeting, or in its place. Untrusted. */
  readonly onNoise?: (noise: Buffer) => void;
}

/**
 * Starts the imapd and waits for its greeting.
 *
 * @throws {Failure} `imapd-missing`, `imapd-ended`, `imapd-not-preauth`, `imapd-bye`, `imapd-noise`, `imapd-silent`,
 *   and those of `Connection.exec`
 */
export async function openImapd(
  connection: Connection,
  alias: Alias,
  options: ImapdOptions,
): Promise<ImapSession> {
  const command = options.command ?? imapdCommand(alias.imapd);
  const starting = connection.exec({ kind: 'exec', text: command });
  const stream = await withAbort(options.signal, starting).catch((error) => {
    discardLater(starting);
    throw error;
  });
  const lastWords = new LastWords();
  stream.stderr.on('data', (chunk: Buffer) => {
    lastWords.push(chunk);
    options.onStderr(chunk);
  });
  const shown = options.command ?? (alias.imapd === 'auto' ? AUTO : alias.imapd);
  try {
    const greeting = await awaitGreeting(stream, { alias, shown, lastWords, ...options });
    return { stream, greeting };
  } catch (error) {
    stream.kill();
    throw error;
  }
}

interface WaitFacts extends ImapdOptions {
  readonly alias: Alias;
  readonly shown: string;
  readonly lastWords: LastWords;
}

function awaitGreeting(stream: RemoteStream, facts: WaitFacts): Promise<Buffer> {
  const { signal } = facts;
  const guard = new GreetingGuard();
  return new Promise((resolve, reject) => {
    const done = (): void => {
      stream.stdout.off('data', onData);
      stream.stdout.off('end', onEnd);
      signal.removeEventListener('abort', onAbort);
    };
    const onData = (chunk: Buffer): void => {
      const verdict = guard.push(chunk);
      if (verdict.kind === 'more') return;
      done();
      logNoise(facts, verdict);
      if (verdict.kind === 'preauth') {
        stream.stdout.pause();
        if (verdict.rest.length > 0) stream.stdout.unshift(verdict.rest);
        resolve(verdict.greeting);
      } else reject(explainVerdict(verdict, facts));
    };
    const onEnd = (): void => {
      void stream.exit.then((exit) => {
        done();
        reject(explainExit(exit, guard.seen, facts));
      });
    };
    const onAbort = (): void => {
      done();
      const { reason } = signal;
      const timedOut = reason instanceof Failure && reason.code === 'connect-timeout';
      reject(timedOut ? explainSilence(facts) : reason);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    stream.stdout.on('data', onData);
    stream.stdout.on('end', onEnd);
    // A broken channel may settle its exit without an end.
    void stream.exit.then(onEnd);
  });
}

function logNoise({ alias, log, onNoise }: WaitFacts, verdict: GreetingVerdict): void {
  if (verdict.kind === 'more' || verdict.noise.length === 0) return;
  onNoise?.(verdict.noise);
  log.record('noise', {
    alias: alias.name,
    bytes: verdict.noise.length,
    text: verdict.noise.subarray(0, LOG_SAMPLE_MAX).toString('latin1'),
  });
}

function explainVerdict(
  verdict: Exclude<GreetingVerdict, { kind: 'more' } | { kind: 'preauth' }>,
  { alias }: WaitFacts,
): Failure {
  const host = alias.hostname;
  if (verdict.kind === 'ok')
    return new Failure('imapd-not-preauth', { host, greeting: sample(verdict.line) });
  if (verdict.kind === 'bye') return new Failure('imapd-bye', { host, greeting: sample(verdict.line) });
  return new Failure('imapd-noise', {
    host,
    bytes: verdict.noise.length,
    sample: sample(sampleText(verdict.noise.toString('latin1', 0, LOG_SAMPLE_MAX + 1))),
  });
}

function explainSilence({ alias, shown }: WaitFacts): Failure {
  const seconds = OPEN_DEADLINE_MS / 1000;
  return new Failure('imapd-silent', { host: alias.hostname, seconds, command: byHand(alias, shown) });
}

/** Which imapd `auto` has found is known over there only; `doctor` asks. */
function byHand(alias: Alias, shown: string): string {
  const line = shown === AUTO ? undefined : imapdByHand(alias, shown);
  return line ?? `pine-rshctl doctor ${alias.name}`;
}

function explainExit(exit: RemoteExit, seen: Buffer, { alias, shown, lastWords }: WaitFacts): Failure {
  const host = alias.hostname;
  if (exit.kind === 'lost') return exit.failure;
  const status = exit.kind === 'status' ? exit.status : undefined;
  if (status === STATUS_NOT_FOUND || status === STATUS_NOT_EXECUTABLE) {
    return new Failure('imapd-missing', { host, command: shown });
  }
  const how = exit.kind === 'status' ? `status ${exit.status}` : `signal ${exit.signal}`;
  const words = lastWords.text || seen.toString('latin1').trimEnd().split('\n').at(-1) || '';
  const said = words === '' ? '' : `: ${sample(words)}`;
  return new Failure('imapd-ended', { host, how, said, command: byHand(alias, shown) });
}

/** A few untrusted words for a message; whoever shows it escapes them. */
function sample(text: string): string {
  const line = text.trim().split(/[\r\n]/, 1)[0] as string;
  return line.length > LOG_SAMPLE_MAX ? `${line.slice(0, LOG_SAMPLE_MAX)}...` : line;
}

/** Keeps the end of a stream: the reason of a failure stands in the last line. */
class LastWords {
  #text = '';

  push(chunk: Buffer): void {
    this.#text = (this.#text + chunk.toString('latin1')).slice(-LOG_SAMPLE_MAX);
  }

  /** The last line that is not empty. */
  get text(): string {
    return (this.#text.trimEnd().split('\n').at(-1) as string).trim();
  }
}
