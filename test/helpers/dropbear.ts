/**
 * The other SSH server: dropbear on a loopback port. It knows authorized keys only in the home of the login user, so
 * that it runs where another folder stands in root's home: in a mount namespace of its own, which takes root.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { findFreePort } from './free-port.ts';
import { authorizedKeys } from './key-files.ts';
import { descendantsOf, signalProcess } from './processes.ts';
import { programPath, requirePrograms } from './requirements.ts';
import { defer, type Scope } from './scope.ts';
import { makeTempDir } from './temp-dir.ts';
import type { AliasKeys } from './temp-home.ts';
import { waitUntil } from './wait.ts';

/** For `{ skip }` of node:test. */
export function requireDropbear(): string | false {
  const missing = requirePrograms('dropbear', 'dropbearkey', 'unshare');
  if (missing !== false) return missing;
  if (spawnSync(programPath('unshare'), ['-m', 'true']).status === 0) return false;
  return 'dropbear needs root here';
}

export interface Dropbear {
  /** What an alias file needs. */
  readonly aliasKeys: AliasKeys;
  /** What is root's home there. */
  readonly home: string;
}

/** `openDropbearHost` where nobody looks into its home. */
export async function openDropbear(...words: Parameters<typeof openDropbearHost>): Promise<AliasKeys> {
  return (await openDropbearHost(...words)).aliasKeys;
}

/** Starts a server that lets root in with these keys (paths of private halves). */
export async function openDropbearHost(
  scope: Scope,
  keys: readonly string[],
  words: readonly string[] = [],
): Promise<Dropbear> {
  const dir = makeTempDir(scope, 'dropbear');
  const home = join(dir, 'home');
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, '.ssh', 'authorized_keys'), authorizedKeys(...keys), { mode: 0o600 });
  const hostKey = join(dir, 'host');
  const made = spawnSync(programPath('dropbearkey'), ['-t', 'ed25519', '-f', hostKey], { encoding: 'utf8' });
  const publicKey = /^ssh-ed25519 \S+/m.exec(made.stdout)?.[0] ?? '';
  const port = await findFreePort();
  const knownHosts = join(dir, 'known_hosts');
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${publicKey}\n`);

  const server = [
    programPath('dropbear'),
    '-F',
    '-E',
    '-r',
    hostKey,
    '-p',
    `127.0.0.1:${port}`,
    '-P',
    '',
    ...words,
  ];
  const script = 'mount --bind "$0" /root && exec "$@"';
  const child = spawn(programPath('unshare'), ['-m', 'sh', '-c', script, home, ...server], {
    stdio: 'ignore',
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('dropbear does not start');
  defer(scope, () => {
    for (const each of [...descendantsOf(pid), pid]) signalProcess(each, 'SIGKILL');
  });
  await waitUntil('dropbear listens', () => listens(port));
  const aliasKeys = { HOSTNAME: '127.0.0.1', PORT: port, USER: 'root', KNOWN_HOSTS: knownHosts };
  return { aliasKeys, home };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
