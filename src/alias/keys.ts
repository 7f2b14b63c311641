/**
 * The table of all keys of alias files and defaults.env: their names, what they take, what holds without them. A key
 * carries OpenSSH's keyword in capitals, so that ssh_config(5) explains it. The manual's table is checked against
 * this one by a test.
 */
import {
  parseAlgorithms,
  parseAliasPattern,
  parseHostname,
  parseJumpHost,
  parsePort,
  parseUser,
} from './host-value.ts';
import {
  listOf,
  numberBetween,
  oneOf,
  orNone,
  parseCommand,
  parseFingerprint,
  parsePath,
  parseProxyCommand,
  parseYesNo,
  timeBetween,
  type ValueParser,
} from './value.ts';

export interface AliasKey<T> {
  /** The OpenSSH keyword it stands for; undefined: pine-rsh's own. */
  readonly keyword: string | undefined;
  readonly parse: ValueParser<T>;
  /** What holds when no file sets it, written as a file would; undefined: `unset` tells in words. */
  readonly preset?: string;
  readonly unset?: string;
  /** Where it may stand; undefined: in alias files and in defaults.env. */
  readonly only?: 'alias' | 'defaults';
  readonly doc: string;
}

/** Infers the type of the value from the parser. */
function key<T>(spec: AliasKey<T>): AliasKey<T> {
  return spec;
}

/** Nobody needs "no" often enough to risk it once: who answers for the host would be anybody. */
const parseStrictHostKeyChecking: ValueParser<'yes' | 'accept-new'> = (text, home) => {
  const remedy = 'STRICT_HOST_KEY_CHECKING is yes or accept-new';
  const chosen = text.toLowerCase();
  if (chosen === 'no' || chosen === 'off') return { problem: 'cannot be switched off', remedy };
  if (chosen === 'ask') return { problem: 'cannot ask: mail clients have no place for questions', remedy };
  return oneOf('yes', 'accept-new')(text, home);
};

/** `SSH_AUTH_SOCK`, as in ssh_config(5), is the same as leaving it out, and takes back what defaults.env says. */
const parseIdentityAgent: ValueParser<string | undefined> = (text, home) =>
  text === 'SSH_AUTH_SOCK' ? { value: undefined } : orNone('none', parsePath)(text, home);

/** Of those that ssh(1) has too and sets no bounds to; what comes from there is brought within them (`ssh-value.ts`). */
export const BOUNDS = {
  CONNECT_TIMEOUT: ['1s', '10m'],
  SERVER_ALIVE_INTERVAL: ['0', '1h'],
  SERVER_ALIVE_COUNT_MAX: [1, 100],
} as const;

