/**
 * Where setup tries things out before anything of the person's is touched: a folder of our own with the alias files,
 * known hosts and keys that are to be. It is gone when setup ends, however it ends.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Settings } from '../../settings.ts';
import type { HostNames } from '../../transport/known-hosts.ts';
import { recordHostKeys } from '../../transport/known-hosts-writer.ts';

export interface Staging {
  /** As they are, with the aliases of the staging folder in place of the person's own, and no log of theirs. */
  readonly settings: Settings;
  /** For KNOWN_HOSTS. */
  readonly knownHosts: string;
  writeAlias(name: string, text: string): void;
  /** Writes a private key and gives its path. */
  writeKey(name: string, text: string): string;
  trust(names: HostNames, blobs: readonly Buffer[]): void;
  close(): void;
}

export function openStaging(settings: Settings): Staging {
  const dir = mkdtempSync(join(tmpdir(), 'pine-rsh-setup-'));
  const config = join(dir, 'config');
  const hosts = join(config, 'hosts');
  const knownHosts = join(dir, 'known_hosts');
  mkdirSync(hosts, { recursive: true, mode: 0o700 });
  const [own, system] = settings.configDirs;
  // Gateways may be aliases that are there, and defaults count for all.
  if (existsSync(own)) cpSync(own, config, { recursive: true, dereference: true, mode: 0 });
  const write = (file: string, text: string): string => {
    writeFileSync(file, text, { mode: 0o600 });
    chmodSync(file, 0o600);
    return file;
  };
  return {
    settings: { ...settings, configDirs: [config, system], stateDir: join(dir, 'state') },
    knownHosts,
    writeAlias: (name, text) => void write(join(hosts, `${name}.env`), text),
    writeKey: (name, text) => write(join(dir, `key-${name}`), text),
    trust: (names, blobs) => {
      if (blobs.length > 0) recordHostKeys(knownHosts, names, blobs, settings.uid);
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
}
