/** Who runs this process, by the password database. */
import { readFileSync } from 'node:fs';
import { loadBuiltin } from './load-builtin.ts';

export interface Account {
  readonly uid: number;
  /** The login name, as c-client's myusername gives it. */
  readonly name: string;
  readonly home: string;
}

/**
 * Reads passwd(5) itself: `os.userInfo` on Bun believes USER and HOME instead. An account that is not in the file
 * (LDAP) is asked for through it all the same, where Node asks the system; on Bun it is then what `env` says, which need
 * not be the environment of this process.
 */
export function readAccount(
  env: Readonly<Record<string, string | undefined>> = {},
  passwdFile = '/etc/passwd',
): Account {
  const uid = process.getuid?.();
  try {
    const wanted = String(uid);
    for (const line of readFileSync(passwdFile, 'utf8').split('\n')) {
      const fields = line.split(':');
      const [name, home] = [fields[0], fields[5]];
      if (fields[2] === wanted && name !== undefined && home !== undefined) {
        return { uid: Number(uid), name, home };
      }
    }
  } catch {
    // No such file: another system's database.
  }
  const { userInfo } = loadBuiltin('node:os') as typeof import('node:os');
  const info = userInfo();
  const onBun = process.versions['bun'] !== undefined;
  const { USER = info.username, HOME = info.homedir } = onBun ? env : {};
  return { uid: info.uid, name: USER, home: HOME };
}
