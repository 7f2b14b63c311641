/**
 * An alias written out again: each key with the value that holds, as an alias file would give it, and where it is set.
 */
import type { AlgorithmList, Alias } from '../alias/alias.ts';
import { type AliasFile, readAliasFile } from '../alias/alias-file.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey, type AliasKeyName } from '../alias/keys.ts';
import type { Settings } from '../settings.ts';

export interface SourcedValue {
  readonly key: AliasKeyName;
  /** undefined: nothing is fixed. */
  readonly value: string | undefined;
  /** What holds then: the preset, or in parentheses what happens. */
  readonly fallback: string;
  /** undefined: a default. */
  readonly source: { readonly file: string; readonly line: number } | undefined;
}

type Writer = (alias: Alias) => string | undefined;

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');
const list = (values: readonly string[] | undefined): string | undefined =>
  values === undefined ? undefined : values.join(',') || 'none';
const PREFIXES = { replace: '', append: '+', remove: '-', prepend: '^' } as const;
const algorithms = (value: AlgorithmList | undefined): string | undefined =>
  value && PREFIXES[value.mode] + value.names.join(',');
const jump = ({ user, host, port }: Alias['proxyJump'][number]): string =>
  `${user === undefined ? '' : `${user}@`}${host.includes(':') ? `[${host}]` : host}${port === undefined ? '' : `:${port}`}`;

/** UNMANAGED is about hosts without alias; ALIASES is the file's own and not part of what is resolved. */
const WRITERS: Readonly<Record<Exclude<AliasKeyName, 'ALIASES' | 'UNMANAGED'>, Writer>> = {
  HOSTNAME: (alias) => alias.hostname,
  PORT: (alias) => String(alias.port),
  USER: (alias) => alias.user,
  IDENTITY_FILE: (alias) => list(alias.identityFiles),
  CERTIFICATE_FILE: (alias) => list(alias.certificateFiles),
  IDENTITY_AGENT: (alias) => alias.identityAgent,
  IDENTITIES_ONLY: (alias) => yesNo(alias.identitiesOnly),
  PASSPHRASE_COMMAND: (alias) => alias.passphraseCommand,
  KNOWN_HOSTS: (alias) => list(alias.knownHosts),
  STRICT_HOST_KEY_CHECKING: (alias) => alias.strictHostKeyChecking,
  HOST_KEY_ALIAS: (alias) => alias.hostKeyAlias,
  HOST_KEY_FINGERPRINT: (alias) => alias.hostKeyFingerprint,
  PROXY_JUMP: (alias) => list(alias.proxyJump.map(jump)),
  PROXY_COMMAND: (alias) => alias.proxyCommand,
  CONNECT_TIMEOUT: (alias) => String(alias.connectTimeout),
  SERVER_ALIVE_INTERVAL: (alias) => String(alias.serverAliveInterval),
  SERVER_ALIVE_COUNT_MAX: (alias) => String(alias.serverAliveCountMax),
  IMAPD: (alias) => alias.imapd,
  SENDMAIL: (alias) => alias.sendmail,
  QUEUE: (alias) => yesNo(alias.queue),
  FALLBACK: (alias) => alias.fallback,
  SHARE: (alias) => yesNo(alias.share),
  PERSIST: (alias) => String(alias.persist),
  WARM: (alias) => String(alias.warm),
  CIPHERS: (alias) => algorithms(alias.ciphers),
  MACS: (alias) => algorithms(alias.macs),
  KEX_ALGORITHMS: (alias) => algorithms(alias.kexAlgorithms),
  HOST_KEY_ALGORITHMS: (alias) => algorithms(alias.hostKeyAlgorithms),
  COMPRESSION: (alias) => yesNo(alias.compression),
  TRANSPORT: (alias) => alias.transport,
  SSH_CONFIG: (alias) => yesNo(alias.sshConfig),
};

/**
 * All keys in the order of the manual.
 *
 * @throws {Failure} when a file changed for the worse since the alias was read
 */
export function listValues(alias: Alias, settings: Settings): SourcedValue[] {
  const files = alias.files.flatMap((file, index) => {
    const read = readAliasFile(file, index === 0 ? 'alias' : 'defaults', settings);
    return read === undefined ? [] : [read];
  });
  return ALIAS_KEY_NAMES.flatMap((key) => {
    if (key === 'ALIASES' || key === 'UNMANAGED') return [];
    const { preset, unset }: AliasKey<unknown> = ALIAS_KEYS[key];
    const value = WRITERS[key](alias);
    return [{ key, value, fallback: preset ?? `(${unset ?? 'nothing'})`, source: findSource(files, key) }];
  });
}

function findSource(files: readonly AliasFile[], key: AliasKeyName): SourcedValue['source'] {
  for (const { file, lines } of files) {
    const line = lines.get(key);
    if (line !== undefined) return { file, line };
  }
  return undefined;
}
