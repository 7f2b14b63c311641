/** Who runs this process, by the password database. */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

export interface Account {
  readonly uid: number;
  /** The login name, as c-client's myusername gives it. */
  readonly name: string;
  readonly home: string;
}

/**
 * Reads passwd(5) itself: `os.userInfo` on Bun believes USER and HOME instead. An account that is not in the file
 * (LDAP) is asked for through it all the same, where Node asks the system.
 */
export function readAccount(passwdFile = '/etc/passwd'): Account {
  const info = userInfo();
  try {
    for (const line of readFileSync(passwdFile, 'utf8').split('\n')) {
      const [name, , uid, , , home] = line.split(':');
      if (uid === String(info.uid) && name !== undefined && home !== undefined) {
        return { uid: info.uid, name, home };
      }
    }
  } catch {
    // No such file: another system's database.
  }
  return { uid: info.uid, name: info.username, home: info.homedir };
}
