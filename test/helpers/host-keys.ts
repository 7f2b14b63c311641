/** SSH keys, made for each test run by ssh-keygen; none is committed. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type HostKeyType = 'ed25519' | 'ecdsa' | 'rsa';

/** In the order of sshd_config. */
export const HOST_KEY_TYPES: readonly HostKeyType[] = ['ed25519', 'ecdsa', 'rsa'];

/** Makes a key pair without passphrase. */
export function makeKey(type: HostKeyType, file: string, words: readonly string[] = []): void {
  const bits = type === 'rsa' ? ['-b', '2048'] : [];
  const made = spawnSync(
    'ssh-keygen',
    ['-q', '-t', type, ...bits, '-N', '', '-C', 'test', '-f', file, ...words],
    {
      encoding: 'utf8',
    },
  );
  if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr}`);
}

const hostKeyCache = new Map<HostKeyType, { readonly secret: Buffer; readonly open: Buffer }>();

/** Host keys are made once for all servers of a test file: the RSA one takes a while. */
export function writeHostKeys(dir: string): Record<HostKeyType, string> {
  const files = { ed25519: '', ecdsa: '', rsa: '' };
  for (const type of HOST_KEY_TYPES) {
    const file = join(dir, `host_${type}`);
    const known = hostKeyCache.get(type);
    if (known === undefined) {
      makeKey(type, file);
      hostKeyCache.set(type, { secret: readFileSync(file), open: readFileSync(`${file}.pub`) });
    } else {
      writeFileSync(file, known.secret, { mode: 0o600 });
      writeFileSync(`${file}.pub`, known.open);
    }
    files[type] = file;
  }
  return files;
}

/** Public keys as `type base64`. */
export function readHostKeys(files: Readonly<Record<HostKeyType, string>>): Record<HostKeyType, string> {
  const read = (type: HostKeyType) =>
    readFileSync(`${files[type]}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  return { ed25519: read('ed25519'), ecdsa: read('ecdsa'), rsa: read('rsa') };
}
