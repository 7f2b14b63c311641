/**
 * The other programs that can start the same imapd on the same host, each with a key, host key check and nothing of
 * anybody's configuration: OpenSSH's ssh, with and without a running master, dropbear's dbclient, PuTTY's plink.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, programPath } from '../test/helpers/requirements.ts';
import { defer } from '../test/helpers/scope.ts';
import { openTempHome } from '../test/helpers/temp-home.ts';
import { waitUntil } from '../test/helpers/wait.ts';
import type { Command } from './mail-session.ts';
import { portOf, type Stage } from './stage.ts';

export interface Peer {
  readonly who: string;
  /** Runs a command line there. */
  readonly command: (remote: string) => Command;
}

export const SSH = 'ssh';
export const MASTER = 'ssh ControlMaster';

/** A login for each command. */
export function openSsh(stage: Stage, roundTrip: number, knownHosts = stage.knownHosts): Peer {
  const home = openTempHome(stage.scope);
  const words = sshWords(stage, roundTrip, home.writeFile('known_hosts', knownHosts));
  return {
    who: SSH,
    command: (remote) => ({
      file: programPath('ssh'),
      words: [...words, '127.0.0.1', remote],
      env: home.env,
    }),
  };
}

/** A master that runs until the bench is over, and its clients. */
export async function openMaster(stage: Stage, roundTrip: number): Promise<Peer & { readonly pid: number }> {
  const home = openTempHome(stage.scope);
  const socket = join(home.dir, 'master');
  const words = [
    ...sshWords(stage, roundTrip, home.writeFile('known_hosts', stage.knownHosts)),
    '-S',
    socket,
  ];
  const ssh = programPath('ssh');
  const master = spawn(ssh, [...words, '-M', '-N', '127.0.0.1'], { env: home.env, stdio: 'ignore' });
  defer(stage.scope, () => master.kill());
  await waitUntil('a master', () => existsSync(socket));
  return {
    who: MASTER,
    pid: master.pid ?? 0,
    command: (remote) => ({ file: ssh, words: [...words, '127.0.0.1', remote], env: home.env }),
  };
}

function sshWords({ host, ...stage }: Stage, roundTrip: number, knownHosts: string): string[] {
  const options = [
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'GlobalKnownHostsFile=/dev/null',
    `UserKnownHostsFile=${knownHosts}`,
    `IdentityFile=${host.identityFile}`,
  ];
  const port = portOf({ host, ...stage }, roundTrip);
  return ['-F', 'none', ...options.flatMap((each) => ['-o', each]), '-p', String(port), '-l', host.user];
}

/** Those of dbclient and plink that are installed with the program that converts a key for them. */
export function openOtherPeers(stage: Stage, roundTrip: number): Peer[] {
  return [openDbclient(stage, roundTrip), openPlink(stage, roundTrip)].flatMap((peer) => peer ?? []);
}

function openDbclient(stage: Stage, roundTrip: number): Peer | undefined {
  const file = findProgram('dbclient');
  const convert = findProgram('dropbearconvert');
  if (file === undefined || convert === undefined) return undefined;
  const home = openTempHome(stage.scope);
  const key = join(home.dir, 'id');
  run(convert, ['openssh', 'dropbear', stage.host.identityFile, key]);
  const port = String(portOf(stage, roundTrip));
  // -y: the first, uncounted session notes the host key, the others check it.
  const words = ['-y', '-q', '-T', '-i', key, '-p', port, '-l', stage.host.user, '127.0.0.1'];
  return { who: 'dbclient', command: (remote) => ({ file, words: [...words, remote], env: home.env }) };
}

function openPlink(stage: Stage, roundTrip: number): Peer | undefined {
  const file = findProgram('plink');
  const convert = findProgram('puttygen');
  if (file === undefined || convert === undefined) return undefined;
  const home = openTempHome(stage.scope);
  const key = join(home.dir, 'id.ppk');
  run(convert, [stage.host.identityFile, '-O', 'private', '-o', key]);
  const port = String(portOf(stage, roundTrip));
  const pins = Object.values(stage.host.hostKeys).flatMap((line) => ['-hostkey', fingerprint(line)]);
  const words = ['-batch', '-ssh', '-noagent', '-T', ...pins, '-i', key, '-P', port, '-l', stage.host.user];
  return {
    who: 'plink',
    command: (remote) => ({ file, words: [...words, '127.0.0.1', remote], env: home.env }),
  };
}

function fingerprint(hostKey: string): string {
  const blob = Buffer.from(hostKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

function run(program: string, words: readonly string[]): void {
  const done = spawnSync(program, words, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${program}: ${done.stderr}`);
}
