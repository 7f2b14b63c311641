/** Private keys as people have them: every type, every format, with and without a passphrase. Made by ssh-keygen and openssl. */
import { spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeFields } from '../transport/host-key-material.ts';
import { programPath } from './requirements.ts';

export const KEY_TYPES = ['ed25519', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521', 'rsa-2048'] as const;
export type TestKeyType = (typeof KEY_TYPES)[number];

/** `openssh`: ssh-keygen's own; `pem`: PKCS #1 and SEC 1, what `ssh-keygen -m PEM` writes; `pkcs8`: RFC 5958. */
export type TestKeyFormat = 'openssh' | 'pem' | 'pkcs8';

export interface TestKeySpec {
  readonly type: TestKeyType;
  readonly format?: TestKeyFormat;
  readonly passphrase?: string;
  /** ssh-keygen -Z, for an encrypted OpenSSH key. */
  readonly cipher?: string;
}

/** Makes a key of its own and gives the path of the private half; `.pub` stands beside it. */
export function makeKeyFile(dir: string, name: string, spec: TestKeySpec): string {
  const { type, format = 'openssh', passphrase = '', cipher } = spec;
  const file = join(dir, name);
  const [kind = '', bits] = type.split('-');
  const words = ['-q', '-t', kind, '-C', name, '-f', file];
  if (bits !== undefined) words.push('-b', bits);
  if (format === 'openssh' && cipher !== undefined) words.push('-Z', cipher);
  if (format === 'openssh') {
    run('ssh-keygen', [...words, '-N', passphrase]);
  } else if (type === 'ed25519') {
    // ssh-keygen writes it in no other format than its own.
    run('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', file]);
    if (passphrase !== '') encryptPkcs8(file, passphrase);
    writePublic(file, passphrase);
  } else {
    run('ssh-keygen', [...words, '-m', format === 'pem' ? 'PEM' : 'PKCS8', '-N', passphrase]);
  }
  chmodSync(file, 0o600);
  return file;
}

/** Several public keys as lines of authorized_keys. */
export function authorizedKeys(...files: readonly string[]): string {
  return files.map((file) => readFileSync(`${file}.pub`, 'utf8')).join('');
}

/** `SHA256:...` of a key. */
export function fingerprintOf(file: string): string {
  const words = run('ssh-keygen', ['-l', '-f', `${file}.pub`]).split(' ');
  return words[1] ?? '';
}

function encryptPkcs8(file: string, passphrase: string): void {
  const plain = `${file}.plain`;
  copyFileSync(file, plain);
  run('openssl', ['pkcs8', '-topk8', '-in', plain, '-out', file, '-passout', `pass:${passphrase}`]);
}

/** ssh-keygen cannot read an Ed25519 key in this format. */
function writePublic(file: string, passphrase: string): void {
  const key = createPrivateKey({ key: readFileSync(file), passphrase }).export({ format: 'jwk' });
  const blob = encodeFields('ssh-ed25519', Buffer.from(key.x ?? '', 'base64url'));
  writeFileSync(`${file}.pub`, `ssh-ed25519 ${blob.toString('base64')} pkcs8\n`);
}

function run(program: string, words: readonly string[]): string {
  const done = spawnSync(programPath(program), words, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${program}: ${done.stderr}`);
  return done.stdout;
}
