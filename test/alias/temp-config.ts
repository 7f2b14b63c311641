/** Two configuration folders, the user's and the system's, and settings that point at them. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Alias } from '../../src/alias/alias.ts';
import { type AliasLookup, type AliasSettings, lookupAlias } from '../../src/alias/lookup.ts';
import type { AliasQuery } from '../../src/alias/resolve.ts';
import { forgetFolders } from '../../src/alias/trusted-file.ts';
import type { Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { UID } from './other-user.ts';

export interface TempConfig {
  readonly settings: AliasSettings;
  readonly user: string;
  readonly system: string;
  /** Writes `hosts/NAME.env` of the user and gives its path. */
  alias(name: string, text: string): string;
  systemAlias(name: string, text: string): string;
  defaults(text: string): string;
  systemDefaults(text: string): string;
  link(name: string, target: string): string;
  /** Forgets what is known about folders first, as a new process would not know it. */
  lookup(host: string, query?: Partial<AliasQuery>): AliasLookup;
  /** The alias of a host that must be managed. */
  find(host: string, query?: Partial<AliasQuery>): Alias;
}

/** The folders themselves do not exist until something is written into them. */
export function openTempConfig(scope: Scope): TempConfig {
  const dir = makeTempDir(scope, 'config');
  const user = join(dir, 'home', '.config', 'pine-rsh');
  const system = join(dir, 'etc', 'pine-rsh');
  const settings: AliasSettings = {
    uid: UID,
    home: join(dir, 'home'),
    loginName: 'me',
    configDirs: [user, system],
  };
  const write = (file: string, text: string): string => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, text);
    chmodSync(file, 0o644);
    return file;
  };
  const lookup: TempConfig['lookup'] = (host, query = {}) => {
    forgetFolders();
    return lookupAlias(settings, { host, user: undefined, port: undefined, options: new Map(), ...query });
  };
  return {
    settings,
    user,
    system,
    alias: (name, text) => write(join(user, 'hosts', `${name}.env`), text),
    systemAlias: (name, text) => write(join(system, 'hosts', `${name}.env`), text),
    defaults: (text) => write(join(user, 'defaults.env'), text),
    systemDefaults: (text) => write(join(system, 'defaults.env'), text),
    link: (name, target) => {
      const link = join(user, 'hosts', `${name}.env`);
      mkdirSync(dirname(link), { recursive: true, mode: 0o755 });
      symlinkSync(target, link);
      return link;
    },
    lookup,
    find: (host, query) => {
      const found = lookup(host, query);
      if (found.kind === 'managed') return found.alias;
      throw new Error(`${host} is not managed`);
    },
  };
}
