/**
 * Remembers for a few seconds that a host did not answer. One Save in Alpine starts pine-rsh four times in three
 * seconds, and a host that is down must cost its timeout once. Only silence is remembered: a refusal of a key or a
 * login is asked again each time, so that a repair at the server is seen at once.
 */
import { closeSync, constants, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { shortHash } from '../hash.ts';
import { TIMEOUT_MEMORY_MS } from '../limits.ts';
import { openRuntimeDir } from '../runtime-dir.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './address.ts';

/**
 * Runs `connect`, unless the same host was silent a moment ago. `family` is part of what counts as the same: a host
 * may answer over IPv4 only.
 *
 * @throws {Failure} `connect-timeout-recent`, and whatever `connect` throws
 */
export async function rememberTimeout<T>(
  alias: Alias,
  family: 0 | 4 | 6,
  settings: Settings,
  connect: () => Promise<T>,
): Promise<T> {
  const note = notePath(alias, family, settings);
  checkNote(note, formatAddress(alias.hostname, alias.port));
  try {
    return await connect();
  } catch (error) {
    if (error instanceof Failure && error.code === 'connect-timeout') writeNote(note);
    throw error;
  }
}

function notePath(alias: Alias, family: 0 | 4 | 6, settings: Settings): string | undefined {
  const dir = openRuntimeDir(settings);
  if (dir === undefined) return undefined;
  const { hostname, port, proxyJump, proxyCommand, connectTimeout } = alias;
  const name = JSON.stringify([hostname, port, family, proxyJump, proxyCommand, connectTimeout]);
  return join(dir, `timeout-${shortHash(name, 16)}`);
}

function checkNote(note: string | undefined, address: string): void {
  if (note === undefined) return;
  let age: number;
  try {
    age = Date.now() - statSync(note).mtimeMs;
  } catch {
    return;
  }
  // A clock that was set back makes the note look new for ever.
  if (age < 0 || age >= TIMEOUT_MEMORY_MS) {
    rmSync(note, { force: true });
    return;
  }
  throw new Failure('connect-timeout-recent', {
    address,
    ago: Math.round(age / 1000),
    wait: Math.ceil((TIMEOUT_MEMORY_MS - age) / 1000),
  });
}

function writeNote(note: string | undefined): void {
  if (note === undefined) return;
  try {
    rmSync(note, { force: true });
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    closeSync(openSync(note, O_WRONLY | O_CREAT | O_EXCL, 0o600));
  } catch {
    // A full disk costs the next open its own timeout, no more.
  }
}
