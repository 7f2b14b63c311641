/** A password for the account that tests log in with, as long as a test runs. Only root can give one. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { LoginUser } from './login-user.ts';
import { programPath } from './requirements.ts';
import { defer, type Scope } from './scope.ts';
import { waitUntil } from './wait.ts';

/** For `{ skip }` of node:test. */
export const NO_PASSWORDS: string | false =
  process.getuid?.() !== 0 && 'only root can give an account a password';

/** Gives the account a password that nobody else knows; what it had before comes back with the test's end. */
export async function setLoginPassword(scope: Scope, user: LoginUser): Promise<string> {
  const password = randomBytes(9).toString('base64');
  const made = spawnSync(programPath('openssl'), ['passwd', '-6', '-stdin'], {
    input: password,
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`openssl passwd: ${made.stderr}`);
  const before = readHash(user.name);
  await setHash(user.name, made.stdout.trim());
  defer(scope, () => setHash(user.name, before));
  return password;
}

function readHash(name: string): string {
  const line = readFileSync('/etc/shadow', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}:`));
  if (line === undefined) throw new Error(`no ${name} in /etc/shadow`);
  return line.split(':')[1] ?? '*';
}

/** Somebody else may hold the lock on /etc/passwd for a moment. */
async function setHash(name: string, hash: string): Promise<void> {
  let said = '';
  await waitUntil(
    `a password for ${name}`,
    () => {
      const done = spawnSync(programPath('usermod'), ['-p', hash, name], { encoding: 'utf8' });
      said = done.stderr;
      return done.status === 0;
    },
    { detail: () => said },
  );
}
