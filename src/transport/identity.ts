/**
 * The keys to log in with, in the order to offer them: files named by IDENTITY_FILE first (the user chose them, and
 * servers count refused keys), then the agent's others; without IDENTITY_FILE the agent's first, then OpenSSH's
 * default names, as ssh(1) does.
 */
import { basename, join } from 'node:path';
import ssh2 from 'ssh2';
import type { Alias } from '../alias/alias.ts';
import { readPrivateFile } from '../alias/trusted-file.ts';
import { errnoOf, Failure } from '../errors.ts';
import { IDENTITY_FILE_MAX } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { type AgentKey, listAgentKeys } from './agent.ts';

const { utils } = ssh2;

/** One key to offer; `label` names it in messages. */
export type Identity =
  | { readonly kind: 'file'; readonly label: string; readonly key: ssh2.ParsedKey }
  | { readonly kind: 'agent'; readonly label: string; readonly agent: AgentKey['agent'] };

/** What was found: keys to offer, and what kept others out. */
export interface IdentitySet {
  readonly identities: readonly Identity[];
  /** Failures of keys that could not be used; raised when no other key gets in. */
  readonly unusable: readonly Failure[];
}

/** The default names of ssh_config(5) IdentityFile that ssh2 can use. */
const DEFAULT_NAMES: readonly string[] = ['id_rsa', 'id_ecdsa', 'id_ed25519'];

/**
 * Reads key files and asks the agent.
 *
 * @throws {Failure} `identity-missing`, `identity-public`, `identity-not-a-key`, `identity-unsupported`,
 *   `file-unreadable`, `file-untrusted` for a file that IDENTITY_FILE names
 */
export async function loadIdentities(alias: Alias, settings: Settings, log: Log): Promise<IdentitySet> {
  const named = alias.identityFiles !== undefined;
  const files = alias.identityFiles ?? DEFAULT_NAMES.map((name) => join(settings.home, '.ssh', name));
  const loaded = files.flatMap((file) => {
    try {
      return [readIdentity(file, settings.uid)];
    } catch (error) {
      if (named || !(error instanceof Failure)) throw error;
      if (error.code !== 'identity-missing') log.record('key-skipped', { file, why: error.message });
      return [];
    }
  });
  const agentKeys = await askAgent(alias, settings, log, loaded);
  return orderIdentities(alias, settings.home, loaded, agentKeys);
}

/** A key file: usable as it is, or only its public half is known (encrypted, or a .pub whose key an agent holds). */
interface LoadedFile {
  readonly file: string;
  readonly key: ssh2.ParsedKey | undefined;
  readonly publicBlob: Buffer | undefined;
  readonly failure: ((alias: string) => Failure) | undefined;
}

async function askAgent(
  alias: Alias,
  settings: Settings,
  log: Log,
  loaded: readonly LoadedFile[],
): Promise<readonly AgentKey[]> {
  if (alias.identityAgent === 'none') return [];
  const socket = alias.identityAgent ?? settings.agentSocket;
  // Nothing to gain: every named key is at hand and no other is wanted.
  if (socket === undefined || (alias.identitiesOnly && loaded.every((file) => file.key !== undefined)))
    return [];
  const answer = await listAgentKeys(socket);
  if (answer.keys !== undefined) return answer.keys;
  log.record('agent-skipped', { socket, why: answer.why });
  return [];
}

function orderIdentities(
  alias: Alias,
  home: string,
  loaded: readonly LoadedFile[],
  agentKeys: readonly AgentKey[],
): IdentitySet {
  const named = alias.identityFiles !== undefined;
  const identities: Identity[] = [];
  const unusable: Failure[] = [];
  const left = new Set(agentKeys);
  for (const { file, key, publicBlob, failure } of loaded) {
    const label = shortPath(file, home);
    const blob = key?.getPublicSSH() ?? publicBlob;
    const held = blob && agentKeys.find((candidate) => candidate.blob.equals(blob));
    if (held !== undefined) left.delete(held);
    if (key !== undefined) identities.push({ kind: 'file', label, key });
    else if (held !== undefined)
      identities.push({ kind: 'agent', label: `${label} (agent)`, agent: held.agent });
    else if (failure !== undefined) unusable.push(failure(alias.name));
  }
  if (alias.identitiesOnly) return { identities, unusable };
  const others = [...left].map(
    (key): Identity => ({ kind: 'agent', label: `${key.comment || key.type} (agent)`, agent: key.agent }),
  );
  return { identities: named ? [...identities, ...others] : [...others, ...identities], unusable };
}

function readIdentity(file: string, uid: number): LoadedFile {
  let bytes: Buffer;
  try {
    bytes = readPrivateFile(file, {
      uid,
      maxBytes: IDENTITY_FILE_MAX,
      isSecret: (content) => content.includes('PRIVATE KEY') || content.includes('PuTTY-User-Key'),
    });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new Failure('identity-missing', { file }, { cause: error });
    throw error;
  }
  return parseIdentity(file, bytes);
}

/** @internal */
export function parseIdentity(file: string, bytes: Buffer): LoadedFile {
  const parsed = utils.parseKey(bytes);
  if (!(parsed instanceof Error)) {
    const key = Array.isArray(parsed) ? (parsed[0] as ssh2.ParsedKey) : parsed;
    if (key.isPrivateKey()) return { file, key, publicBlob: undefined, failure: undefined };
    // ssh(1) takes a .pub to choose a key in the agent; without that key there it is the wrong file.
    const remedy = file.endsWith('.pub') ? file.slice(0, -'.pub'.length) : 'the file without .pub';
    return {
      file,
      key: undefined,
      publicBlob: key.getPublicSSH(),
      failure: () => new Failure('identity-public', { file, remedy }),
    };
  }
  if (/passphrase/i.test(parsed.message)) {
    return {
      file,
      key: undefined,
      publicBlob: publicBlobOf(bytes),
      failure: (alias) => new Failure('identity-encrypted', { file, alias }),
    };
  }
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----|PuTTY-User-Key/.test(bytes.toString('latin1'))) {
    throw new Failure('identity-unsupported', { file, why: parsed.message }, { cause: parsed });
  }
  throw new Failure('identity-not-a-key', { file }, { cause: parsed });
}

/** The public key inside an encrypted OpenSSH key file, which is in clear (OpenSSH PROTOCOL.key). */
function publicBlobOf(bytes: Buffer): Buffer | undefined {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(
    bytes.toString('latin1'),
  );
  if (body === null) return undefined;
  const data = Buffer.from(body[1] as string, 'base64');
  let at = 'openssh-key-v1\0'.length;
  try {
    // cipher, kdf and kdf options, then the number of keys.
    for (let i = 0; i < 3; i += 1) at += 4 + data.readUInt32BE(at);
    at += 4;
    return data.subarray(at + 4, at + 4 + data.readUInt32BE(at));
  } catch {
    return undefined;
  }
}

/** `/home/pat/.ssh/id_ed25519` -> `~/.ssh/id_ed25519`; messages have little room. */
function shortPath(file: string, home: string): string {
  return file.startsWith(`${home}/`) ? `~${file.slice(home.length)}` : basename(file);
}
