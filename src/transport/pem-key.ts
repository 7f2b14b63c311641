/**
 * Private keys in the formats of OpenSSL: PKCS #8 (RFC 5958), and the older PKCS #1 and SEC 1, with and without a
 * passphrase. ssh2 reads the older ones only, so that all are brought into a form that it knows.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { errnoOf } from '../errors.ts';
import { encodeOpensshKey } from './openssh-key.ts';
import { encodeStrings } from './ssh-wire.ts';

/** `locked`: it needs a passphrase. `pkcs8`: ssh2 does not know the format. */
export interface PemKind {
  readonly pkcs8: boolean;
  readonly locked: boolean;
}

/** Undefined if the text is no such key. */
export function readPemKind(text: string): PemKind | undefined {
  const label = /-----BEGIN (|ENCRYPTED |RSA |EC |DSA )PRIVATE KEY-----/.exec(text)?.[1];
  if (label === undefined) return undefined;
  const pkcs8 = label === '' || label === 'ENCRYPTED ';
  return { pkcs8, locked: pkcs8 ? label !== '' : /^Proc-Type: *4, *ENCRYPTED/m.test(text) };
}

/** A key in a form that ssh2 reads; or that the passphrase is wrong; or why it cannot be used. */
export type OpenedPem =
  | { readonly kind: 'key'; readonly text: string }
  | { readonly kind: 'wrong-passphrase' }
  | { readonly kind: 'unusable'; readonly why: string };

/** Never throws. `passphrase` is for a locked key. */
export function openPemKey(text: string, passphrase: Buffer | undefined): OpenedPem {
  let key: KeyObject;
  try {
    const format = { key: text, format: 'pem' } as const;
    key = createPrivateKey(passphrase === undefined ? format : { ...format, passphrase });
  } catch (error) {
    const why = errnoOf(error) ?? 'not readable';
    // A wrong passphrase has many faces: bad padding, or padding that is right by chance around bytes that are not.
    const garbage = String(error).includes('DECODER routines::unsupported');
    if (passphrase === undefined || (!garbage && /UNSUPPORTED|UNKNOWN/.test(why)))
      return { kind: 'unusable', why };
    return { kind: 'wrong-passphrase' };
  }
  const written = writeForSsh2(key);
  return written === undefined
    ? { kind: 'unusable', why: `its type is ${key.asymmetricKeyType}` }
    : { kind: 'key', text: written };
}

function writeForSsh2(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType === 'rsa') return String(key.export({ type: 'pkcs1', format: 'pem' }));
  if (key.asymmetricKeyType === 'ec') return String(key.export({ type: 'sec1', format: 'pem' }));
  if (key.asymmetricKeyType !== 'ed25519') return undefined;
  // RFC 8037 section 2: both halves.
  const { x, d } = key.export({ format: 'jwk' }) as { readonly x: string; readonly d: string };
  const publicKey = Buffer.from(x, 'base64url');
  const pair = Buffer.concat([Buffer.from(d, 'base64url'), publicKey]);
  const type = 'ssh-ed25519';
  return encodeOpensshKey(encodeStrings(type, publicKey), encodeStrings(type, publicKey, pair, ''));
}
