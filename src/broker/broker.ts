/**
 * The background process that holds one SSH connection for one alias: hands out sessions, keeps imapds warm, and
 * leaves when it is not needed any more. A process for each connection, so that one hostile or slow server stalls no
 * other mailbox.
 */
import { rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Alias } from '../alias/alias.ts';
import { forgetFolders } from '../alias/trusted-file.ts';
import { GarbageCollector } from '../garbage-collector.ts';
import { BROKER_LINGER_MS, BROKER_TICK_MS, DEFAULT_FRESH_MS, OPEN_DEADLINE_MS } from '../limits.ts';
import { Log } from '../log.ts';
import { connect } from '../transport/connect.ts';
import { openImapd, withAbort } from '../transport/imapd.ts';
import { rememberTimeout } from '../transport/recent-timeout.ts';
import type { Connection } from '../transport/transport.ts';
import type { OpenRequest } from './client.ts';
import { ConnectionPool } from './connection-pool.ts';
import { type Served, ServedSession, type SessionHost } from './served-session.ts';
import { type BrokerListener, listenBroker, ownsSocket } from './socket.ts';
import { BROKER_VERSION, type BrokerSpec } from './spec.ts';
import { type ReadySession, WarmSessions } from './warm.ts';

/** Runs until the broker is not needed any more; false at once if another one has the socket already. */
export async function serveBroker(spec: BrokerSpec, onReady: () => void): Promise<boolean> {
  const broker = new Broker(spec);
  const listener = await listenBroker(spec.socket, spec.settings.uid, (socket) => broker.accept(socket));
  onReady();
  if (listener === undefined) return false;
  await broker.run(listener);
  return true;
}

class Broker implements SessionHost {
  readonly #spec: BrokerSpec;
  readonly #alias: Alias;
  readonly #log: Log;
  readonly #pool: ConnectionPool;
  readonly #warm: WarmSessions;
  readonly #sessions = new Set<ServedSession>();
  readonly #collector = new GarbageCollector();
  readonly #startedAt = performance.now();
  #lastUse = performance.now();
  #bytes = 0;
  #hasConnected = false;
  #usedForMail = false;
  #listener: BrokerListener | undefined;
  #stopping = false;
  #leave: () => void = () => {};

