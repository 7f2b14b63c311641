/**
 * The user whose mailbox the tests read. An ordinary user logs in as himself; root makes an unprivileged account
 * once, because Dovecot's imap refuses to run as uid 0.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, lstatSync, readdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { programPath } from './requirements.ts';
import { waitUntil } from './wait.ts';

const ACCOUNT = 'pinemail';

export interface LoginUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The account to log in with. Test files that run side by side share it. */
export async function findLoginUser(): Promise<LoginUser> {
  const self = userInfo();
  if (self.uid !== 0) return { name: self.username, uid: self.uid, gid: self.gid };
  return await waitUntil(`the account ${ACCOUNT}`, () => readAccount() ?? makeAccount(), {
    detail: () => 'useradd failed',
  });
}

/** Gives a file tree to the login user; only root can and needs to. */
export function giveTo(user: LoginUser, path: string): void {
  if (process.getuid?.() !== 0) return;
  chownSync(path, user.uid, user.gid);
  if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) giveTo(user, join(path, name));
}

function readAccount(): LoginUser | undefined {
  const line = spawnSync('getent', ['passwd', ACCOUNT], { encoding: 'utf8' }).stdout;
  const [name, , uid, gid] = line.split(':');
  return name === ACCOUNT ? { name, uid: Number(uid), gid: Number(gid) } : undefined;
}

/** `*`: no password fits, yet the account is not locked (`!` makes sshd without PAM refuse even keys). */
function makeAccount(): LoginUser | undefined {
  const words = [
    '--system',
    '--no-create-home',
    '--home-dir',
    '/',
    '--shell',
    '/bin/sh',
    '--password',
    '*',
    ACCOUNT,
  ];
  // Two at a time: the other one holds the lock on /etc/passwd, and the next probe finds its account.
  spawnSync(programPath('useradd'), words);
  return readAccount();
}
