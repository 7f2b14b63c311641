/** A mail host whose user has a password and no key yet: what `setup` finds. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type MailHost, openMailHost } from './mail-host.ts';
import type { Scope } from './scope.ts';

export interface PasswordHost extends MailHost {
  readonly password: string;
  /** `USER@HOST:PORT` */
  readonly place: string;
  /** Of its ed25519 key: `SHA256:...` */
  readonly fingerprint: string;
  /** The lines of ~/.ssh/authorized_keys there. */
  authorizedKeys(): string[];
}

/**
 * @param password of the account, which all hosts share (`setLoginPassword`)
 * @param config for sshd; without it a password alone lets in
 */
export async function openPasswordHost(
  scope: Scope,
  password: string,
  config: readonly string[] = [],
): Promise<PasswordHost> {
  const methods = config.some((line) => line.startsWith('AuthenticationMethods'))
    ? []
    : ['AuthenticationMethods any'];
  const lines = [...config, ...methods, 'PasswordAuthentication yes'];
  const host = await openMailHost(scope, { config: lines });
  // Dovecot's imap finds its mailbox without -c then, as on a host that somebody runs.
  const env = [`HOME=${host.home}`, 'LANG=C.UTF-8', `CONFIG_FILE=${join(host.home, 'dovecot.conf')}`];
  lines.unshift(`SetEnv ${env.map((each) => `"${each}"`).join(' ')}`);
  await host.restart();
  // sshd goes by the account's home, the sessions by theirs.
  const file = join(host.home, '.ssh', 'authorized_keys');
  rmSync(host.authorizedKeysFile);
  symlinkSync(file, host.authorizedKeysFile);
  const shown = spawnSync('ssh-keygen', ['-lf', join(host.dir, 'host_ed25519.pub')], { encoding: 'utf8' });
  return {
    ...host,
    password,
    place: `${host.user}@${host.host}:${host.port}`,
    fingerprint: shown.stdout.split(' ')[1] ?? '',
    authorizedKeys: () =>
      existsSync(file)
        ? readFileSync(file, 'utf8')
            .split('\n')
            .filter((line) => line !== '')
        : [],
  };
}
