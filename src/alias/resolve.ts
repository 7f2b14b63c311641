/**
 * Joins what the command line, the alias file and both defaults.env say about one host into one frozen `Alias`. Pure:
 * the files have been read. Each key is taken from the first source that sets it: `-o`, the alias file, the user's
 * defaults.env, the system's defaults.env (whether the alias is the user's or the system's), the table's preset.
 */
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import type { Alias } from './alias.ts';
import { type AliasFile, type AliasValues, parseOptions } from './alias-file.ts';
import { parseHostname } from './host-value.ts';
import { ALIAS_KEYS, type AliasKey, type AliasKeyName, type AliasValue } from './keys.ts';

/** What the caller asked for. */
export interface AliasQuery {
  /** As given, case kept. */
  readonly host: string;
  /** From `-l` or `USER@HOST`. */
  readonly user: string | undefined;
  readonly port: number | undefined;
  /** Alias keys from `-o`, unchecked. */
  readonly options: ReadonlyMap<string, string>;
}

/** An alias file that was found for a host, and how. */
export interface AliasMatch {
  /** Name of the file without `.env`. */
  readonly name: string;
  readonly file: AliasFile;
  /** The name was matched by a glob, so that the host as given is where to go. */
  readonly byGlob: boolean;
}

/**
 * @param defaults the user's defaults.env, then the system's, as far as they exist
 * @throws {Failure} `alias-syntax`, `usage` (a bad `-o`)
 */
export function resolveAlias(
  match: AliasMatch,
  defaults: readonly AliasFile[],
  query: AliasQuery,
  settings: Pick<Settings, 'home' | 'loginName'>,
): Alias {
  const sources = new Sources(match.file, defaults, query.options, settings.home);
  const transport = sources.want('TRANSPORT');
  const certificateFiles = sources.want('CERTIFICATE_FILE');
  if (transport === 'ssh2' && certificateFiles.length > 0) {
    throw sources.failure(
      'CERTIFICATE_FILE',
      'CERTIFICATE_FILE does not work with TRANSPORT=ssh2',
      'write TRANSPORT=openssh',
    );
  }
  const given = sources.names();
  if (query.port !== undefined) given.add('PORT');
  return Object.freeze<Alias>({
    name: match.name,
    files: sources.paths(),
    hostname: chooseHostname(sources, match, query.host),
    port: query.port ?? sources.want('PORT'),
    user: chooseUser(query.user, sources.get('USER'), settings.loginName, given),
    identityFiles: sources.get('IDENTITY_FILE'),
    certificateFiles,
    identityAgent: sources.get('IDENTITY_AGENT'),
    identitiesOnly: sources.want('IDENTITIES_ONLY'),
    passphraseCommand: sources.get('PASSPHRASE_COMMAND'),
    knownHosts: sources.want('KNOWN_HOSTS'),
    strictHostKeyChecking: sources.want('STRICT_HOST_KEY_CHECKING'),
    hostKeyAlias: sources.get('HOST_KEY_ALIAS'),
    hostKeyFingerprint: sources.get('HOST_KEY_FINGERPRINT'),
    ...chooseProxy(sources),
    connectTimeout: sources.want('CONNECT_TIMEOUT'),
    serverAliveInterval: sources.want('SERVER_ALIVE_INTERVAL'),
    serverAliveCountMax: sources.want('SERVER_ALIVE_COUNT_MAX'),
    imapd: sources.want('IMAPD'),
    sendmail: sources.want('SENDMAIL'),
    queue: sources.want('QUEUE'),
    fallback: sources.want('FALLBACK'),
    share: sources.want('SHARE'),
    persist: sources.want('PERSIST'),
    warm: sources.want('WARM'),
    ciphers: sources.get('CIPHERS'),
    macs: sources.get('MACS'),
    kexAlgorithms: sources.get('KEX_ALGORITHMS'),
    hostKeyAlgorithms: sources.get('HOST_KEY_ALGORITHMS'),
    compression: sources.want('COMPRESSION'),
    transport,
    sshConfig: sources.want('SSH_CONFIG'),
    given,
  });
}

