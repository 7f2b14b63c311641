/**
 * A password for the account that tests log in with, as long as a test runs. Only root can give one. Test files that
 * run side by side have the account in common, and so its password: the first one sets it, the last one takes it away.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoginUser } from './login-user.ts';
import { isRunning } from './processes.ts';
import { programPath } from './requirements.ts';
import { defer, type Scope } from './scope.ts';
import { waitUntil } from './wait.ts';

/** For `{ skip }` of node:test. */
export const NO_PASSWORDS: string | false =
  process.getuid?.() !== 0 && 'only root can give an account a password';

/** Root's own: who may look there knows the password. Holds a file for each test that needs it, named by its process. */
const SHARED = '/run/pine-rsh-test-password';
const SECRET = join(SHARED, 'secret');
const LOCK = `${SHARED}.lock`;

interface Secret {
  readonly password: string;
  /** What /etc/shadow had before. */
  readonly before: string;
}

let count = 0;

/** Gives the account a password that nobody else knows; what it had before comes back when no test needs it any more. */
export async function setLoginPassword(scope: Scope, user: LoginUser): Promise<string> {
  const holder = join(SHARED, `${process.pid}.${++count}`);
  const password = await withLock(async () => {
    mkdirSync(SHARED, { recursive: true, mode: 0o700 });
    const holders = listHolders();
    writeFileSync(holder, '');
    const known = readSecret();
    if (known !== undefined && holders.length > 0) return known.password;
    const secret = {
      password: randomBytes(9).toString('base64'),
      before: known?.before ?? readHash(user.name),
    };
    writeFileSync(SECRET, JSON.stringify(secret), { mode: 0o600 });
    await setHash(user.name, hashPassword(secret.password));
    return secret.password;
  });
  defer(scope, () =>
    withLock(async () => {
      rmSync(holder, { force: true });
      const known = readSecret();
      if (listHolders().length > 0 || known === undefined) return;
      await setHash(user.name, known.before);
      rmSync(SHARED, { recursive: true });
    }),
  );
  return password;
}

/** Tests that need the password; what a killed one left behind is removed. */
function listHolders(): string[] {
  return readdirSync(SHARED).filter((name) => {
    const pid = Number(/^(\d+)\.\d+$/.exec(name)?.[1]);
    if (!(pid > 0)) return false;
    if (isRunning(pid)) return true;
    rmSync(join(SHARED, name), { force: true });
    return false;
  });
}

function readSecret(): Secret | undefined {
  try {
    return JSON.parse(readFileSync(SECRET, 'utf8')) as Secret;
  } catch {
    return undefined;
  }
}

async function withLock<T>(work: () => Promise<T>): Promise<T> {
  await waitUntil('the lock on the password', () => {
    try {
      mkdirSync(LOCK);
      writeFileSync(join(LOCK, 'pid'), String(process.pid));
      return true;
    } catch {
      breakLock();
      return false;
    }
  });
  try {
    return await work();
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

/** A killed test cannot give it back. */
function breakLock(): void {
  try {
    const pid = Number(readFileSync(join(LOCK, 'pid'), 'utf8'));
    if (!(pid > 0) || isRunning(pid)) return;
    rmSync(join(LOCK, 'pid'));
    rmdirSync(LOCK);
  } catch {
    // Somebody else was faster, or has it.
  }
}

function hashPassword(password: string): string {
  const made = spawnSync(programPath('openssl'), ['passwd', '-6', '-stdin'], {
    input: password,
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`openssl passwd: ${made.stderr}`);
  return made.stdout.trim();
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
