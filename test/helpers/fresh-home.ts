/** An account that has never seen pine-rsh, and what is in it, to be compared later. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { NO_SUCH_HOST_ENV } from './alpine.ts';
import type { Scope } from './scope.ts';
import { openTempHome, type TempHome } from './temp-home.ts';

/** A home without any folder of ours, and with a folder for temporary files inside. */
export function openFreshHome(scope: Scope): TempHome {
  const home = openTempHome(scope, NO_SUCH_HOST_ENV);
  rmSync(join(home.dir, '.config'), { recursive: true });
  const tmp = join(home.dir, 'tmp');
  mkdirSync(tmp);
  return { ...home, env: { ...home.env, TMPDIR: tmp } };
}

/** Everything below these folders: modes and contents. */
export function snapshot(...dirs: readonly string[]): string {
  const lines: string[] = [];
  const walk = (path: string): void => {
    const stat = statSync(path);
    const mode = stat.mode.toString(8);
    if (!stat.isDirectory()) {
      lines.push(`${path} ${mode} ${readFileSync(path, 'latin1')}`);
      return;
    }
    lines.push(`${path}/ ${mode}`);
    for (const name of readdirSync(path).sort()) walk(join(path, name));
  };
  for (const dir of dirs) if (existsSync(dir)) walk(dir);
  return lines.join('\n');
}
