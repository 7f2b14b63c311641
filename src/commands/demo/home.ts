/**
 * A throw-away folder that holds everything the demo writes: keys, known_hosts, the alias file, log and sockets.
 * pine-rsh is pointed at it by its environment variables and never sees the user's own files.
 */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Settings } from '../../settings.ts';
import type { KeyPair } from '../../transport/new-key.ts';
import type { DemoSshServer } from './ssh-server.ts';

/** Not the local login name: pine-rsh takes that one as "not given" (Pine passes it when a folder has no `/user=`). */
export const DEMO_USER = 'pat';
export const DEMO_ALIAS = 'demo';

export interface DemoHome {
  readonly dir: string;
  readonly stateDir: string;
  /** Ours, but for the brokers of this home. */
  readonly settings: Settings;
  /** The whole environment of the programs the demo starts. */
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

/** Makes the folder, readable by nobody else. */
export async function openDemoHome(settings: Settings): Promise<DemoHome> {
  const dir = await mkdtemp(join(await realpath(tmpdir()), 'pine-rsh-demo-'));
  const folder = async (name: string): Promise<string> => {
    const path = join(dir, name);
    await mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  };
  const stateDir = await folder('state');
  const runtimeDir = await folder('run');
  return {
    dir,
    stateDir,
    settings: { ...settings, runtimeDirs: [runtimeDir] },
    env: {
      HOME: dir,
      PATH: settings.path,
      TERM: settings.term,
      LANG: 'C.UTF-8',
      PINE_RSH_CONFIG_DIR: await folder('config'),
      PINE_RSH_RUNTIME_DIR: runtimeDir,
      PINE_RSH_STATE_DIR: stateDir,
    },
    remove: () => rm(dir, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** Writes the alias `demo` and what it names. Returns its file and the lines in it. */
export async function writeDemoAlias(
  { dir }: DemoHome,
  server: DemoSshServer,
  hostKey: KeyPair,
  userKey: KeyPair,
): Promise<{ file: string; lines: string[] }> {
  const put = async (name: string, text: string): Promise<string> => {
    const path = join(dir, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  await mkdir(join(dir, 'config', 'hosts'), { recursive: true, mode: 0o700 });
  const identity = await put('id_ed25519', userKey.privateKey);
  const knownHosts = await put('known_hosts', `[${server.host}]:${server.port} ${hostKey.publicKey}\n`);
  const lines = [
    `HOSTNAME=${server.host}`,
    `PORT=${server.port}`,
    `USER=${DEMO_USER}`,
    `IDENTITY_FILE='${identity}'`,
    `KNOWN_HOSTS='${knownHosts}'`,
    'IDENTITY_AGENT=none',
    'IMAPD=/etc/rimapd',
    'SSH_CONFIG=no',
  ];
  // Whatever name a mail client makes of `demo`: it must not end in a login over TCP.
  await put(join('config', 'defaults.env'), 'UNMANAGED=deny\n');
  return { file: await put(join('config', 'hosts', `${DEMO_ALIAS}.env`), `${lines.join('\n')}\n`), lines };
}
