/**
 * What the resolver makes of an alias's name. Alpine passes the name's canonical form on to pine-rsh (c-client,
 * tcp_canonical), and a name that is a host's leaves it a place to fall back to.
 */
import { execFile } from 'node:child_process';
import { lookupAlias } from '../../alias/lookup.ts';
import type { Settings } from '../../settings.ts';
import { RESOLVE_MS } from '../limits.ts';
import { resolveName } from '../resolve-name.ts';
import { type Finding, passed, warned } from './finding.ts';

export interface NamedHost {
  /** What pine-rsh will be given. */
  readonly host: string;
  readonly finding: Finding;
}

/** @param aliasName of the alias that `host` stands for */
export async function examineName(settings: Settings, host: string, aliasName: string): Promise<NamedHost> {
  const address = await resolveName(host);
  if (address === undefined) {
    const text = `${host} is no name in DNS: Alpine has nowhere to fall back to`;
    return { host, finding: passed('name', text) };
  }
  const canonical = await findCanonicalName(settings, host);
  if (canonical === host.toLowerCase() || (await isNamed(settings, canonical, aliasName))) {
    const text = `${host} is a name of ${address}: if pine-rsh were killed, Alpine would try TCP port 143 there`;
    const hint = 'rename the alias to a name that DNS does not know, or write /secure into the folder names';
    return { host: canonical, finding: warned('name', text, hint) };
  }
  const finding: Finding = {
    mark: 'failed',
    check: 'name',
    ms: undefined,
    text: `DNS calls ${host} ${canonical}: that is the name Alpine passes on, and it is not this alias`,
    hint: `add it to the alias: ALIASES=${canonical}`,
  };
  return { host: canonical, finding };
}

/** Node cannot ask for it (AI_CANONNAME); getent(1) of glibc and musl can. */
function findCanonicalName({ path }: Settings, host: string): Promise<string> {
  const name = host.toLowerCase();
  return new Promise((done) => {
    execFile(
      'getent',
      ['ahosts', name],
      { env: { PATH: path }, timeout: RESOLVE_MS, encoding: 'latin1' },
      (error, stdout) => {
        const [, , canonical] = stdout.split('\n', 1)[0]?.trim().split(/\s+/) ?? [];
        done(error === null && canonical !== undefined ? canonical.toLowerCase() : name);
      },
    );
  });
}

async function isNamed(settings: Settings, host: string, aliasName: string): Promise<boolean> {
  try {
    const found = lookupAlias(settings, { host, user: undefined, port: undefined, options: new Map() });
    return found.kind === 'managed' && found.alias.name === aliasName;
  } catch {
    return false;
  }
}
