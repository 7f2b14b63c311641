/** sshd_config for a server that belongs to one test. */
import { spawnSync } from 'node:child_process';
import { HOST_KEY_TYPES, type HostKeyType } from './host-keys.ts';

export interface SshdConfigFacts {
  readonly port: number;
  readonly hostKeyFiles: Readonly<Record<HostKeyType, string>>;
  readonly authorizedKeysFile: string;
  readonly env: Readonly<Record<string, string>>;
  readonly more: readonly string[];
}

/** sshd takes the first value of a keyword, and everything after a `Match` belongs to it (sshd_config(5)). */
export function formatSshdConfig({
  port,
  hostKeyFiles,
  authorizedKeysFile,
  env,
  more,
}: SshdConfigFacts): string {
  const match = more.findIndex((line) => /^\s*match\s/i.test(line));
  const [wins, last] = match === -1 ? [more, []] : [more.slice(0, match), more.slice(match)];
  const lines = [
    ...wins,
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    'PidFile none',
    ...HOST_KEY_TYPES.map((type) => `HostKey ${hostKeyFiles[type]}`),
    `AuthorizedKeysFile ${authorizedKeysFile}`,
    'AuthenticationMethods publickey',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    // The folders above are in /tmp, which everybody can write to.
    'StrictModes no',
    'UsePAM no',
    'PermitUserRC no',
    'PrintMotd no',
    'LogLevel VERBOSE',
    // Random early drop of connections would make a busy test run fail at random.
    'MaxStartups 200',
    ...(hasPenalties() ? ['PerSourcePenalties no'] : []),
    'Subsystem sftp internal-sftp',
    `SetEnv ${Object.entries(env)
      .map(([name, value]) => `"${name}=${value}"`)
      .join(' ')}`,
    ...last,
  ];
  return `${lines.join('\n')}\n`;
}

/** OpenSSH 9.8 began to shut out addresses whose logins fail; older versions do not know the keyword. */
function hasPenalties(): boolean {
  const version = /OpenSSH_(\d+)\.(\d+)/.exec(spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr);
  return version !== null && Number(version[1]) * 100 + Number(version[2]) >= 908;
}
