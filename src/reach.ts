/** An alias and what to run -> an open session, within one deadline. */
import type { Alias } from './alias/alias.ts';
import { Failure } from './errors.ts';
import type { SessionKind } from './imap/mail-stream.ts';
import { OPEN_DEADLINE_MS } from './limits.ts';
import type { Log } from './log.ts';
import type { Settings } from './settings.ts';
import { dial } from './transport/dial.ts';
import { openImapd, withAbort } from './transport/imapd.ts';
import { RecentTimeout } from './transport/recent-timeout.ts';
import { formatAddress } from './transport/tcp.ts';
import type { Connection, RemoteStream } from './transport/transport.ts';

export interface ReachRequest {
  readonly alias: Alias;
  readonly session: SessionKind;
  readonly target: { readonly host: string; readonly port: number } | undefined;
  readonly family: 0 | 4 | 6;
  readonly settings: Settings;
  readonly log: Log;
  /** Ends the attempt: the caller has gone. */
  readonly signal: AbortSignal;
  readonly onStderr: (chunk: Buffer) => void;
}

/** A session ready to be piped. */
export interface ReachedSession {
  readonly stream: RemoteStream;
  /** In a mail stream what goes to the client first; empty otherwise. */
  readonly greeting: Buffer;
  readonly route: 'direct';
  /** True if the peer answers; for a client that waits. */
  readonly alive: (withinMs: number) => Promise<boolean>;
  /** Ends the session and, where it is ours alone, its connection. */
  readonly close: () => void;
  /** Milliseconds from the start to each step. */
  readonly steps: Readonly<Record<string, number>>;
}

/**
 * Opens a session over a connection of its own.
 *
 * @throws {Failure} whatever keeps it from opening
 */
export async function reach(request: ReachRequest): Promise<ReachedSession> {
  const { alias, session, settings, log, family } = request;
  const started = performance.now();
  const steps: Record<string, number> = {};
  const onStep = (step: string): void => {
    steps[step] = Math.round(performance.now() - started);
  };
  const deadline = new AbortController();
  const onCallerGone = (): void => deadline.abort(request.signal.reason);
  request.signal.addEventListener('abort', onCallerGone, { once: true });
  const address = formatAddress(alias.hostname, alias.port);
  const timer = setTimeout(() => {
    const seconds = OPEN_DEADLINE_MS / 1000;
    deadline.abort(new Failure('connect-timeout', { address, seconds, stage: 'all steps together' }));
  }, OPEN_DEADLINE_MS);
  let connection: Connection | undefined;
  const memory = session.kind === 'mail' ? new RecentTimeout(alias, family, settings) : undefined;
  try {
    memory?.check();
    const open = await dial(alias, { settings, log, family, signal: deadline.signal, onStep });
    connection = open;
    const { stream, greeting } = await start(open, request, deadline.signal);
    onStep('open');
    memory?.learn(undefined);
    return {
      stream,
      greeting,
      route: 'direct',
      steps,
      alive: (withinMs) => open.alive(withinMs),
      close() {
        stream.kill();
        open.close();
      },
    };
  } catch (error) {
    connection?.close();
    memory?.learn(error);
    throw error;
  } finally {
    clearTimeout(timer);
    request.signal.removeEventListener('abort', onCallerGone);
  }
}

async function start(
  connection: Connection,
  { alias, session, target, log, onStderr }: ReachRequest,
  signal: AbortSignal,
): Promise<{ stream: RemoteStream; greeting: Buffer }> {
  if (session.kind === 'mail') {
    return openImapd(connection, alias, { command: session.command, signal, log, onStderr });
  }
  const stream = await withAbort(
    signal,
    session.kind === 'forward' && target !== undefined
      ? connection.forward(target.host, target.port)
      : connection.exec({
          kind: session.kind === 'subsystem' ? 'subsystem' : 'exec',
          text: session.kind === 'forward' ? '' : session.command,
        }),
  );
  return { stream, greeting: Buffer.alloc(0) };
}
