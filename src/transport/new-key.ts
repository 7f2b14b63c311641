/** New SSH keys, made in this process: no ssh-keygen need be there. */
import ssh2 from 'ssh2';

/** An ed25519 key: the private half as an OpenSSH key file, the public half as it stands in authorized_keys. */
export interface KeyPair {
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA... COMMENT` */
  readonly publicKey: string;
  /** The public half as SSH sends it (RFC 4253 section 6.6). */
  readonly blob: Buffer;
}

/**
 * Makes a key. ssh2 1.17 drops leading zero bytes of the public half, which spoils one key in 256; such a key cannot
 * even be parsed, so the next one is taken.
 */
export function makeKeyPair(comment: string): KeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    const parsed = ssh2.utils.parseKey(pair.private);
    if (parsed instanceof Error) continue;
    return { privateKey: pair.private, publicKey: pair.public, blob: parsed.getPublicSSH() };
  }
}