/** In the order of the manual. */
export const ALIAS_KEYS = {
  HOSTNAME: key({
    keyword: 'HostName',
    parse: parseHostname,
    unset: 'the host as given after a glob match, else the name of the alias',
    doc: 'host to connect to; %h stands for the host as given, %% for a percent sign',
  }),
  PORT: key({ keyword: 'Port', parse: parsePort, preset: '22', doc: 'port of sshd there; -p wins over it' }),
  USER: key({
    keyword: 'User',
    parse: parseUser,
    unset: '-l, which wins over it unless it is the local login name',
    doc: 'login name there',
  }),
  ALIASES: key({
    keyword: undefined,
    parse: listOf(parseAliasPattern),
    unset: 'none',
    only: 'alias',
    doc: 'other names and globs of this alias, comma separated',
  }),

  IDENTITY_FILE: key({
    keyword: 'IdentityFile',
    parse: orNone([], listOf(parsePath)),
    unset: "OpenSSH's default names",
    doc: 'private keys in the order to try, comma separated; none: no file',
  }),
  CERTIFICATE_FILE: key({
    keyword: 'CertificateFile',
    parse: orNone([], listOf(parsePath)),
    preset: 'none',
    doc: 'certificates of the keys, comma separated; needs TRANSPORT=openssh',
  }),
  IDENTITY_AGENT: key({
    keyword: 'IdentityAgent',
    parse: parseIdentityAgent,
    preset: 'SSH_AUTH_SOCK',
    doc: "the agent's socket; none: use no agent",
  }),
  IDENTITIES_ONLY: key({
    keyword: 'IdentitiesOnly',
    parse: parseYesNo,
    preset: 'no',
    doc: 'yes: of the keys in the agent offer only those that IDENTITY_FILE names',
  }),
  PASSPHRASE_COMMAND: key({
    keyword: undefined,
    parse: orNone(undefined, parseCommand),
    preset: 'none',
    doc: 'command whose first output line unlocks the key',
  }),

  KNOWN_HOSTS: key({
    keyword: 'UserKnownHostsFile',
    parse: listOf(parsePath),
    preset: '~/.ssh/known_hosts,/etc/ssh/ssh_known_hosts',
    doc: 'files of known host keys, comma separated; new keys go to the first',
  }),
  STRICT_HOST_KEY_CHECKING: key({
    keyword: 'StrictHostKeyChecking',
    parse: parseStrictHostKeyChecking,
    preset: 'yes',
    doc: 'accept-new: remember the key of a host that has none yet',
  }),
  HOST_KEY_ALIAS: key({
    keyword: 'HostKeyAlias',
    parse: parseHostname,
    unset: 'HOSTNAME and PORT',
    doc: 'name to look up in the files of known host keys',
  }),
  HOST_KEY_FINGERPRINT: key({
    keyword: undefined,
    parse: parseFingerprint,
    unset: 'the files of known host keys decide',
    doc: 'the only host key to accept: SHA256:... as ssh-keygen -l prints it',
  }),

  PROXY_JUMP: key({
    keyword: 'ProxyJump',
    parse: orNone([], listOf(parseJumpHost)),
    preset: 'none',
    doc: 'gateways to go through: aliases or user@host:port, comma separated',
  }),
  PROXY_COMMAND: key({
    keyword: 'ProxyCommand',
    parse: orNone(undefined, parseProxyCommand),
    preset: 'none',
    doc: 'command that carries the connection; %h host, %p port, %r user',
  }),

  CONNECT_TIMEOUT: key({
    keyword: 'ConnectTimeout',
    parse: timeBetween(...BOUNDS.CONNECT_TIMEOUT),
    preset: '12',
    doc: 'seconds per hop for TCP, key exchange and login',
  }),
  SERVER_ALIVE_INTERVAL: key({
    keyword: 'ServerAliveInterval',
    parse: timeBetween(...BOUNDS.SERVER_ALIVE_INTERVAL),
    preset: '15',
    doc: 'seconds of silence after which the server is asked for a sign of life; 0: never',
  }),
  SERVER_ALIVE_COUNT_MAX: key({
    keyword: 'ServerAliveCountMax',
    parse: numberBetween(...BOUNDS.SERVER_ALIVE_COUNT_MAX),
    preset: '3',
    doc: 'so many questions without an answer end the connection',
  }),

  IMAPD: key({
    keyword: undefined,
    parse: parseCommand,
    preset: 'auto',
    doc: 'remote imapd command; auto: /etc/rimapd, then the usual places of Dovecot and UW imapd',
  }),
  SENDMAIL: key({
    keyword: undefined,
    parse: parseCommand,
    preset: 'auto',
    doc: 'remote sendmail command; auto: the usual places',
  }),
  QUEUE: key({
    keyword: undefined,
    parse: parseYesNo,
    preset: 'no',
    doc: 'yes: keep mail while the host is away and send it later',
  }),
  FALLBACK: key({
    keyword: undefined,
    parse: oneOf('deny', 'allow'),
    preset: 'deny',
    doc: 'allow: when the host cannot be reached let the mail client try an unprotected login',
  }),

  SHARE: key({
    keyword: undefined,
    parse: parseYesNo,
    preset: 'yes',
    doc: 'share one SSH connection between sessions',
  }),
  PERSIST: key({
    keyword: undefined,
    parse: timeBetween('0', '1w'),
    preset: '10m',
    doc: 'how long an idle shared connection stays',
  }),
  WARM: key({
    keyword: undefined,
    // sshd's MaxSessions is 10, and mail clients need most of them.
    parse: numberBetween(0, 8),
    preset: '1',
    doc: 'imapd sessions kept ready on the shared connection; up to 3 where so many are opened at once',
  }),

  CIPHERS: key({
    keyword: 'Ciphers',
    parse: parseAlgorithms,
    unset: "the transport's default",
    doc: 'ciphers in order; + - ^ change the default list',
  }),
  MACS: key({
    keyword: 'MACs',
    parse: parseAlgorithms,
    unset: "the transport's default",
    doc: 'message authentication codes in order; + - ^ change the default list',
  }),
  KEX_ALGORITHMS: key({
    keyword: 'KexAlgorithms',
    parse: parseAlgorithms,
    unset: "the transport's default",
    doc: 'key exchanges in order; + - ^ change the default list',
  }),
  HOST_KEY_ALGORITHMS: key({
    keyword: 'HostKeyAlgorithms',
    parse: parseAlgorithms,
    unset: "the transport's default",
    doc: 'host key types in order; + - ^ change the default list',
  }),
  COMPRESSION: key({
    keyword: 'Compression',
    parse: parseYesNo,
    preset: 'no',
    doc: 'compress the connection',
  }),
  TRANSPORT: key({
    keyword: undefined,
    parse: oneOf('ssh2', 'openssh'),
    preset: 'ssh2',
    doc: "openssh: the system's ssh carries the session (FIDO keys, certificates, GSSAPI)",
  }),
  SSH_CONFIG: key({
    keyword: undefined,
    parse: parseYesNo,
    preset: 'yes',
    doc: 'take what is left open here from ~/.ssh/config',
  }),

  UNMANAGED: key({
    keyword: undefined,
    parse: oneOf('deny', 'allow'),
    preset: 'allow',
    only: 'defaults',
    doc: 'deny: refuse hosts that no alias file names',
  }),
} as const satisfies Readonly<Record<string, AliasKey<unknown>>>;

export type AliasKeyName = keyof typeof ALIAS_KEYS;

/** The type of a key's value. */
export type AliasValue<K extends AliasKeyName> = (typeof ALIAS_KEYS)[K] extends AliasKey<infer T> ? T : never;

/** Their names in the order of the table. */
export const ALIAS_KEY_NAMES = Object.keys(ALIAS_KEYS) as readonly AliasKeyName[];

export function isAliasKeyName(name: string): name is AliasKeyName {
  return Object.hasOwn(ALIAS_KEYS, name);
}
