/**
 * Where setup tries things out before anything of the person's is touched: a private folder with the alias files, known
 * hosts and keys that are to be. It is gone when setup ends; what a killed one left is removed by the next.
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, Failure } from '../../errors.ts';
import { openRuntimeDir } from '../../runtime-dir.ts';
import type { Settings } from '../../settings.ts';
import type { HostNames } from '../../transport/known-hosts.ts';
import { recordHostKeys } from '../../transport/known-hosts-writer.ts';

export interface Staging {
  /** As they are, but the aliases of the staging folder come before all others, and no log is the person's own. */
  readonly settings: Settings;
  /** For KNOWN_HOSTS. */
  readonly knownHosts: string;
  writeAlias(name: string, text: string): void;
  /** Writes a key and gives its path. */
  writeKey(name: string, text: string): string;
  trust(names: HostNames, blobs: readonly Buffer[]): void;
  close(): void;
}

/**
 * In the runtime folder: nobody else looks into it, and what lies there never outlives the machine's next start.
 *
 * @throws {Failure} `file-unusable` where there is no safe one
 */
export function openStaging(settings: Settings): Staging {
  const runtime = openRuntimeDir(settings);
  if (runtime === undefined) {
    const [file = ''] = settings.runtimeDirs;
    const why = 'is no folder that is yours alone';
    throw new Failure('file-unusable', { file, why, remedy: `run: mkdir -p ${file} && chmod 700 ${file}` });
  }
  removeLeft(runtime);
  const dir = mkdtempSync(join(runtime, `setup-${process.pid}-`));
  const config = join(dir, 'config');
  const hosts = join(config, 'hosts');
  const knownHosts = join(dir, 'known_hosts');
  mkdirSync(hosts, { recursive: true, mode: 0o700 });
  const close = (): void => rmSync(dir, { recursive: true, force: true });
  // A login that was given up may still log something.
  process.once('exit', close);
  const write = (file: string, text: string): string => {
    writeFileSync(file, text, { mode: 0o600 });
    // The umask may have taken bits away.
    chmodSync(file, 0o600);
    return file;
  };
  return {
    // Gateways may be aliases that are there, and defaults count for all.
    settings: { ...settings, configDirs: [config, ...settings.configDirs], stateDir: join(dir, 'state') },
    knownHosts,
    writeAlias: (name, text) => void write(join(hosts, `${name}.env`), text),
    writeKey: (name, text) => write(join(dir, `key-${name}`), text),
    trust: (names, blobs) => {
      if (blobs.length > 0) recordHostKeys(knownHosts, names, blobs, settings.uid);
    },
    close,
  };
}

/** Folders of processes that are no more: their pid is in the name. */
function removeLeft(runtime: string): void {
  for (const name of readdirSync(runtime)) {
    const pid = Number(/^setup-(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) rmSync(join(runtime, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return errnoOf(thrown) === 'EPERM';
  }
}
