/**
 * The file format of OpenSSH's private keys (OpenSSH PROTOCOL.key): read, unlock, write. ssh2 reads it too, but
 * unlocks it in one go, for a quarter of a second in which a broker would serve nobody; and of a locked key it does
 * not tell the public half, which lies open.
 */
import { createDecipheriv, createHash, type DecipherGCM } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import bcrypt from 'bcrypt-pbkdf';
import { encodeStrings, encodeUint32, WireReader } from './ssh-wire.ts';

const MAGIC = 'openssh-key-v1\0';
const LABEL = 'OPENSSH PRIVATE KEY';
/** Shorter lines than PEM's 64, as ssh-keygen writes them. */
const LINE = /.{1,70}/g;

/** A file's content; `secret` is encrypted unless `cipher` is `none`. */
export interface OpensshKey {
  readonly cipher: string;
  readonly kdf: string;
  readonly kdfOptions: Buffer;
  /** The public key in wire format. */
  readonly publicBlob: Buffer;
  readonly secret: Buffer;
  /** What follows: the tag of a cipher that authenticates. */
  readonly tag: Buffer;
}

/** Undefined if the text is something else, or damaged. */
export function parseOpensshKey(text: string): OpensshKey | undefined {
  const body = new RegExp(`-----BEGIN ${LABEL}-----([A-Za-z0-9+/=\\s]+)-----END`).exec(text)?.[1];
  if (body === undefined) return undefined;
  const bytes = Buffer.from(body, 'base64');
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
  try {
    const reader = new WireReader(bytes, MAGIC.length);
    const cipher = reader.text();
    const kdf = reader.text();
    const kdfOptions = reader.string();
    // The format allows more than one key, ssh-keygen has never written more.
    if (reader.uint32() !== 1) return undefined;
    return {
      cipher,
      kdf,
      kdfOptions,
      publicBlob: reader.string(),
      secret: reader.string(),
      tag: reader.rest(),
    };
  } catch {
    return undefined;
  }
}

interface Cipher {
  readonly name: string;
  readonly key: number;
  readonly iv: number;
}

/** The ciphers that ssh-keygen -Z offers, but for chacha20-poly1305; sizes in bytes. */
const CIPHERS: Readonly<Record<string, Cipher>> = {
  'aes128-ctr': { name: 'aes-128-ctr', key: 16, iv: 16 },
  'aes192-ctr': { name: 'aes-192-ctr', key: 24, iv: 16 },
  'aes256-ctr': { name: 'aes-256-ctr', key: 32, iv: 16 },
  'aes128-cbc': { name: 'aes-128-cbc', key: 16, iv: 16 },
  'aes192-cbc': { name: 'aes-192-cbc', key: 24, iv: 16 },
  'aes256-cbc': { name: 'aes-256-cbc', key: 32, iv: 16 },
  'aes128-gcm@openssh.com': { name: 'aes-128-gcm', key: 16, iv: 12 },
  'aes256-gcm@openssh.com': { name: 'aes-256-gcm', key: 32, iv: 12 },
};

/** Whether `unlockOpensshKey` knows how; why not otherwise. */
export function whyNotUnlockable({ cipher, kdf }: OpensshKey): string | undefined {
  if (kdf !== 'bcrypt') return `unknown key derivation ${kdf}`;
  return Object.hasOwn(CIPHERS, cipher) ? undefined : `unknown cipher ${cipher}`;
}

/**
 * Takes the passphrase off: the same key as the text of an unlocked file; undefined if the passphrase is wrong. Lets
 * others run every few milliseconds.
 *
 * @throws {TypeError} where `whyNotUnlockable` has a reason
 */
export async function unlockOpensshKey(key: OpensshKey, passphrase: Buffer): Promise<string | undefined> {
  const reason = whyNotUnlockable(key);
  if (reason !== undefined) throw new TypeError(reason);
  const cipher = CIPHERS[key.cipher] as Cipher;
  const options = new WireReader(key.kdfOptions);
  const salt = options.string();
  const derived = await deriveKey(passphrase, salt, options.uint32(), cipher.key + cipher.iv);
  if (derived === undefined) return undefined;
  const decipher = createDecipheriv(
    cipher.name,
    derived.subarray(0, cipher.key),
    derived.subarray(cipher.key),
  );
  decipher.setAutoPadding(false);
  if (cipher.name.endsWith('gcm')) (decipher as DecipherGCM).setAuthTag(key.tag);
  let secret: Buffer;
  try {
    secret = Buffer.concat([decipher.update(key.secret), decipher.final()]);
  } catch {
    return undefined;
  }
  // Two equal numbers stand first, for exactly this question.
  if (secret.length < 8 || secret.readUInt32BE(0) !== secret.readUInt32BE(4)) return undefined;
  return encodeContainer(key.publicBlob, secret);
}

/** The text of an unlocked file; `fields` is the private part as PROTOCOL.key has it, from the type to the comment. */
export function encodeOpensshKey(publicBlob: Buffer, fields: Buffer): string {
  // Checked by the reader of an encrypted file; any two equal numbers do.
  const secret = [encodeUint32(0), encodeUint32(0), fields];
  const unpadded = fields.length + 8;
  const missing = (8 - (unpadded % 8)) % 8;
  const padding = Buffer.from(Array.from({ length: missing }, (_, index) => index + 1));
  return encodeContainer(publicBlob, Buffer.concat([...secret, padding]));
}

function encodeContainer(publicBlob: Buffer, secret: Buffer): string {
  const bytes = Buffer.concat([
    Buffer.from(MAGIC, 'latin1'),
    encodeStrings('none', 'none', ''),
    encodeUint32(1),
    encodeStrings(publicBlob, secret),
  ]);
  const lines = bytes.toString('base64').match(LINE) as string[];
  return `-----BEGIN ${LABEL}-----\n${lines.join('\n')}\n-----END ${LABEL}-----\n`;
}

/**
 * bcrypt_pbkdf(3) of OpenBSD, with a pause after each of its hashes (some 8 ms each). Undefined for an empty
 * passphrase, which it does not allow.
 */
async function deriveKey(
  passphrase: Buffer,
  salt: Buffer,
  rounds: number,
  length: number,
): Promise<Buffer | undefined> {
  if (passphrase.length === 0 || salt.length === 0 || rounds === 0) return undefined;
  const sha512 = (bytes: Uint8Array): Buffer => createHash('sha512').update(bytes).digest();
  const secret = sha512(passphrase);
  const blocks = Math.ceil(length / bcrypt.HASHSIZE);
  const derived = Buffer.alloc(length);
  for (let block = 0; block < blocks; block += 1) {
    const sum = Buffer.alloc(bcrypt.HASHSIZE);
    let hash = Buffer.concat([salt, encodeUint32(block + 1)]);
    for (let round = 0; round < rounds; round += 1) {
      const next = Buffer.alloc(bcrypt.HASHSIZE);
      bcrypt.hash(secret, sha512(hash), next);
      for (let i = 0; i < sum.length; i += 1) sum[i] = (sum[i] as number) ^ (next[i] as number);
      hash = next;
      await nextTurn();
    }
    // The bytes of all blocks are interleaved.
    for (let i = 0; i * blocks + block < length; i += 1) derived[i * blocks + block] = sum[i] as number;
  }
  return derived;
}
