/** The key that is to open the mailbox: a new one that can do nothing else, or one that is there. */
import { join } from 'node:path';
import { Failure } from '../../errors.ts';
import type { Settings } from '../../settings.ts';
import { defaultIdentityFiles } from '../../transport/identity.ts';
import { readKeyFile } from '../../transport/key-file.ts';
import { makeKeyPair } from '../../transport/new-key.ts';
import { keyTypeOf } from '../../transport/ssh-wire.ts';

/** A key to be installed on a host. */
export interface PlannedKey {
  /** Absolute path of the private half. */
  readonly file: string;
  /** Its text where it is new, and not written yet. */
  readonly privateKey: string | undefined;
  /** `ssh-ed25519 AAAA... COMMENT` */
  readonly publicKey: string;
}

/** Where the key for an alias is kept. */
export function newKeyFile(settings: Settings, name: string): string {
  return join(settings.home, '.ssh', `pine-rsh-${name}`);
}

/** Makes an ed25519 key in memory. No passphrase: what it opens is a mailbox, to a program that cannot ask for one. */
export function planNewKey(settings: Settings, name: string): PlannedKey {
  const { privateKey, publicKey } = makeKeyPair(`pine-rsh ${name}`);
  return { file: newKeyFile(settings, name), privateKey, publicKey: publicKey.trim() };
}

/** A key file that is there. @throws {Failure} as `readKeyFile` does */
export function planKeyFile(settings: Settings, file: string, name: string): PlannedKey {
  const key = readKeyFile(file, settings.uid);
  if (key.kind === 'public') throw key.failure;
  const blob = key.kind === 'open' ? key.key.getPublicSSH() : key.publicBlob;
  if (blob === undefined) {
    throw new Failure('identity-unsupported', { file, why: `its public half is not in ${file}.pub` });
  }
  return {
    file,
    privateKey: undefined,
    publicKey: `${keyTypeOf(blob)} ${blob.toString('base64')} pine-rsh ${name}`,
  };
}

/** Keys under OpenSSH's default names that can be read. */
export function listKeyFiles(settings: Settings): string[] {
  return defaultIdentityFiles(settings.home).filter((file) => {
    try {
      return readKeyFile(file, settings.uid).kind !== 'public';
    } catch {
      return false;
    }
  });
}
