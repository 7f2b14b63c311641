/** A value of an alias as an alias file would give it. Pure. */
import type { AlgorithmList, Alias } from './alias.ts';
import type { AliasKeyName } from './keys.ts';

/** UNMANAGED is about hosts without alias; ALIASES is the file's own and not part of what is resolved. */
export type ResolvedKeyName = Exclude<AliasKeyName, 'ALIASES' | 'UNMANAGED'>;

export function isResolvedKey(key: AliasKeyName): key is ResolvedKeyName {
  return Object.hasOwn(WRITERS, key);
}

/** Undefined: nothing is fixed. */
export function writeValue(alias: Alias, key: ResolvedKeyName): string | undefined {
  return WRITERS[key](alias);
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

const WRITERS: Readonly<Record<ResolvedKeyName, Writer>> = {
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
