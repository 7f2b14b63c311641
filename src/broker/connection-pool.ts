/**
 * The broker's SSH connection. One is kept; more exist only while a server refuses further channels on it
 * (MaxSessions), or while an old one that may be dead still carries sessions.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors.ts';
import { PROBE_MS, ROOM_MS, STARTUP_RETRIES, STARTUP_RETRY_MS } from '../limits.ts';
import { discard } from '../transport/discard.ts';
import type { Connection, RemoteStream } from '../transport/transport.ts';
import { ClockWatch } from './clock-watch.ts';

/** A connection and what runs on it. */
interface Pooled {
  readonly connection: Connection;
  sessions: number;
  /** The server refused a channel; one may be free again when a session has ended. */
  full: boolean;
  /** Settles when sessions that nobody used have given way; they are on their way out until then. */
  room: Promise<void> | undefined;
  /** It did not answer a probe: new sessions go elsewhere, old ones keep it until they end. */
  suspect: boolean;
  /** The machine slept since it was last heard. */
  slept: boolean;
  /** A person made it and may not be there to make another: it is ours until it dies. */
  kept: boolean;
}

/**
 * What a session is for. `plain`: is started at most once. `mail`: does no harm twice. `spare`: nobody waits for it, so
 * it is not worth another connection.
 */
export type Purpose = 'plain' | 'mail' | 'spare';

export interface PoolOptions {
  /** Makes one authenticated connection. */
  readonly dial: () => Promise<Connection>;
  /** A connection that was silent for longer is asked before it is used. Milliseconds. */
  readonly freshMs: number;
  /**
   * Called when the server refuses a channel, so that sessions nobody uses can give way. Settles when those have ended;
   * undefined if there were none.
   */
  readonly onRefused: () => Promise<void> | undefined;
  /** Called when a client's session has ended on a connection that had refused a channel. */
  readonly onRoom: () => void;
  /** Called when a connection did not answer. */
  readonly onSuspect: (connection: Connection) => void;
  /** Called when nothing known about the network counts any more. */
  readonly onClockJump: () => void;
}

type Start<T> = (connection: Connection) => Promise<T>;

