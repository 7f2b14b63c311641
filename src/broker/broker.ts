/**
 * The background process that holds one SSH connection for one alias: hands out sessions, keeps imapds warm, and
 * leaves when it is not needed any more. A process for each connection, so that one hostile or slow server stalls no
 * other mailbox.
 */
import { renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { forgetFolders } from '../alias/trusted-file.ts';
import { toError, toFailure } from '../errors.ts';
import { GarbageCollector } from '../garbage-collector.ts';
import { BROKER_LINGER_MS, BROKER_OPEN_MS, BROKER_TICK_MS, DEFAULT_FRESH_MS } from '../limits.ts';
import { Log } from '../log.ts';
import { startOpenDeadline } from '../open-deadline.ts';
import { formatAddress } from '../transport/address.ts';
import { connect } from '../transport/connect.ts';
import { discardLater } from '../transport/discard.ts';
import { openImapd } from '../transport/imapd.ts';
import type { Prompt } from '../transport/prompt.ts';
import { rememberTimeout } from '../transport/recent-timeout.ts';
import type { Connection, RemoteStream } from '../transport/transport.ts';
import { withAbort } from '../with-abort.ts';
import { BurstWatch } from './burst-watch.ts';
import { type Call, removeDeadCalls } from './call.ts';
import { CallCheck } from './call-check.ts';
import { ConnectionPool } from './connection-pool.ts';
import type { WholeRequest } from './open-request.ts';
import { type Served, ServedSession, type SessionHost, type Taken } from './served-session.ts';
import { listenFrames, ownsSocket, type SocketListener } from './socket.ts';
import { BROKER_VERSION, type BrokerSpec, retiredFileName } from './spec.ts';
import { tellAlias } from './told-alias.ts';
import { type ReadySession, WarmSessions } from './warm.ts';
import type { AcceptWire } from './wire.ts';

/** A broker that listens. */
export interface RunningBroker {
  /** Settles when it is not needed any more. */
  readonly ended: Promise<void>;
  /** Takes no more sessions and ends with the last one; `now`: at once. */
  stop(now: boolean): void;
  /** An error that nobody expected: the sessions it holds go on, new ones are for the next broker. */
  retire(error: unknown): void;
}

/** Starts to serve; undefined if another broker has the socket already. */
export async function startBroker(spec: BrokerSpec): Promise<RunningBroker | undefined> {
  const broker = new Broker(spec);
  const listener = await listenFrames(spec.socket, spec.settings.uid, (accept) => broker.accept(accept));
  if (listener === undefined) return undefined;
  broker.run(listener);
  return broker;
}

class Broker implements SessionHost, RunningBroker {
  readonly ended: Promise<void>;
  readonly #spec: BrokerSpec;
  /** Where it listens. */
  #socket: string;
  readonly #alias: Alias;
  readonly #log: Log;
  readonly #pool: ConnectionPool;
  readonly #warm: WarmSessions;
  readonly #bursts = new BurstWatch();
  readonly #calls: CallCheck;
  readonly #sessions = new Set<ServedSession>();
  readonly #collector = new GarbageCollector();
  readonly #startedAt = performance.now();
  #lastUse = performance.now();
  #bytes = 0;
  #hasConnected = false;
  #usedForMail = false;
  /** Imapds that were handed over by their call. */
  #taken = 0;
  #listener: SocketListener | undefined;
  #stopping = false;
  #tickTimer: NodeJS.Timeout | undefined;
  #markEnded: () => void = () => {};

  constructor(spec: BrokerSpec) {
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    this.#spec = spec;
    this.#socket = spec.socket;
    this.#alias = spec.alias;
    this.#calls = new CallCheck(basename(spec.socket), (error) => this.failed(error));
    this.#log = new Log(spec.settings.stateDir, spec.verbosity);
    this.#pool = new ConnectionPool({
      dial: () => this.#dial(),
      freshMs: this.#freshMs(),
      onRefused: () => {
        this.#bursts.forget();
        return this.#warm.yield();
      },
      onRoom: () => {
        if (this.#usedForMail) this.#warm.resume();
      },
      onSuspect: (connection) => this.#warm.dropOn(connection),
      onClockJump: () => this.#warm.drop(),
    });
    this.#warm = new WarmSessions({
      size: () => this.#wantedWarm(),
      alias: this.#alias.name,
      log: this.#log,
      start: () => this.#startImapd('spare', undefined, NEVER),
    });
  }

  accept(accept: AcceptWire): void {
    const session = new ServedSession(accept, this);
    this.#sessions.add(session);
    this.#calls.foresee();
    void session.ended.then(() => {
      this.#sessions.delete(session);
      if (this.#stopping) this.#leaveIfDone();
    });
  }

  run(listener: SocketListener): void {
    this.#listener = listener;
    removeDeadCalls(dirname(this.#spec.socket));
    this.#log.detail('broker-start', { alias: this.#alias.name, version: BROKER_VERSION });
    this.#tickTimer = setInterval(() => this.#tick(), BROKER_TICK_MS);
  }

  async open(request: WholeRequest, onStderr: (chunk: Buffer) => void, signal: AbortSignal): Promise<Served> {
    this.#noteUse(signal);
    const started = performance.now();
    if (request.kind !== 'mail') {
      const { stream, connection } = await this.#startPlain(request, signal);
      return { stream, greeting: Buffer.alloc(0), route: 'shared', ...servedFacts(connection, started) };
    }
    this.#usedForMail = true;
    // An imapd that the caller names himself is never kept ready.
    const keeps = request.command === undefined;
    if (keeps) this.#noteFolder();
    const ready = keeps ? await this.#takeWarm() : undefined;
    const coming = keeps && ready === undefined ? this.#warm.claim() : undefined;
    const session = ready ?? (await coming) ?? (await this.#startImapd('mail', request.command, signal));
    return this.#serve(session, ready === undefined ? 'shared' : 'warm', onStderr, started);
  }

  take(call: Call, onStderr: (chunk: Buffer) => void, signal: AbortSignal): Taken | undefined {
    if (this.#stopping || !this.#ownsSocket || !this.#calls.leadsHere(call)) return undefined;
    return { alias: tellAlias(this.#alias), served: this.#serveReady(onStderr, signal) };
  }

  /** An imapd that is ready on a connection that was heard from of late. */
  #serveReady(onStderr: (chunk: Buffer) => void, signal: AbortSignal): Served | undefined {
    const started = performance.now();
    const { connection } = this.#warm;
    if (connection === undefined || !this.#pool.vouchAtOnce(connection)) return undefined;
    this.#noteFolder();
    const session = this.#warm.take(connection);
    if (session === undefined) return undefined;
    this.#noteUse(signal);
    this.#taken += 1;
    return this.#serve(session, 'warm', onStderr, started);
  }

  connect(prompt: Prompt, signal: AbortSignal): Promise<boolean> {
    this.#lastUse = performance.now();
    return this.#pool.keep(() => this.#dialWith(signal, prompt));
  }

  status(): object {
    return {
      alias: this.#alias.name,
      pid: process.pid,
      version: BROKER_VERSION,
      retired: this.#stopping,
      sessions: this.#liveSessions(),
      warm: this.#warm.count,
      taken: this.#taken,
      connections: this.#pool.connections,
      age_s: Math.round((performance.now() - this.#startedAt) / 1000),
      bytes: this.#bytes,
    };
  }

  stop(now: boolean): void {
    this.#stopping = true;
    this.#warm.close();
    if (now || this.#liveSessions() === 0) this.#leave();
    else this.#hide();
  }

  retire(error: unknown): void {
    this.#log.record('broker-error', { alias: this.#alias.name, text: toError(error).stack });
    this.stop(false);
  }

  failed(thrown: unknown): void {
    const { code, message } = toFailure(thrown);
    // The client says why it could not open; only what it cannot know is kept here.
    if (code !== 'internal') return;
    this.#log.record('broker-error', {
      alias: this.#alias.name,
      text: message,
      stack: toError(thrown).stack,
    });
  }

  count(bytes: number): void {
    this.#bytes += bytes;
    this.#collector.passed(bytes);
  }

  #noteUse(signal: AbortSignal): void {
    this.#lastUse = performance.now();
    signal.addEventListener('abort', () => {
      this.#lastUse = performance.now();
    });
  }

  #noteFolder(): void {
    this.#bursts.opened(performance.now(), this.#warm.count >= this.#wantedWarm());
  }

  #serve(
    session: ReadySession,
    route: Served['route'],
    onStderr: (chunk: Buffer) => void,
    started: number,
  ): Served {
    const { stream, greeting, connection } = session;
    session.setStderr(onStderr);
    this.#warm.refill();
    return { stream, greeting, route, ...servedFacts(connection, started) };
  }

  /** WARM=0 is none, whatever comes at once; and where one connection has no room for all, nobody waits for more. */
  #wantedWarm(): number {
    const { warm } = this.#alias;
    if (warm === 0 || this.#pool.connections > 1) return warm;
    return Math.max(warm, this.#bursts.size(performance.now()));
  }

  /** A warm session of a connection that lives. A healthy one costs no round trip. */
  async #takeWarm(): Promise<ReadySession | undefined> {
    const { connection } = this.#warm;
    if (connection === undefined || !(await this.#pool.vouch(connection))) return undefined;
    return this.#warm.take(connection);
  }

  /** Starts an imapd and reads its greeting; until it has a client its stderr goes to the log. */
  #startImapd(
    purpose: 'mail' | 'spare',
    command: string | undefined,
    signal: AbortSignal,
  ): Promise<ReadySession> {
    const start = async (connection: Connection, deadline: AbortSignal): Promise<ReadySession> => {
      let sink = (chunk: Buffer): void => {
        this.#log.record('stderr', { alias: this.#alias.name, text: chunk.toString('latin1') });
      };
      const session = await openImapd(connection, this.#alias, {
        command,
        signal: deadline,
        log: this.#log,
        onStderr: (chunk) => sink(chunk),
      });
      return {
        ...session,
        connection,
        setStderr(wanted) {
          sink = wanted;
        },
      };
    };
    return this.#inTime(signal, (deadline) =>
      this.#pool.open(purpose, (connection) => start(connection, deadline)),
    );
  }

  #startPlain(
    request: Exclude<WholeRequest, { kind: 'mail' }>,
    signal: AbortSignal,
  ): Promise<{ stream: RemoteStream; connection: Connection }> {
    const start = async (
      connection: Connection,
      deadline: AbortSignal,
    ): Promise<{ stream: RemoteStream; connection: Connection }> => {
      const starting =
        request.kind === 'forward'
          ? connection.forward(request.host, request.port)
          : connection.exec({ kind: request.kind, text: request.command });
      deadline.addEventListener('abort', () => discardLater(starting), { once: true });
      return { stream: await withAbort(deadline, starting), connection };
    };
    return this.#inTime(signal, (deadline) =>
      this.#pool.open('plain', (connection) => start(connection, deadline)),
    );
  }

  async #dial(): Promise<Connection> {
    const { settings, family } = this.#spec;
    return rememberTimeout(this.#alias, family, settings, () =>
      this.#inTime(NEVER, (deadline) => this.#dialWith(deadline, undefined)),
    );
  }

  /** A person who is asked takes his time, so whoever asks him ends it by `signal`. */
  async #dialWith(signal: AbortSignal, prompt: Prompt | undefined): Promise<Connection> {
    forgetFolders();
    const { settings, family } = this.#spec;
    const connection = await connect(this.#alias, { settings, log: this.#log, family, signal, prompt });
    this.#hasConnected = true;
    void connection.closed.then((why) => {
      this.#log.detail('connection-end', { alias: this.#alias.name, why: why.message });
    });
    return connection;
  }

  /** Opens something; the signal it gets is aborted with `signal`, or when it took too long. */
  async #inTime<T>(signal: AbortSignal, open: (deadline: AbortSignal) => Promise<T>): Promise<T> {
    const address = formatAddress(this.#alias.hostname, this.#alias.port);
    const deadline = startOpenDeadline(address, signal, BROKER_OPEN_MS);
    return await open(deadline.signal).finally(() => deadline.end());
  }

  #freshMs(): number {
    const seconds = this.#alias.serverAliveInterval;
    return seconds > 0 ? seconds * 1000 : DEFAULT_FRESH_MS;
  }

  #liveSessions(): number {
    return [...this.#sessions].filter((session) => session.isSession).length;
  }

  #tick(): void {
    if (!this.#stopping && !this.#ownsSocket) this.stop(false);
    const unused = this.#liveSessions() === 0 ? performance.now() - this.#lastUse : 0;
    const patience = this.#hasConnected ? this.#alias.persist * 1000 : BROKER_LINGER_MS;
    const keeps = this.#pool.keeps;
    if (unused >= patience && !keeps) {
      this.stop(true);
      return;
    }
    if (unused >= patience) this.#warm.drop();
    else if (this.#usedForMail) {
      this.#warm.renew();
      // One that ended by itself; not over a line that may be dead.
      if (this.#pool.hears) this.#warm.refill();
    }
    if (keeps || this.#usedForMail) this.#pool.keepAlive();
  }

  /** False once somebody has removed the socket, or put another one in its place: nobody is to find this broker. */
  get #ownsSocket(): boolean {
    return this.#listener !== undefined && ownsSocket(this.#socket, this.#listener);
  }

  /** Nobody finds it any more but who asks for its status, or ends it. */
  #hide(): void {
    const path = join(dirname(this.#socket), retiredFileName(process.pid));
    if (this.#ownsSocket && tryRename(this.#socket, path)) this.#socket = path;
    else this.#listener?.server.close();
    removeDeadCalls(dirname(path));
  }

  #leaveIfDone(): void {
    if (this.#liveSessions() === 0) this.#leave();
  }

  #leave(): void {
    clearInterval(this.#tickTimer);
    this.#listener?.server.close();
    this.#removeSocket();
    for (const session of this.#sessions) session.kill();
    this.#pool.close();
    this.#log.detail('broker-end', { alias: this.#alias.name, bytes: this.#bytes });
    this.#markEnded();
  }

  #removeSocket(): void {
    if (!this.#ownsSocket) return;
    rmSync(this.#socket, { force: true });
    removeDeadCalls(dirname(this.#socket));
  }
}

function tryRename(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** For what no client waits for. */
const NEVER = new AbortController().signal;

function servedFacts(connection: Connection, started: number): Pick<Served, 'steps' | 'alive'> {
  return {
    steps: { open: Math.round(performance.now() - started) },
    alive: (withinMs) => connection.alive(withinMs),
  };
}