/** All places where a key may be set, the strongest first. */
class Sources {
  readonly #files: readonly AliasFile[];
  readonly #layers: readonly AliasValues[];
  readonly #home: string;

  constructor(
    file: AliasFile,
    defaults: readonly AliasFile[],
    options: ReadonlyMap<string, string>,
    home: string,
  ) {
    this.#files = [file, ...defaults];
    const layers = [parseOptions(options, home)];
    for (const { values } of this.#files) layers.push(values);
    this.#layers = layers;
    this.#home = home;
  }

  /** The value set, else the preset; undefined for `none` and for a key without a preset. */
  get<K extends AliasKeyName>(name: K): AliasValue<K> | undefined {
    for (const layer of this.#layers) if (layer.has(name)) return layer.get(name);
    const { preset, parse }: AliasKey<unknown> = ALIAS_KEYS[name];
    if (preset === undefined) return undefined;
    const parsed = parse(preset, this.#home);
    if (!('value' in parsed)) throw new TypeError(`the preset of ${name} does not fit`);
    return parsed.value as AliasValue<K>;
  }

  /** `get` for a key that always has a value. */
  want<K extends AliasKeyName>(name: K): NonNullable<AliasValue<K>> {
    const value = this.get(name);
    if (value === undefined || value === null) throw new TypeError(`${name} has no preset`);
    return value as NonNullable<AliasValue<K>>;
  }

  /** The strongest layer that sets one of these keys, whatever to. */
  layerOf(...names: readonly AliasKeyName[]): AliasValues | undefined {
    for (const layer of this.#layers) for (const name of names) if (layer.has(name)) return layer;
    return undefined;
  }

  /** A failure about a key, at the line that sets it. */
  failure(name: AliasKeyName, problem: string, remedy: string): Failure {
    const source = this.#files.find(({ values }) => values.has(name)) ?? this.#files[0];
    const facts = { file: source?.file ?? '', line: source?.lines.get(name) ?? 1 };
    return new Failure('alias-syntax', { ...facts, problem, remedy });
  }

  paths(): string[] {
    const paths: string[] = [];
    for (const { file } of this.#files) paths.push(file);
    return paths;
  }

  names(): Set<string> {
    const names = new Set<string>();
    for (const layer of this.#layers) for (const name of layer.names()) names.add(name);
    return names;
  }
}

/** HOSTNAME with `%h`; without it the host itself, or the name of the alias. */
function chooseHostname(sources: Sources, match: AliasMatch, host: string): string {
  const written = sources.get('HOSTNAME');
  if (written !== undefined) {
    return written.replace(/%[h%]/g, (token) => (token === '%%' ? '%' : host));
  }
  const name = match.byGlob ? host : match.name.slice(match.name.lastIndexOf('@') + 1);
  if ('value' in parseHostname(name, '')) return name;
  throw sources.failure(
    'HOSTNAME',
    'no HOSTNAME, and the name of the file is no host name',
    'write HOSTNAME=...',
  );
}

/** Pine passes the local login name when a folder has no `/user=`, so that name says nothing (c-client, tcp_aopen). */
function chooseUser(
  asked: string | undefined,
  written: string | undefined,
  loginName: string,
  given: Set<string>,
): string {
  if (asked !== undefined && asked !== loginName) {
    given.add('USER');
    return asked;
  }
  return written ?? loginName;
}

/** As in ssh_config(5), of ProxyJump and ProxyCommand the one set first switches the other off. */
function chooseProxy(sources: Sources): Pick<Alias, 'proxyJump' | 'proxyCommand'> {
  const layer = sources.layerOf('PROXY_JUMP', 'PROXY_COMMAND');
  const proxyJump = layer?.get('PROXY_JUMP') ?? [];
  const proxyCommand = layer?.get('PROXY_COMMAND');
  if (proxyJump.length > 0 && proxyCommand !== undefined) {
    throw sources.failure('PROXY_COMMAND', 'both PROXY_JUMP and PROXY_COMMAND', 'remove one of them');
  }
  return { proxyJump, proxyCommand };
}
