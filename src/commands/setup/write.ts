/** The last step of setup: everything is known to work, and is written down. What fails half-way is undone. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { explainWriteError } from '../../transport/known-hosts-writer.ts';
import type { PlannedKey } from './key.ts';

/** Changes to files of the person's, which can be taken back. */
export class FileChanges {
  readonly #undos: (() => void)[] = [];

  /** Makes a folder (0700) and those above it. */
  makeFolder(folder: string): void {
    if (existsSync(folder)) return;
    this.makeFolder(dirname(folder));
    attempt(folder, () => mkdirSync(folder, { mode: 0o700 }));
    this.#undos.push(() => rmSync(folder, { recursive: true, force: true }));
  }

  /** A new private key, which must not be there yet, or the public half of an agent's. */
  writeKey({ file, text, publicKey }: PlannedKey): void {
    if (text === undefined) return;
    if (file.endsWith('.pub')) {
      this.replace(file, text);
      return;
    }
    this.makeFolder(dirname(file));
    this.#create(file, text, 0o600);
    this.#create(`${file}.pub`, `${publicKey}\n`, 0o644);
  }

  /**
   * Writes a file whole or not at all; one that is there keeps its mode, and is kept as `backup` where that is given.
   * A link is followed.
   */
  replace(path: string, text: string | Buffer, backup?: (real: string) => string): void {
    this.makeFolder(dirname(path));
    const file = existsSync(path) ? realpathSync(path) : path;
    attempt(file, () => {
      const before = existsSync(file) ? readFileSync(file) : undefined;
      const mode = before === undefined ? 0o600 : statSync(file).mode & 0o7777;
      if (before !== undefined && backup !== undefined) copyFileSync(file, backup(file));
      const temp = join(dirname(file), `.pine-rsh-setup.${process.pid}`);
      try {
        writeFileSync(temp, text, { mode: 0o600, flag: 'wx' });
        chmodSync(temp, mode);
        renameSync(temp, file);
      } finally {
        rmSync(temp, { force: true });
      }
      this.#undos.push(() => (before === undefined ? rmSync(file) : writeFileSync(file, before)));
    });
  }

  /** Takes everything back, the last change first. */
  undo(): void {
    for (const undo of this.#undos.toReversed()) {
      try {
        undo();
      } catch {
        // What cannot be undone must not hide why it is.
      }
    }
  }

  #create(file: string, text: string, mode: number): void {
    attempt(file, () => writeFileSync(file, text, { mode, flag: 'wx' }));
    this.#undos.push(() => rmSync(file, { force: true }));
  }
}

function attempt(file: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    throw explainWriteError(thrown, file);
  }
}
