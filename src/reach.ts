/**
 * An alias and what to run -> an open session, within one deadline: through the broker where connections are shared,
 * else over a connection of its own. Trouble with the broker never costs a session.
 */
import type { Alias } from './alias/alias.ts';
import { type Call, linkCall } from './broker/call.ts';
import { BrokerUseless, type OpenedSession, openThroughBroker, type TakenSession } from './broker/client.ts';
import { brokerSocketPath } from './broker/socket-path.ts';
import { brokerFileName } from './broker/spec.ts';
import type { SessionKind } from './imap/mail-stream.ts';
import { compileAsUsual } from './just-in-time.ts';
import type { Log } from './log.ts';
import { startOpenDeadline } from './open-deadline.ts';
import type { Settings } from './settings.ts';
import { formatAddress } from './transport/address.ts';
import type { SessionStream } from './transport/transport.ts';

export interface ReachRequest {
  /** A mail client's call: its next one may lead to the broker at once. */
  readonly call?: Call;
  readonly alias: Alias;
  readonly session: SessionKind;
  readonly target: { readonly host: string; readonly port: number } | undefined;
  readonly family: 0 | 4 | 6;
  readonly settings: Settings;
  readonly verbosity: number;
  readonly log: Log;
  /** Ends the attempt: the caller has gone. */
  readonly signal: AbortSignal;
  /** Gets a mail stream's greeting the moment it is known. */
  readonly onGreeting: (greeting: Uint8Array) => void;
  /** Takes a mail stream's stderr. */
  readonly onStderr: (chunk: Buffer) => void;
}

/** A session ready to be piped. */
export interface ReachedSession {
  readonly stream: SessionStream;
  readonly route: 'direct' | 'shared' | 'warm';
  /** True if the peer answers; for a client that waits. */
  readonly alive: (withinMs: number) => Promise<boolean>;
  /** Ends the session and, where it is ours alone, its connection. */
  readonly close: () => void;
  /** Milliseconds from the start to each step. */
  readonly steps: Readonly<Record<string, number>>;
}

/**
 * Opens a session.
 *
 * @throws {Failure} whatever keeps it from opening
 */
export async function reach(request: ReachRequest): Promise<ReachedSession> {
  const { alias } = request;
  const started = performance.now();
  const steps: Record<string, number> = {};
  const onStep = (step: string): void => {
    steps[step] = Math.round(performance.now() - started);
  };
  const deadline = startOpenDeadline(formatAddress(alias.hostname, alias.port), request.signal);
  try {
    const shared = alias.share ? await reachShared(request, deadline.signal) : undefined;
    const reached = shared ?? (await openDirectly(request, deadline.signal, onStep));
    onStep('open');
    compileAsUsual();
    return { ...reached, steps };
  } finally {
    deadline.end();
  }
}

/**
 * The session that a broker has for a call, started by now or not.
 *
 * @throws {Failure} whatever keeps it from opening
 * @throws {BrokerUseless} if the broker does; it may still be opened another way
 */
export async function reachTaken(
  { alias, open, askedAt }: TakenSession,
  { signal, onGreeting, onStderr }: Pick<ReachRequest, 'signal' | 'onGreeting' | 'onStderr'>,
): Promise<ReachedSession> {
  const deadline = startOpenDeadline(alias.name, signal);
  const opened = await open(deadline.signal, onGreeting).finally(() => deadline.end());
  const steps = { open: Math.round(performance.now() - askedAt) };
  compileAsUsual();
  opened.stream.stderr.on('data', onStderr);
  return { ...opened, close: () => opened.stream.kill(), steps };
}

async function openDirectly(
  request: ReachRequest,
  signal: AbortSignal,
  onStep: (step: string) => void,
): Promise<Omit<ReachedSession, 'steps'>> {
  compileAsUsual();
  const { reachDirectly } = await import('./transport/direct.ts');
  return reachDirectly(request, signal, onStep);
}

/** Through the broker, which is started if there is none; undefined if it is of no use. */
async function reachShared(
  request: ReachRequest,
  signal: AbortSignal,
): Promise<Omit<ReachedSession, 'steps'> | undefined> {
  const { alias, call, session, target, settings, family, verbosity, log, onStderr, onGreeting } = request;
  try {
    const socket = brokerSocketPath(brokerFileName(alias, family, settings), settings);
    if (socket === undefined) throw new BrokerUseless('no safe runtime folder');
    const ask = {
      kind: session.kind,
      command: session.kind === 'forward' ? undefined : session.command,
      host: target?.host,
      port: target?.port,
    };
    const open = (): Promise<OpenedSession | undefined> =>
      openThroughBroker(socket, settings.uid, ask, signal, onGreeting);
    let opened = await open();
    if (opened === undefined) {
      const { launchBroker } = await import('./broker/launch.ts');
      await launchBroker({ alias, family, settings, verbosity, socket });
      opened = await open();
    }
    if (opened === undefined) throw new BrokerUseless('the broker went away');
    const { stream } = opened;
    if (session.kind === 'mail') {
      stream.stderr.on('data', onStderr);
      if (call !== undefined && session.command === undefined) linkCall(call, socket, settings.uid);
    }
    return { ...opened, close: () => stream.kill() };
  } catch (error) {
    if (!(error instanceof BrokerUseless)) throw error;
    log.record('broker-useless', { alias: alias.name, why: error.message, cause: String(error.cause ?? '') });
    return undefined;
  }
}
