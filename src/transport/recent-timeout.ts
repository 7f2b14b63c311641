/**
 * Remembers for a few seconds that a host did not answer. One Save in Alpine starts pine-rsh four times in three
 * seconds, and a host that is down must cost its timeout once. Only silence is remembered: a refusal of a key or a
 * login is asked again each time, so that a repair at the server is seen at once.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { TIMEOUT_MEMORY_MS } from '../limits.ts';
import { openRuntimeDir } from '../runtime-dir.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './tcp.ts';

export class RecentTimeout {
  readonly #note: string | undefined;
  readonly #address: string;

  /** `family` is part of the name: a host may answer over IPv4 only. */
  constructor(alias: Alias, family: 0 | 4 | 6, settings: Settings) {
    this.#address = formatAddress(alias.hostname, alias.port);
    const dir = openRuntimeDir(settings);
    const jumps = alias.proxyJump.map(({ host, user, port }) => `${user}@${host}:${port}`);
    const name = [this.#address, family, ...jumps, alias.proxyCommand, alias.connectTimeout].join('\n');
    const hash = createHash('sha256').update(name).digest('hex').slice(0, 16);
    this.#note = dir === undefined ? undefined : join(dir, `timeout-${hash}`);
  }

  /** @throws {Failure} `connect-timeout-recent` */
  check(): void {
    if (this.#note === undefined) return;
    let age: number;
    try {
      age = Date.now() - statSync(this.#note).mtimeMs;
    } catch {
      return;
    }
    // A clock that was set back makes the note look new for ever.
    if (age < 0 || age >= TIMEOUT_MEMORY_MS) return;
    throw new Failure('connect-timeout-recent', {
      address: this.#address,
      ago: Math.round(age / 1000),
      wait: Math.ceil((TIMEOUT_MEMORY_MS - age) / 1000),
    });
  }

  /** Notes a timeout; any other outcome of a real attempt wipes the note. */
  learn(outcome: unknown): void {
    if (this.#note === undefined) return;
    try {
      if (outcome instanceof Failure && outcome.code === 'connect-timeout') {
        const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants;
        rmSync(this.#note, { force: true });
        closeSync(openSync(this.#note, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600));
      } else if (!(outcome instanceof Failure && outcome.code === 'connect-timeout-recent')) {
        rmSync(this.#note, { force: true });
      }
    } catch {
      // A full disk costs the next open its own timeout, no more.
    }
  }
}
