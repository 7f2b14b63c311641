/**
 * A throw-away HOME with pine-rsh's folders inside, and the environment that goes with it: nothing of the person who
 * runs the tests gets in, and nothing of the tests gets out.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Scope } from './scope.ts';
import { makeTempDir } from './temp-dir.ts';

/** Keys of an alias file and their values, unquoted. */
export type AliasKeys = Readonly<Record<string, string | number>>;

export interface TempHome {
  /** Absolute path; also the mark by which `findProcesses` knows our processes. */
  readonly dir: string;
  readonly configDir: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  /** The whole environment for a program that lives here. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes `hosts/NAME.env` with mode 0600 and gives its path. */
  writeAlias(name: string, keys: AliasKeys): string;
  /** Writes `defaults.env`. */
  writeDefaults(keys: AliasKeys): string;
  /** Writes a file under HOME (folders 0700) and gives its path. */
  writeFile(path: string, text: string, mode?: number): string;
  /** Writes an executable `#!/bin/sh` script and gives its path. */
  writeScript(path: string, lines: string): string;
  /** pine-rsh's log so far, for failure messages and assertions. */
  log(): string;
}

/** Makes a home for the user who runs the tests. */
export function openTempHome(scope: Scope, extraEnv: Readonly<Record<string, string>> = {}): TempHome {
  const dir = makeTempDir(scope, 'home');
  const configDir = join(dir, '.config', 'pine-rsh');
  const stateDir = join(dir, '.local', 'state', 'pine-rsh');
  const runtimeDir = join(dir, 'run');
  for (const each of [configDir, join(configDir, 'hosts'), runtimeDir])
    mkdirSync(each, { recursive: true, mode: 0o700 });

  const writeFile = (path: string, text: string, mode = 0o600): string => {
    const file = join(dir, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, text, { mode });
    // The umask may have taken bits away, and an existing file keeps its mode.
    chmodSync(file, mode);
    return file;
  };

  return {
    dir,
    configDir,
    stateDir,
    runtimeDir,
    env: {
      HOME: dir,
      PATH: [
        dirname(process.execPath),
        '/usr/local/bin',
        '/usr/bin',
        '/bin',
        '/usr/local/sbin',
        '/usr/sbin',
      ].join(':'),
      TERM: 'screen',
      LANG: 'C.UTF-8',
      PINE_RSH_CONFIG_DIR: configDir,
      PINE_RSH_STATE_DIR: stateDir,
      PINE_RSH_RUNTIME_DIR: runtimeDir,
      ...extraEnv,
    },
    writeAlias: (name, keys) => writeFile(`.config/pine-rsh/hosts/${name}.env`, formatDotenv(keys)),
    writeDefaults: (keys) => writeFile('.config/pine-rsh/defaults.env', formatDotenv(keys)),
    writeFile,
    writeScript: (path, lines) => writeFile(path, `#!/bin/sh\n${lines}\n`, 0o700),
    log: () => {
      const file = join(stateDir, 'log');
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    },
  };
}

/** Quotes only what needs it, as people do. */
function formatDotenv(keys: AliasKeys): string {
  return Object.entries(keys)
    .map(([key, value]) => `${key}=${/[\s#"'`\\]/.test(String(value)) ? `'${value}'` : value}\n`)
    .join('');
}
