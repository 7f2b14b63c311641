/** A file that IDENTITY_FILE names: whose key it holds, and whether it can be used as it is. */
import ssh2 from 'ssh2';
import { findTrustedFile, readPrivateFile } from '../alias/trusted-file.ts';
import { errnoOf, Failure } from '../errors.ts';
import { IDENTITY_FILE_MAX } from '../limits.ts';
import { parseOpensshKey, unlockOpensshKey, whyNotUnlockable } from './openssh-key.ts';
import { openPemKey, readPemKind } from './pem-key.ts';
import { keyTypeOf } from './ssh-wire.ts';

const { utils } = ssh2;

export type KeyFile =
  /** Ready to sign. */
  | { readonly kind: 'open'; readonly file: string; readonly key: ssh2.ParsedKey }
  | LockedKeyFile
  /** Only an agent can sign with it; `failure` is what is wrong if none does. */
  | {
      readonly kind: 'public';
      readonly file: string;
      readonly publicBlob: Buffer;
      readonly failure: Failure;
    };

/** A private key that needs a passphrase. */
export interface LockedKeyFile {
  readonly kind: 'locked';
  readonly file: string;
  /** Where the file, or FILE.pub, tells it. */
  readonly publicBlob: Buffer | undefined;
  /** Undefined if the passphrase is wrong. @throws {Failure} `identity-unsupported` */
  readonly unlock: (passphrase: Buffer) => Promise<ssh2.ParsedKey | undefined>;
}

/**
 * @throws {Failure} `identity-missing`, `identity-not-a-key`, `identity-unsupported`, `file-unreadable`,
 *   `file-untrusted`, `file-unusable`
 */
export function readKeyFile(file: string, uid: number): KeyFile {
  let bytes: Buffer;
  try {
    bytes = readPrivateFile(file, {
      uid,
      maxBytes: IDENTITY_FILE_MAX,
      namedBy: 'IDENTITY_FILE',
      isSecret: (content) => content.includes('PRIVATE KEY') || content.includes('PuTTY-User-Key'),
    });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new Failure('identity-missing', { file }, { cause: error });
    throw error;
  }
  return parseKeyFile(file, bytes, () => readPublicHalf(`${file}.pub`, uid));
}

/**
 * @param publicHalf the key in FILE.pub; asked only for a locked key that does not tell
 * @throws {Failure} `identity-not-a-key`, `identity-unsupported`
 */
export function parseKeyFile(
  file: string,
  bytes: Buffer,
  publicHalf: () => Buffer | undefined = () => undefined,
): KeyFile {
  const text = bytes.toString('latin1');
  const openssh = parseOpensshKey(text);
  if (openssh !== undefined) {
    if (openssh.cipher === 'none') return openOpensshKey(file, bytes, openssh.publicBlob);
    const why = whyNotUnlockable(openssh);
    if (why !== undefined) return publicOnly(file, openssh.publicBlob, unsupported(file, why));
    return {
      kind: 'locked',
      file,
      publicBlob: openssh.publicBlob,
      unlock: async (passphrase) => {
        const unlocked = await unlockOpensshKey(openssh, passphrase);
        return unlocked === undefined ? undefined : parsePrivateKey(file, unlocked);
      },
    };
  }
  const pem = readPemKind(text);
  if (pem?.locked === true) {
    const unlock = async (passphrase: Buffer): Promise<ssh2.ParsedKey | undefined> =>
      openPem(file, text, passphrase);
    return { kind: 'locked', file, publicBlob: publicHalf(), unlock };
  }
  if (pem?.pkcs8 === true) return { kind: 'open', file, key: openPem(file, text) as ssh2.ParsedKey };
  if (pem !== undefined || /^PuTTY-User-Key|-----BEGIN OPENSSH/m.test(text)) {
    return { kind: 'open', file, key: parsePrivateKey(file, bytes) };
  }
  return parsePublicFile(file, bytes);
}

/** What ssh2 makes of a key; of some damaged files it makes nothing, and does not say so. */
function parseKey(content: string | Buffer): ssh2.ParsedKey | Error {
  const parsed = utils.parseKey(content) as ssh2.ParsedKey | Error | undefined;
  return parsed ?? new Error('Malformed private key');
}

/** FIDO keys have a file too, which holds no more than a handle. */
function openOpensshKey(file: string, bytes: Buffer, publicBlob: Buffer): KeyFile {
  const parsed = parseKey(bytes);
  if (!(parsed instanceof Error)) return { kind: 'open', file, key: parsed };
  return publicOnly(file, publicBlob, unsupported(file, plainReason(parsed), parsed));
}

function parsePrivateKey(file: string, content: string | Buffer): ssh2.ParsedKey {
  const parsed = parseKey(content);
  if (parsed instanceof Error) throw unsupported(file, plainReason(parsed), parsed);
  return parsed;
}

/** Undefined for a wrong passphrase. */
function openPem(file: string, text: string, passphrase?: Buffer): ssh2.ParsedKey | undefined {
  const opened = openPemKey(text, passphrase);
  if (opened.kind === 'wrong-passphrase') return undefined;
  if (opened.kind === 'unusable') throw unsupported(file, opened.why);
  return parsePrivateKey(file, opened.text);
}

/** ssh(1) takes a .pub to choose a key in the agent; without that key there it is the wrong file. */
function parsePublicFile(file: string, bytes: Buffer): KeyFile {
  const publicBlob = parsePublicKey(bytes.toString('latin1')) ?? parseOtherPublicKey(bytes);
  if (publicBlob === undefined) throw new Failure('identity-not-a-key', { file });
  const remedy = file.endsWith('.pub') ? file.slice(0, -'.pub'.length) : 'the file without .pub';
  return publicOnly(file, publicBlob, new Failure('identity-public', { file, remedy }));
}

/** One line: type, base64, comment (sshd(8), AUTHORIZED_KEYS FILE FORMAT). FIDO keys and certificates too. */
function parsePublicKey(text: string): Buffer | undefined {
  const [, type, base64 = ''] = /^\s*([a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/=]+)(?:\s|$)/.exec(text) ?? [];
  const blob = Buffer.from(base64, 'base64');
  try {
    return type !== undefined && keyTypeOf(blob) === type ? blob : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 4716. */
function parseOtherPublicKey(bytes: Buffer): Buffer | undefined {
  const parsed = parseKey(bytes);
  return parsed instanceof Error || parsed.isPrivateKey() ? undefined : parsed.getPublicSSH();
}

/** It only tells which key to offer, so that one that cannot be read is as good as none. */
function readPublicHalf(file: string, uid: number): Buffer | undefined {
  try {
    const bytes = findTrustedFile(file, { uid, maxBytes: IDENTITY_FILE_MAX });
    return bytes && parsePublicKey(bytes.toString('latin1'));
  } catch {
    return undefined;
  }
}

function publicOnly(file: string, publicBlob: Buffer, failure: Failure): KeyFile {
  return { kind: 'public', file, publicBlob, failure };
}

function unsupported(file: string, why: string, cause?: Error): Failure {
  return new Failure('identity-unsupported', { file, why }, { cause });
}

/** ssh2's reason, without the word that our own sentence has already. */
function plainReason({ message }: Error): string {
  return message.replace(/^Unsupported OpenSSH private key type: /, 'its type is ');
}
