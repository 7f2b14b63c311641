/**
 * Finding programs of this machine.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';

/** The first of `paths` that can be executed. */
export async function findProgram(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}