export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #clock = new ClockWatch();
  readonly #pool = new Set<Pooled>();
  #dialing: Promise<Pooled> | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get connections(): number {
    return this.#pool.size;
  }

  /**
   * Opens a channel on a connection that lives; makes one where there is none, or none with room.
   *
   * @throws {Failure} of dialling and of `start`
   */
  async open<T extends { readonly stream: RemoteStream }>(purpose: Purpose, start: Start<T>): Promise<T> {
    const doubted = new Set<Pooled>();
    for (let mayWait = purpose !== 'spare'; ; ) {
      const found = await this.#findLive();
      const pooled = found ?? (await this.#dialShared());
      // Only once: a server that answers and ends every command without a status would be asked for ever.
      const doubtful = found !== undefined && purpose !== 'plain' && !doubted.has(pooled);
      try {
        return await this.#startOn(pooled, start, purpose, doubtful);
      } catch (error) {
        if (doubtful && isLost(error)) {
          doubted.add(pooled);
          this.#suspect(pooled);
          continue;
        }
        if (!isChannelRefusal(error)) throw error;
        const room = this.#makeRoom(pooled);
        if (mayWait && room !== undefined) {
          mayWait = false;
          await room;
          continue;
        }
        pooled.full = purpose !== 'spare' || room === undefined;
        // A server that allows not even one session would refuse for ever.
        if (purpose === 'spare' || pooled.sessions === 0) throw error;
      }
    }
  }

  /** Finds a connection that lives, or makes one, that stays however long it is unused. True if there was one. */
  async keep(dial: () => Promise<Connection>): Promise<boolean> {
    const found = await this.#findLive();
    const pooled = found ?? (await this.#dialNew(dial));
    pooled.kept = true;
    return found !== undefined;
  }

  /** True while there is such a connection. */
  get keeps(): boolean {
    return [...this.#pool].some(({ kept }) => kept);
  }

  /** True if a session that was opened on this connection before can be handed out. Costs a healthy one no round trip. */
  async vouch(connection: Connection): Promise<boolean> {
    this.#noticeSleep();
    const pooled = [...this.#pool].find((each) => each.connection === connection);
    return pooled !== undefined && !pooled.suspect && (await this.#lives(pooled));
  }

  /** `vouch` without asking the server. */
  vouchAtOnce(connection: Connection): boolean {
    this.#noticeSleep();
    for (const pooled of this.#pool) {
      if (pooled.connection === connection) return !pooled.suspect && this.#heardLately(pooled);
    }
    return false;
  }

  /** True while there is a connection that was heard from of late and has room. */
  get hears(): boolean {
    for (const pooled of this.#pool) if (usable(pooled) && this.#heardLately(pooled)) return true;
    return false;
  }

  /** Keeps idle connections known to be alive, as long as they answer. */
  keepAlive(): void {
    this.#noticeSleep();
    for (const pooled of this.#pool) {
      if (usable(pooled) && !this.#heardLately(pooled)) void this.#answers(pooled, this.#options.freshMs);
    }
  }

  close(): void {
    for (const { connection } of this.#pool) connection.close();
  }

  async #startOn<T extends { readonly stream: RemoteStream }>(
    pooled: Pooled,
    start: Start<T>,
    purpose: Purpose,
    doubtful: boolean,
  ): Promise<T> {
    pooled.sessions += 1;
    try {
      const starting = start(pooled.connection);
      if (doubtful) await this.#guard(pooled, starting);
      const started = await starting;
      pooled.connection.prepare();
      void started.stream.exit.then(() => {
        const wasFull = pooled.full;
        this.#release(pooled);
        if (wasFull && purpose !== 'spare') this.#options.onRoom();
      });
      return started;
    } catch (error) {
      this.#release(pooled);
      throw error;
    }
  }

  /**
   * A network that went away since the connection was last heard must not cost the whole time of an opening: while the
   * session starts, the peer is asked for a sign of life. @throws {Failure} `connection-lost` if neither came
   */
  async #guard(pooled: Pooled, starting: Promise<{ readonly stream: RemoteStream }>): Promise<void> {
    const settled = starting.then(
      () => true,
      () => true,
    );
    if (await Promise.race([settled, this.#answers(pooled, PROBE_MS)])) return;
    void starting.then(({ stream }) => discard(stream)).catch(() => {});
    throw new Failure('connection-lost', { address: 'the server', why: 'it does not answer' });
  }

  /** Sessions nobody uses give way, and what was refused can be asked for again. Undefined if there were none. */
  #makeRoom(pooled: Pooled): Promise<void> | undefined {
    const leaving = this.#options.onRefused();
    if (leaving !== undefined) {
      pooled.room = Promise.race([leaving, sleep(ROOM_MS, undefined, { ref: false })]).finally(() => {
        pooled.room = undefined;
      });
    }
    return pooled.room;
  }

  #release(pooled: Pooled): void {
    pooled.sessions -= 1;
    pooled.full = false;
    const extra = [...this.#pool].some((other) => other !== pooled && usable(other));
    if (pooled.sessions === 0 && !pooled.kept && (pooled.suspect || extra)) pooled.connection.close();
  }

  async #findLive(): Promise<Pooled | undefined> {
    this.#noticeSleep();
    for (const pooled of this.#pool) {
      if (usable(pooled) && (await this.#lives(pooled))) return pooled;
    }
    return undefined;
  }

  async #lives(pooled: Pooled): Promise<boolean> {
    return this.#heardLately(pooled) || (await this.#answers(pooled, PROBE_MS));
  }

  /** Asks; what does not answer gets no new sessions. */
  async #answers(pooled: Pooled, withinMs: number): Promise<boolean> {
    if (await pooled.connection.alive(withinMs)) {
      pooled.slept = false;
      return true;
    }
    this.#suspect(pooled);
    return false;
  }

  #noticeSleep(): void {
    if (!this.#clock.jumped()) return;
    for (const pooled of this.#pool) pooled.slept = true;
    this.#options.onClockJump();
  }

  #heardLately({ connection, slept }: Pooled): boolean {
    return !slept && performance.now() - connection.lastHeard() < this.#options.freshMs;
  }

  #suspect(pooled: Pooled): void {
    if (!pooled.suspect) this.#options.onSuspect(pooled.connection);
    if (pooled.kept) {
      // Asked again before its next use: the network may come back.
      pooled.slept = true;
      return;
    }
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

  async #dialNew(dial = this.#options.dial): Promise<Pooled> {
    for (let retry = 0; ; retry += 1) {
      try {
        const connection = await dial();
        const pooled: Pooled = {
          connection,
          sessions: 0,
          full: false,
          room: undefined,
          suspect: false,
          slept: false,
          kept: false,
        };
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

function isLost(error: unknown): boolean {
  return error instanceof Failure && error.code === 'connection-lost';
}

/** The server said no to a channel, not to the command on it (RFC 4254 section 5.1). */
function isChannelRefusal(error: unknown): boolean {
  return error instanceof Failure && error.code === 'exec-refused' && error.facts['why'] !== 'Unable to exec';
}

/** sshd drops connections before the version exchange while too many are not logged in yet (MaxStartups). */
function isDroppedStart(error: unknown): boolean {
  return isLost(error) && String((error as Failure).facts['why']).includes('before the key exchange');
}
