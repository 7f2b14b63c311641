/**
 * Remembers which key a server accepted last, so that the next login offers it first: servers count refused keys and
 * hang up after a few (sshd_config(5) MaxAuthTries). Whatever goes wrong here costs a round trip, never a login.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KEY_MEMORY_MAX } from '../limits.ts';

/** What a server accepted. */
export interface RememberedKey {
  /** `SHA256:...` */
  readonly fingerprint: string;
  /** The way to sign, as `Identity` names it. */
  readonly algorithm: string;
}

/** A line for each server: `USER@HOST:PORT FINGERPRINT ALGORITHM`, the one used last at the end. */
export class KeyMemory {
  readonly #dir: string;
  readonly #file: string;
  readonly #server: string;

  /** @param server `user@host:port` */
  constructor(stateDir: string, server: string) {
    this.#dir = stateDir;
    this.#file = join(stateDir, 'working-keys');
    this.#server = server;
  }

  recall(): RememberedKey | undefined {
    const line = this.#readLines().find(([server]) => server === this.#server);
    return line && { fingerprint: line[1], algorithm: line[2] };
  }

  /** Written to a file of its own and renamed, so that nobody reads half of it; of two writers one wins. */
  learn({ fingerprint, algorithm }: RememberedKey): void {
    const others = this.#readLines().filter(([server]) => server !== this.#server);
    const lines = [...others.slice(1 - KEY_MEMORY_MAX), [this.#server, fingerprint, algorithm]];
    const written = `${this.#file}.${randomBytes(8).toString('hex')}`;
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      writeFileSync(written, lines.map((line) => `${line.join(' ')}\n`).join(''), {
        mode: 0o600,
        flag: 'wx',
      });
      renameSync(written, this.#file);
    } catch {
      rmSync(written, { force: true });
    }
  }

  #readLines(): [server: string, fingerprint: string, algorithm: string][] {
    try {
      return readFileSync(this.#file, 'utf8')
        .split('\n')
        .flatMap((line) => {
          const [server, fingerprint, algorithm, more] = line.split(' ');
          if (!server || !fingerprint || !algorithm || more !== undefined) return [];
          return [[server, fingerprint, algorithm]];
        });
    } catch {
      return [];
    }
  }
}
