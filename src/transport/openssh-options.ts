/**
 * An alias -> the command line of the system's ssh. What decides who is trusted and what runs is pinned here, in front
 * of whatever ssh_config says: of a keyword given twice ssh takes the first (ssh_config(5)).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readAccount } from '../account.ts';
import type { AlgorithmList, Alias } from '../alias/alias.ts';
import { PROMPTED_ATTEMPTS } from '../limits.ts';
import type { Settings } from '../settings.ts';
import { shellWord } from '../shell-word.ts';

export interface SshOptions {
  readonly settings: Pick<Settings, 'home'>;
  readonly family: 0 | 4 | 6;
  /** Which questions somebody or something answers. */
  readonly questions: 'none' | 'passphrases' | 'all';
  /** Keywords that this ssh is too old for, in lower case. */
  readonly unknown: ReadonlySet<string>;
}

/**
 * Keywords younger than the ssh of some systems. One that does not know them has nothing to be switched off there; it
 * says so and ends, and is started again without.
 */
const YOUNG: readonly string[] = ['ForkAfterAuthentication=no', 'KnownHostsCommand=none'];
export const YOUNG_KEYWORDS: readonly string[] = YOUNG.map((word) => word.replace(/=.*/, '').toLowerCase());

/** Host keys are checked by the files we name and by nothing else; nothing but our own channels goes through. */
const PINNED: readonly string[] = [
  'GlobalKnownHostsFile=none',
  'VerifyHostKeyDNS=no',
  'NoHostAuthenticationForLocalhost=no',
  'UpdateHostKeys=no',
  'PermitLocalCommand=no',
  'RemoteCommand=none',
  'ClearAllForwardings=yes',
  'ForwardAgent=no',
  'ForwardX11=no',
  'RequestTTY=no',
  'Tunnel=no',
  'ControlPersist=no',
  // A dead peer is found while a client waits for it; an idle mail folder outlives a tunnel.
  'ServerAliveInterval=0',
  // What ssh says becomes the reason of a failure.
  'LogLevel=DEBUG1',
];

/** A host on the way. */
export interface SshHost {
  /** With what ssh_config adds. */
  readonly alias: Alias;
  /** What the `Host` lines of ssh_config are compared with. */
  readonly name: string;
}

/**
 * The words of a master that carries all channels of a connection.
 *
 * @param route the gateways in the order of the way, then the host itself
 */
export function masterWords(route: readonly SshHost[], controlPath: string, options: SshOptions): string[] {
  const host = lastOf(route);
  const words = ['-M', '-N', '-S', escapePercent(controlPath), ...clientWords(route, options)];
  return [...words, '--', host.name];
}

/** The words that say which files of the user ssh reads. ssh looks into the home that passwd(5) has, whatever HOME is. */
export function configWords({ home }: Pick<Settings, 'home'>): string[] {
  if (home === readAccount().home) return [];
  const file = sshConfigFile(home);
  return ['-F', existsSync(file) ? file : 'none'];
}

export function sshConfigFile(home: string): string {
  return join(home, '.ssh', 'config');
}

/**
 * The name of a gateway (of `resolveGateways`) for the `Host` lines of ssh_config: one that is no alias has user and
 * port in its name.
 */
export function gatewayName({ name, hostname, given: keys }: Alias): string {
  if (keys.has('HOSTNAME')) return hostname;
  const place = name.slice(name.lastIndexOf('@') + 1);
  const match = /^(?:\[(.+)\]|([^:]+)):\d+$/.exec(place);
  return match?.[1] ?? match?.[2] ?? place;
}

/** A way leads at least to its host. */
function lastOf(route: readonly SshHost[]): SshHost {
  return route.at(-1) as SshHost;
}