  constructor(spec: BrokerSpec) {
    this.#spec = spec;
    this.#alias = spec.alias;
    this.#log = new Log(spec.settings.stateDir, spec.verbosity);
    this.#pool = new ConnectionPool({
      dial: () => this.#dial(),
      freshMs: this.#freshMs(),
      onRefused: () => this.#warm.drop(true),
      onClockJump: () => this.#warm.drop(),
    });
    this.#warm = new WarmSessions({
      size: this.#alias.warm,
      alias: this.#alias.name,
      log: this.#log,
      start: () => this.#startImapd(undefined, new AbortController().signal),
    });
  }

  accept(socket: Socket): void {
    const session = new ServedSession(socket, this);
    this.#sessions.add(session);
    void session.ended.then(() => {
      this.#sessions.delete(session);
      this.#lastUse = performance.now();
      if (this.#stopping) this.#leaveIfDone();
    });
  }

  run(listener: BrokerListener): Promise<void> {
    this.#listener = listener;
    this.#log.detail('broker-start', { alias: this.#alias.name, version: BROKER_VERSION });
    const tick = setInterval(() => this.#tick(), BROKER_TICK_MS);
    return new Promise((resolve) => {
      this.#leave = () => {
        clearInterval(tick);
        listener.server.close();
        this.#warm.close();
        for (const session of this.#sessions) session.kill();
        this.#pool.close();
        this.#log.detail('broker-end', { alias: this.#alias.name, bytes: this.#bytes });
        resolve();
      };
    });
  }

  async open(request: OpenRequest, onStderr: (chunk: Buffer) => void, signal: AbortSignal): Promise<Served> {
    this.#lastUse = performance.now();
    const started = performance.now();
    const steps = (): Record<string, number> => ({ open: Math.round(performance.now() - started) });
    if (request.kind !== 'mail') {
      const { stream, connection } = await this.#startPlain(request, signal);
      return {
        stream,
        greeting: Buffer.alloc(0),
        route: 'shared',
        steps: steps(),
        alive: aliveOf(connection),
      };
    }
    this.#usedForMail = true;
    const ready = request.command === undefined ? await this.#takeWarm() : undefined;
    const session = ready ?? (await this.#startImapd(request.command, signal));
    session.setStderr(onStderr);
    this.#warm.refill();
    return { ...session, route: ready === undefined ? 'shared' : 'warm', steps: steps() };
  }

  status(): object {
    return {
      alias: this.#alias.name,
      pid: process.pid,
      version: BROKER_VERSION,
      sessions: this.#liveSessions(),
      warm: this.#warm.count,
      connections: this.#pool.connections,
      age_s: Math.round((performance.now() - this.#startedAt) / 1000),
      bytes: this.#bytes,
    };
  }

  stop(now: boolean): void {
    this.#stopping = true;
    this.#listener?.server.close();
    this.#removeSocket();
    this.#warm.close();
    if (now) this.#leave();
    else this.#leaveIfDone();
  }

  count(bytes: number): void {
    this.#bytes += bytes;
    this.#collector.passed(bytes);
  }

  /** A warm session of a connection that lives. A healthy one costs no round trip. */
  async #takeWarm(): Promise<ReadySession | undefined> {
    if (this.#warm.count === 0) return undefined;
    if (!this.#pool.isFresh() && !(await this.#pool.probe())) this.#warm.drop();
    return this.#warm.take();
  }

  /** Starts an imapd and reads its greeting; until it has a client its stderr goes to the log. */
  #startImapd(command: string | undefined, signal: AbortSignal): Promise<ReadySession> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(OPEN_DEADLINE_MS)]);
    return this.#pool.open(async (connection) => {
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
        alive: aliveOf(connection),
        setStderr(wanted) {
          sink = wanted;
        },
      };
    });
  }

  #startPlain(
    { kind, command, host, port }: OpenRequest,
    signal: AbortSignal,
  ): Promise<{ stream: Awaited<ReturnType<Connection['exec']>>; connection: Connection }> {
    return this.#pool.open(async (connection) => {
      const started =
        kind === 'forward'
          ? connection.forward(String(host), Number(port))
          : connection.exec({ kind: kind === 'subsystem' ? 'subsystem' : 'exec', text: command ?? '' });
      return { stream: await withAbort(signal, started), connection };
    });
  }

  async #dial(): Promise<Connection> {
    forgetFolders();
    const { settings, family } = this.#spec;
    const signal = AbortSignal.timeout(OPEN_DEADLINE_MS);
    const connection = await rememberTimeout(this.#alias, family, settings, () =>
      connect(this.#alias, { settings, log: this.#log, family, signal }),
    );
    this.#hasConnected = true;
    void connection.closed.then((why) => {
      this.#log.detail('connection-end', { alias: this.#alias.name, why: why.message });
    });
    return connection;
  }

  #freshMs(): number {
    const seconds = this.#alias.serverAliveInterval;
    return seconds > 0 ? seconds * 1000 : DEFAULT_FRESH_MS;
  }

  #liveSessions(): number {
    return [...this.#sessions].filter((session) => session.isSession).length;
  }

  #tick(): void {
    if (this.#listener !== undefined && !ownsSocket(this.#spec.socket, this.#listener)) this.stop(false);
    const idle = this.#sessions.size === 0 ? performance.now() - this.#lastUse : 0;
    const patience = this.#hasConnected ? this.#alias.persist * 1000 : BROKER_LINGER_MS;
    if (idle >= patience && !this.#stopping) this.stop(true);
    else if (performance.now() - this.#lastUse >= this.#alias.persist * 1000) this.#warm.drop();
    else if (this.#usedForMail) {
      this.#warm.renew();
      this.#pool.keepAlive();
    }
  }

  #leaveIfDone(): void {
    if (this.#liveSessions() === 0) this.#leave();
  }

  #removeSocket(): void {
    if (this.#listener !== undefined && ownsSocket(this.#spec.socket, this.#listener)) {
      rmSync(this.#spec.socket, { force: true });
    }
  }
}

function aliveOf(connection: Connection): (withinMs: number) => Promise<boolean> {
  return (withinMs) => connection.alive(withinMs);
}
