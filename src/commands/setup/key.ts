/** The key that is to open the mailbox: a new one that can do nothing else, one that is there, or one of ssh-agent's. */
import { join } from 'node:path';
import type { Alias } from '../../alias/alias.ts';
import { Failure } from '../../errors.ts';
import type { Settings } from '../../settings.ts';
import { type AgentKey, listAgentKeys } from '../../transport/agent.ts';
import { formatFingerprint } from '../../transport/host-key.ts';
import { agentSocketOf, defaultIdentityFiles } from '../../transport/identity.ts';
import { readKeyFile } from '../../transport/key-file.ts';
import { makeKeyPair } from '../../transport/new-key.ts';
import { agentIdentity } from '../../transport/signing-key.ts';
import { keyTypeOf } from '../../transport/ssh-wire.ts';

/** A key to be installed on a host. */
export interface PlannedKey {
  /** Absolute path for IDENTITY_FILE: the private half, or the public one where only ssh-agent has the other. */
  readonly file: string;
  /** Its text where it is not written yet. */
  readonly text: string | undefined;
  /** `ssh-ed25519 AAAA... COMMENT` */
  readonly publicKey: string;
}

/** A key of ssh-agent's. */
export interface HeldKey {
  readonly fingerprint: string;
  readonly comment: string;
  readonly blob: Buffer;
}

/** Where the key for an alias is kept. */
export function newKeyFile(settings: Settings, name: string): string {
  return join(settings.home, '.ssh', `pine-rsh-${name}`);
}

/** Makes an ed25519 key in memory. No passphrase: what it opens is a mailbox, to a program that cannot ask for one. */
export function planNewKey(settings: Settings, name: string): PlannedKey {
  const { privateKey, publicKey } = makeKeyPair(`pine-rsh ${name}`);
  return { file: newKeyFile(settings, name), text: privateKey, publicKey: publicKey.trim() };
}

/**
 * A key file that is there; a public one if the agent holds its private half.
 *
 * @throws {Failure} as `readKeyFile` does, `identity-public`
 */
export function planKeyFile(
  settings: Settings,
  file: string,
  name: string,
  held: readonly HeldKey[] = [],
): PlannedKey {
  const key = readKeyFile(file, settings.uid);
  const blob = key.kind === 'open' ? key.key.getPublicSSH() : key.publicBlob;
  if (key.kind === 'public' && !held.some((each) => each.blob.equals(key.publicBlob))) throw key.failure;
  if (blob === undefined) {
    throw new Failure('identity-unsupported', { file, why: `its public half is not in ${file}.pub` });
  }
  return { file, text: undefined, publicKey: formatPublicKey(blob, name) };
}

/** The public half is written down: as for ssh(1) it chooses the key in the agent. */
export function planHeldKey(settings: Settings, { blob }: HeldKey, name: string): PlannedKey {
  const publicKey = formatPublicKey(blob, name);
  return { file: `${newKeyFile(settings, name)}-agent.pub`, text: `${publicKey}\n`, publicKey };
}

function formatPublicKey(blob: Buffer, name: string): string {
  return `${keyTypeOf(blob)} ${blob.toString('base64')} pine-rsh ${name}`;
}

/** Keys under OpenSSH's default names that can be read. */
export function listKeyFiles(settings: Settings, name: string): PlannedKey[] {
  return defaultIdentityFiles(settings.home).flatMap((file) => {
    try {
      return [planKeyFile(settings, file, name)];
    } catch {
      return [];
    }
  });
}

/** What the agent holds and a line of authorized_keys can name: no certificates. */
export async function listHeldKeys(alias: Alias, settings: Settings): Promise<HeldKey[]> {
  const socket = agentSocketOf(alias, settings);
  const { keys = [] } = socket === undefined ? {} : await listAgentKeys(socket);
  return keys.filter(isPlain).map(({ blob, comment }) => ({
    fingerprint: formatFingerprint(blob),
    comment,
    blob,
  }));
}

function isPlain(key: AgentKey): boolean {
  return !key.type.includes('-cert-') && agentIdentity('', key) !== undefined;
}