function clientWords(route: readonly SshHost[], options: SshOptions): string[] {
  const { alias } = lastOf(route);
  const { settings, family, questions, unknown } = options;
  const young = YOUNG.filter((_, at) => !unknown.has(YOUNG_KEYWORDS[at] as string));
  const keywords = [
    ...PINNED,
    `BatchMode=${questions === 'none' ? 'yes' : 'no'}`,
    `PasswordAuthentication=${questions === 'all' ? 'yes' : 'no'}`,
    `KbdInteractiveAuthentication=${questions === 'all' ? 'yes' : 'no'}`,
    `NumberOfPasswordPrompts=${PROMPTED_ATTEMPTS}`,
    `StrictHostKeyChecking=${alias.strictHostKeyChecking}`,
    `UserKnownHostsFile=${alias.knownHosts.map((file) => quote(escapePercent(file))).join(' ')}`,
    ...pinWords(alias.hostKeyFingerprint),
    ...young,
    `HostName=${quote(escapePercent(alias.hostname))}`,
    `Port=${alias.port}`,
    ...given('HostKeyAlias', alias.hostKeyAlias),
    ...identityWords(alias, settings.home),
    // Of ProxyCommand and ProxyJump the one given first switches the other off.
    `ProxyCommand=${proxyCommand(route, options) ?? 'none'}`,
    `ConnectTimeout=${alias.connectTimeout}`,
    `Compression=${alias.compression ? 'yes' : 'no'}`,
    ...given('Ciphers', alias.ciphers && formatList(alias.ciphers)),
    ...given('MACs', alias.macs && formatList(alias.macs)),
    ...given('KexAlgorithms', alias.kexAlgorithms && formatList(alias.kexAlgorithms)),
    ...given('HostKeyAlgorithms', alias.hostKeyAlgorithms && formatList(alias.hostKeyAlgorithms)),
  ];
  return [
    '-T',
    '-a',
    '-x',
    ...(alias.sshConfig ? configWords(settings) : ['-F', 'none']),
    ...(family === 0 ? [] : [`-${family}`]),
    '-l',
    alias.user,
    ...keywords.flatMap((keyword) => ['-o', keyword]),
  ];
}

function given(keyword: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${keyword}=${quote(value)}`];
}

/** The default names of ssh_config(5) IdentityFile, FIDO keys included: an old ssh is offered only what is there. */
const DEFAULT_NAMES: readonly string[] = ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk'];

/** The keys that hold without IDENTITY_FILE; undefined where they are ssh's own, which are those of passwd(5)'s home. */
function defaultIdentities(home: string): string[] | undefined {
  if (home === readAccount().home) return undefined;
  return DEFAULT_NAMES.map((name) => join(home, '.ssh', name)).filter((file) => existsSync(file));
}

function identityWords(alias: Alias, home: string): string[] {
  const { certificateFiles, identityAgent, identitiesOnly } = alias;
  const identityFiles = alias.identityFiles ?? defaultIdentities(home);
  const files = identityFiles?.map((file) => quote(escapePercent(file))) ?? [];
  return [
    ...files.map((file) => `IdentityFile=${file}`),
    ...(identityFiles?.length === 0 ? ['IdentityFile=none'] : []),
    ...certificateFiles.map((file) => `CertificateFile=${quote(escapePercent(file))}`),
    ...(identityAgent === undefined && !alias.given.has('IDENTITY_AGENT')
      ? []
      : [`IdentityAgent=${quote(escapePercent(identityAgent ?? 'SSH_AUTH_SOCK'))}`]),
    `IdentitiesOnly=${identitiesOnly ? 'yes' : 'no'}`,
  ];
}

/**
 * HOST_KEY_FINGERPRINT: ssh asks a command for further known keys, and is told that the pinned key is the host's and
 * that every other one is revoked. What the files revoke stays revoked.
 */
function pinWords(fingerprint: string | undefined): string[] {
  if (fingerprint === undefined) return [];
  const script = [
    'case $1 in',
    'NONE) ;;',
    `${fingerprint}) echo "* $2 $3" ;;`,
    '*) echo "@revoked * $2 $3" ;;',
    'esac',
  ].join(' ');
  return [`KnownHostsCommand=/bin/sh -c '${script}' sh %f %t %K`];
}

/** What carries the connection: one ssh inside the other through the gateways, PROXY_COMMAND to the first. */
function proxyCommand(route: readonly SshHost[], options: SshOptions): string | undefined {
  const before = route.slice(0, -1);
  const gateway = before.at(-1);
  if (gateway === undefined) return lastOf(route).alias.proxyCommand;
  const words = ['ssh', ...clientWords(before, options), '-o', 'ControlMaster=no', '-o', 'ControlPath=none'];
  const command = words.map((word) => shellWord(escapePercent(word))).join(' ');
  return `${command} -W '[%h]:%p' -- ${shellWord(escapePercent(gateway.name))}`;
}

function formatList({ mode, names }: AlgorithmList): string {
  const sign = { replace: '', append: '+', remove: '-', prepend: '^' }[mode];
  return sign + names.join(',');
}

/** Values are full of tokens for ssh (ssh_config(5) TOKENS); ours have none left. */
export function escapePercent(text: string): string {
  return text.replaceAll('%', '%%');
}

/** A value as one argument of a line of ssh_config. */
export function quote(value: string): string {
  return /^[\w@%+^=:,./*?-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}
