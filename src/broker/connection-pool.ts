/**
 * The broker's SSH connection. One is kept; more exist only while a server refuses further channels on it
 * (MaxSessions), or while an old one that may be dead still carries sessions.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors.ts';
import { PROBE_MS, STARTUP_RETRIES, STARTUP_RETRY_MS } from '../limits.ts';
import type { Connection, RemoteStream } from '../transport/transport.ts';
import { ClockWatch } from './clock-watch.ts';

/** A connection and what runs on it. */
interface Pooled {
  readonly connection: Connection;
  sessions: number;
  /** The server refused a channel; one may be free again when a session has ended. */
  full: boolean;
  /** It did not answer a probe: new sessions go elsewhere, old ones keep it until they end. */
  suspect: boolean;
}

export interface PoolOptions {
  /** Makes one authenticated connection. */
  readonly dial: () => Promise<Connection>;
  /** A connection that was silent for longer is asked before it is used. Milliseconds. */
  readonly freshMs: number;
  /** Called when the server refuses a channel, so that sessions nobody uses can give way. */
  readonly onRefused: () => void;
  /** Called when nothing known about the network counts any more. */
  readonly onClockJump: () => void;
}

export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #clock = new ClockWatch();
  readonly #pool = new Set<Pooled>();
  #dialing: Promise<Pooled> | undefined;
  /** Bytes are counted by whoever pipes; this counts what is open. */
  get connections(): number {
    return this.#pool.size;
  }

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * Opens a channel on a connection that is known to live.
   *
   * @throws {Failure} of dialling and of `open`
   */
  async open<T extends { readonly stream: RemoteStream }>(
    start: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const pooled = (await this.#findLive()) ?? (await this.#dialShared());
    try {
      return await this.#startOn(pooled, start);
    } catch (error) {
      if (!isChannelRefusal(error)) throw error;
      pooled.full = true;
      this.#options.onRefused();
    }
    // The server allows no more sessions on one connection: this one gets a connection of its own.
    return this.#startOn(await this.#dialNew(), start);
  }

  /** True if the connection that a new session would use needs no probe. */
  isFresh(): boolean {
    if (this.#clock.jumped()) {
      this.#forget();
      return false;
    }
    return [...this.#pool].some((pooled) => usable(pooled) && this.#heardLately(pooled));
  }

  /** Asks the connection for a sign of life; what does not answer is not used for new sessions. */
  async probe(): Promise<boolean> {
    for (const pooled of this.#pool) {
      if (!usable(pooled)) continue;
      if (await pooled.connection.alive(PROBE_MS)) return true;
      this.#suspect(pooled);
    }
    return false;
  }

  /** Keeps idle connections known to be alive, as long as they answer. */
  keepAlive(): void {
    for (const pooled of this.#pool) {
      if (!usable(pooled) || this.#heardLately(pooled)) continue;
      void pooled.connection.alive(this.#options.freshMs).then((alive) => {
        if (!alive) this.#suspect(pooled);
      });
    }
  }

  close(): void {
    for (const { connection } of this.#pool) connection.close();
  }

  async #startOn<T extends { readonly stream: RemoteStream }>(
    pooled: Pooled,
    start: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    pooled.sessions += 1;
    try {
      const started = await start(pooled.connection);
      void started.stream.exit.then(() => this.#release(pooled));
      return started;
    } catch (error) {
      this.#release(pooled);
      throw error;
    }
  }

  #release(pooled: Pooled): void {
    pooled.sessions -= 1;
    pooled.full = false;
    const extra = [...this.#pool].some((other) => other !== pooled && usable(other));
    if (pooled.sessions === 0 && (pooled.suspect || extra)) pooled.connection.close();
  }

  async #findLive(): Promise<Pooled | undefined> {
    if (this.#clock.jumped()) this.#forget();
    for (const pooled of this.#pool) {
      if (!usable(pooled)) continue;
      if (this.#heardLately(pooled) || (await pooled.connection.alive(PROBE_MS))) return pooled;
      this.#suspect(pooled);
    }
    return undefined;
  }

  #forget(): void {
    this.#options.onClockJump();
  }

  #heardLately({ connection }: Pooled): boolean {
    return performance.now() - connection.lastHeard() < this.#options.freshMs;
  }

  #suspect(pooled: Pooled): void {
    pooled.suspect = true;
    if (pooled.sessions === 0) pooled.connection.close();
  }

  /** Sessions that are asked for while a login is under way share it. */
  #dialShared(): Promise<Pooled> {
    this.#dialing ??= this.#dialNew().finally(() => {
      this.#dialing = undefined;
    });
    return this.#dialing;
  }

  async #dialNew(): Promise<Pooled> {
    for (let retry = 0; ; retry += 1) {
      try {
        const connection = await this.#options.dial();
        const pooled: Pooled = { connection, sessions: 0, full: false, suspect: false };
        this.#pool.add(pooled);
        void connection.closed.then(() => this.#pool.delete(pooled));
        return pooled;
      } catch (error) {
        if (retry >= STARTUP_RETRIES || !isDroppedStart(error)) throw error;
        await sleep(STARTUP_RETRY_MS * (0.5 + Math.random()));
      }
    }
  }
}

function usable({ full, suspect }: Pooled): boolean {
  return !full && !suspect;
}

/** The server said no to a channel, not to the command on it (RFC 4254 section 5.1). */
function isChannelRefusal(error: unknown): boolean {
  return error instanceof Failure && error.code === 'exec-refused' && error.facts['why'] !== 'Unable to exec';
}

/** sshd drops connections before the version exchange while too many are not logged in yet (MaxStartups). */
function isDroppedStart(error: unknown): boolean {
  return (
    error instanceof Failure &&
    error.code === 'connection-lost' &&
    String(error.facts['why']).includes('before the key exchange')
  );
}
