/** Throw-away folders, removed with all that is in them when the test is over. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defer, type Scope } from './scope.ts';

/** Makes a folder of mode 0700 and gives its absolute path. */
export function makeTempDir(scope: Scope, name: string): string {
  const dir = mkdtempSync(join(realpathSync(tmpdir()), `pine-rsh-${name}-`));
  // A server that is just ending may still write into it.
  defer(scope, () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}
