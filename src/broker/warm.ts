/**
 * imapd sessions kept ready: started, logged in, greeting read. One is handed out the moment a folder opens, and the
 * next is started behind it. A dead one is never handed out, and nothing is ever written to one before its client.
 */

import { type Deferred, makeDeferred } from '../deferred.ts';
import { WARM_AGE_MS, WARM_LIFE_MS, WARM_PAUSE_MS, WARM_REFILL_MS } from '../limits.ts';
import type { Log } from '../log.ts';
import { discard } from '../transport/discard.ts';
import type { ImapSession } from '../transport/imapd.ts';
import type { Connection } from '../transport/transport.ts';

/** A session that can be handed to a client. */
export interface ReadySession extends ImapSession {
  readonly connection: Connection;
  /** Turns stderr to the client once there is one. */
  readonly setStderr: (sink: (chunk: Buffer) => void) => void;
}

interface Warm {
  readonly session: ReadySession;
  readonly bornAt: number;
  /** Stops watching. */
  readonly release: () => void;
}

export interface WarmOptions {
  /** How many to keep ready, asked each time. */
  readonly size: () => number;
  readonly alias: string;
  readonly log: Log;
  /** Starts one more. */
  readonly start: () => Promise<ReadySession>;
}

export class WarmSessions {
  readonly #options: WarmOptions;
  readonly #ready = new Set<Warm>();
  readonly #starting = new Set<Promise<void>>();
  /** Clients that wait for one of those. */
  readonly #waiting: Deferred<ReadySession | undefined>[] = [];
  #refill: NodeJS.Timeout | undefined;
  #pausedUntil = 0;
  #closed = false;

  constructor(options: WarmOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#ready.size;
  }

  /** The connection that the next session is on; undefined if there is none. */
  get connection(): Connection | undefined {
    return this.#next()?.session.connection;
  }

  /** The youngest session on that connection, ready to be piped; undefined if there is none. */
  take(connection: Connection): ReadySession | undefined {
    const warm = this.#next(connection);
    if (warm === undefined) return undefined;
    this.#ready.delete(warm);
    warm.release();
    return warm.session;
  }

  /**
   * The next one that comes up, where one is being started that nobody waits for: it is ready sooner than another.
   *
   * @returns settles with undefined if none comes up; undefined if there is none
   */
  claim(): Promise<ReadySession | undefined> | undefined {
    if (this.#waiting.length >= this.#starting.size) return undefined;
    const waiting = makeDeferred<ReadySession | undefined>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Sees to it that there are as many as wanted, shortly. */
  refill(): void {
    if (this.#refill !== undefined || this.#closed) return;
    this.#refill = setTimeout(() => {
      this.#refill = undefined;
      this.#startMissing();
    }, WARM_REFILL_MS);
  }

  /** Replaces those that a server would end for idleness before long, and ends those that are too many by now. */
  renew(): void {
    const tooOld = performance.now() - WARM_AGE_MS;
    for (const warm of this.#ready) {
      if (warm.bornAt > tooOld && this.#ready.size <= this.#options.size()) continue;
      this.#drop(warm);
      this.refill();
    }
  }

  /** Ends all of them. */
  drop(): void {
    for (const warm of this.#ready) this.#drop(warm);
  }

  /**
   * Ends all of them, those that are only just being started too, and leaves the server alone for a while.
   *
   * @returns settles when their places are free; undefined if there were none
   */
  yield(): Promise<void> | undefined {
    this.#pause();
    const leaving = [...this.#starting, ...[...this.#ready].map(({ session }) => session.stream.exit)];
    this.drop();
    return leaving.length === 0 ? undefined : Promise.all(leaving).then(() => {});
  }

  /** The server has room again. */
  resume(): void {
    this.#pausedUntil = 0;
    this.refill();
  }

  /** Ends those on a connection that is of no use any more. */
  dropOn(connection: Connection): void {
    for (const warm of this.#ready) if (warm.session.connection === connection) this.#drop(warm);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#refill);
    this.drop();
  }

  #pause(): void {
    this.#pausedUntil = performance.now() + WARM_PAUSE_MS;
  }

  get #paused(): boolean {
    return performance.now() < this.#pausedUntil;
  }

  #next(connection?: Connection): Warm | undefined {
    return [...this.#ready]
      .reverse()
      .find(({ session }) => connection === undefined || session.connection === connection);
  }

  #startMissing(): void {
    if (this.#paused) return;
    const missing = this.#options.size() - this.#ready.size - this.#starting.size;
    for (let i = 0; i < missing; i += 1) {
      const starting = this.#startOne().finally(() => {
        this.#starting.delete(starting);
        while (this.#waiting.length > this.#starting.size) this.#waiting.pop()?.resolve(undefined);
      });
      this.#starting.add(starting);
    }
  }

  async #startOne(): Promise<void> {
    try {
      const session = await this.#options.start();
      if (!this.#closed && !this.#paused) {
        const waiting = this.#waiting.shift();
        if (waiting === undefined) this.#watch(session);
        else waiting.resolve(session);
        return;
      }
      discard(session.stream);
      await session.stream.exit;
    } catch (error) {
      // Whoever opens a folder gets the reason himself; here it only means that the server wants to be left alone.
      this.#pause();
      this.#options.log.record('warm-failed', { alias: this.#options.alias, why: String(error) });
    }
  }

  /** A session that says or ends anything before it has a client is of no use to one. */
  #watch(session: ReadySession): void {
    const { stdout, exit } = session.stream;
    const spoil = (): void => {
      if (!this.#drop(warm)) return;
      // A server that has no patience with them at all; one that ended for another reason is replaced before long.
      if (performance.now() - warm.bornAt < WARM_LIFE_MS) this.#pause();
    };
    const warm: Warm = {
      session,
      bornAt: performance.now(),
      release: () => {
        stdout.off('data', spoil);
        stdout.off('end', spoil);
        stdout.pause();
      },
    };
    this.#ready.add(warm);
    stdout.on('data', spoil);
    stdout.on('end', spoil);
    void exit.then(spoil);
    // Paused while its greeting was read; a paused stream tells of no end, and its channel of no exit.
    stdout.resume();
  }

  #drop(warm: Warm): boolean {
    if (!this.#ready.delete(warm)) return false;
    warm.release();
    discard(warm.session.stream);
    return true;
  }
}
