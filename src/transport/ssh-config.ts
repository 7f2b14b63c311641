/**
 * SSH_CONFIG=yes: what an alias leaves open is taken from the user's ~/.ssh/config, as the installed ssh understands it
 * (`ssh -G`): Match, Include, tokens and all. What ssh would do without any configuration (`ssh -F none -G`) counts as
 * unset, so that our own defaults hold there. Asked before a connection is made, never for one that is there already.
 *
 * Nothing here weakens the check of host keys: StrictHostKeyChecking, KnownHostsCommand, VerifyHostKeyDNS and
 * UpdateHostKeys are not looked at, and a known_hosts file that is /dev/null or `none` counts as not given.
 *
 * Without a ~/.ssh/config no process is started: /etc/ssh/ssh_config alone, which every system has, is not asked. Where
 * HOME is not the home of passwd(5) the file in HOME counts, and ssh reads it without /etc/ssh/ssh_config (ssh(1) -F).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { parseAlgorithms, parseHostname, parseJumpHost, parsePort, parseUser } from '../alias/host-value.ts';
import { ALIAS_KEYS, type BOUNDS } from '../alias/keys.ts';
import { fitSshValue } from '../alias/ssh-value.ts';
import { listOf, type ValueParser } from '../alias/value.ts';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './address.ts';
import { configWords, escapePercent, quote, sshConfigFile } from './openssh-options.ts';
import { type QueryContext, querySsh, type SshAnswer } from './openssh-query.ts';

export interface SshConfigContext {
  readonly settings: Pick<Settings, 'home'>;
  readonly log: QueryContext['log'];
  /** Ends the question; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** Of ssh_config(5) HostName and the like: the keyword and the alias key that wins over it. */
interface Source {
  readonly answer: SshAnswer;
  readonly preset: SshAnswer;
  readonly alias: Alias;
  /** Has ssh put in what tokens, variables and `~` stand for. */
  readonly expand: (template: string) => Promise<string>;
}

/**
 * The alias with what ssh_config adds to it. Unchanged with SSH_CONFIG=no, without a ~/.ssh/config, and where ssh is
 * not installed.
 *
 * @throws {Failure} `ssh-config-refused`, `connect-timeout` after CONNECT_TIMEOUT
 */
export async function fillFromSshConfig(alias: Alias, context: SshConfigContext): Promise<Alias> {
  const { settings, log } = context;
  if (!alias.sshConfig || !hasContent(sshConfigFile(settings.home))) return alias;
  const deadline = new AbortController();
  const onAbort = (): void => deadline.abort(context.signal.reason);
  if (context.signal.aborted) onAbort();
  context.signal.addEventListener('abort', onAbort, { once: true });
  const seconds = alias.connectTimeout;
  const timer = setTimeout(() => {
    const address = formatAddress(alias.hostname, alias.port);
    deadline.abort(new Failure('connect-timeout', { address, seconds, stage: 'reading ssh_config' }));
  }, seconds * 1000);
  try {
    return await fill(alias, settings, { log, alias: alias.name, signal: deadline.signal });
  } finally {
    clearTimeout(timer);
    context.signal.removeEventListener('abort', onAbort);
  }
}

/** Something else than comments. */
function hasContent(file: string): boolean {
  try {
    return /^[^\S\n]*[^\s#]/m.test(readFileSync(file, 'latin1'));
  } catch {
    // ssh passes over a file that it cannot read, too.
    return false;
  }
}

async function fill(
  alias: Alias,
  settings: SshConfigContext['settings'],
  query: QueryContext,
): Promise<Alias> {
  const { given, hostname } = alias;
  const files = configWords(settings);
  const words = [
    ...(given.has('USER') ? ['-l', alias.user] : []),
    ...(given.has('PORT') ? ['-p', String(alias.port)] : []),
    '--',
    hostname,
  ];
  const [answer, preset] = await Promise.all([
    querySsh([...files, ...words], query),
    querySsh(['-F', 'none', ...words], query),
  ]);
  if (answer === undefined || preset === undefined) {
    query.log.record('ssh-config-skipped', { alias: alias.name, why: 'ssh is not installed' });
    return alias;
  }
  const expand = (template: string): Promise<string> =>
    expandTokens(template, settings.home, [...files], words, query);
  const source: Source = { answer, preset, alias, expand };
  const changes = {
    ...readPlace(source),
    ...(await readIdentities(source)),
    ...readHostKeys(source, settings.home),
    ...readProxy(source),
    ...readTimes(source),
    ...readAlgorithms(source),
  };
  query.log.detail('ssh-config', { alias: alias.name, keys: Object.keys(changes).join(',') || 'none' });
  return Object.freeze({ ...alias, ...changes });
}

/** The values of a keyword, if the alias leaves the key open and ssh_config says anything about it. */
function valuesOf({ answer, preset, alias }: Source, keyword: string, key: string): readonly string[] {
  if (alias.given.has(key)) return [];
  const values = answer.get(keyword) ?? [];
  return JSON.stringify(values) === JSON.stringify(preset.get(keyword) ?? []) ? [] : values;
}

/** `{ [name]: value }` if ssh_config gives one. @throws {Failure} `ssh-config-refused` for a value that does not fit */
function take<K extends string, T>(
  source: Source,
  [keyword, key, name]: readonly [keyword: string, key: string, name: K],
  parse: ValueParser<T>,
): Partial<Record<K, T>> {
  const [value] = valuesOf(source, keyword, key);
  if (value === undefined) return {};
  const parsed = parse(value, '');
  if ('value' in parsed) return { [name]: parsed.value } as Record<K, T>;
  throw new Failure('ssh-config-refused', { why: `pine-rsh cannot use its ${keyword}` });
}

function readPlace(source: Source): Partial<Alias> {
  return {
    ...take(source, ['hostname', 'HOSTNAME', 'hostname'], parseHostname),
    ...take(source, ['port', 'PORT', 'port'], parsePort),
    ...take(source, ['user', 'USER', 'user'], parseUser),
  };
}

async function readIdentities(source: Source): Promise<Partial<Alias>> {
  const changes: { -readonly [K in keyof Alias]?: Alias[K] } = {};
  const files = await expandAll(source, valuesOf(source, 'identityfile', 'IDENTITY_FILE'));
  if (files.length > 0) changes.identityFiles = files.flatMap(findIdentity);
  const certificates = await expandAll(source, valuesOf(source, 'certificatefile', 'CERTIFICATE_FILE'));
  if (certificates.length > 0) changes.certificateFiles = certificates.filter((file) => existsSync(file));
  const [agent] = valuesOf(source, 'identityagent', 'IDENTITY_AGENT');
  if (agent !== undefined) changes.identityAgent = await readAgent(source, agent);
  return {
    ...changes,
    ...take(source, ['identitiesonly', 'IDENTITIES_ONLY', 'identitiesOnly'], parseSwitch),
  };
}

/** ssh says nothing about key files that do not exist; of one whose key an agent holds the public half will do. */
function findIdentity(file: string): string[] {
  if (file === 'none') return [];
  return [file, `${file}.pub`].filter((each) => existsSync(each)).slice(0, 1);
}

/** `none`, a socket, or the name of a variable that holds one. */
async function readAgent({ expand }: Source, agent: string): Promise<string | undefined> {
  if (agent === 'none') return agent;
  if (agent === 'SSH_AUTH_SOCK') return undefined;
  const variable = /^\$(\w+)$/.exec(agent)?.[1];
  return expand(variable === undefined ? agent : `\${${variable}}`);
}

/** The user's files first; where ssh_config names only the one kind, our defaults stand for the other. */
function readHostKeys(source: Source, home: string): Partial<Alias> {
  const alias = take(source, ['hostkeyalias', 'HOST_KEY_ALIAS', 'hostKeyAlias'], parseHostname);
  const [user, system] = ['userknownhostsfile', 'globalknownhostsfile'].map((keyword) =>
    splitPaths(valuesOf(source, keyword, 'KNOWN_HOSTS')[0] ?? '').filter(
      (file) => file !== 'none' && file !== '/dev/null',
    ),
  ) as [string[], string[]];
  if (user.length === 0 && system.length === 0) return alias;
  const [ownDefault, systemDefault] = [join(home, '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts'];
  const knownHosts = [
    ...(user.length > 0 ? user : [ownDefault]),
    ...(system.length > 0 ? system : [systemDefault]),
  ];
  return { ...alias, knownHosts };
}

/** ssh prints the files behind each other, blanks within their names included; all of them are absolute. */
function splitPaths(line: string): string[] {
  return line.split(/ (?=\/|~|none$)/).filter((path) => path !== '');
}

function readProxy(source: Source): Partial<Alias> {
  // As in ssh_config(5), of ProxyJump and ProxyCommand the one set first switches the other off.
  if (source.alias.given.has('PROXY_COMMAND') || source.alias.given.has('PROXY_JUMP')) return {};
  const name = source.alias.hostname;
  const [command] = valuesOf(source, 'proxycommand', 'PROXY_COMMAND');
  if (command !== undefined) {
    if (command === 'none') return {};
    return { proxyCommand: command.replace(/%(.)/g, (token, letter) => (letter === 'n' ? name : token)) };
  }
  const tokens: Readonly<Record<string, string>> = {
    '%': '%',
    h: source.answer.get('hostname')?.[0] ?? name,
    n: name,
    p: source.answer.get('port')?.[0] ?? '',
    r: source.answer.get('user')?.[0] ?? '',
  };
  const parse = listOf(parseJumpHost);
  return take(source, ['proxyjump', 'PROXY_JUMP', 'proxyJump'], (text, home) =>
    text === 'none'
      ? { value: [] }
      : parse(
          text.replace(/%(.)/g, (token, letter: string) => tokens[letter] ?? token),
          home,
        ),
  );
}

function readTimes(source: Source): Partial<Alias> {
  return {
    ...takeNumber(source, ['connecttimeout', 'CONNECT_TIMEOUT', 'connectTimeout']),
    ...takeNumber(source, ['serveraliveinterval', 'SERVER_ALIVE_INTERVAL', 'serverAliveInterval']),
    ...takeNumber(source, ['serveralivecountmax', 'SERVER_ALIVE_COUNT_MAX', 'serverAliveCountMax']),
  };
}

/** `take` for a number or a time: what stands for no limit counts as unset. */
function takeNumber<K extends string>(
  source: Source,
  names: readonly [keyword: string, key: keyof typeof BOUNDS, name: K],
): Partial<Record<K, number>> {
  const [keyword, key] = names;
  const [value] = valuesOf(source, keyword, key);
  const fit = value === undefined ? undefined : fitSshValue(key, value);
  return fit === undefined ? {} : take(source, names, (_, home) => ALIAS_KEYS[key].parse(fit, home));
}

function readAlgorithms(source: Source): Partial<Alias> {
  return {
    ...take(source, ['ciphers', 'CIPHERS', 'ciphers'], parseAlgorithms),
    ...take(source, ['macs', 'MACS', 'macs'], parseAlgorithms),
    ...take(source, ['kexalgorithms', 'KEX_ALGORITHMS', 'kexAlgorithms'], parseAlgorithms),
    ...take(source, ['hostkeyalgorithms', 'HOST_KEY_ALGORITHMS', 'hostKeyAlgorithms'], parseAlgorithms),
    ...take(source, ['compression', 'COMPRESSION', 'compression'], parseSwitch),
  };
}

/** ssh -G prints yes and no, or true and false. */
const parseSwitch: ValueParser<boolean> = (text) => ({ value: text === 'yes' || text === 'true' });

function expandAll({ expand }: Source, templates: readonly string[]): Promise<string[]> {
  return Promise.all(templates.map((template) => expand(template)));
}

/**
 * `ssh -G` prints IdentityFile and its like as they are written. It does put in what ControlPath's tokens stand for,
 * which has the same ones (ssh_config(5) TOKENS); so ssh is asked what such a ControlPath would be.
 */
async function expandTokens(
  template: string,
  home: string,
  files: readonly string[],
  words: readonly string[],
  query: QueryContext,
): Promise<string> {
  const own = template === '~' || template.startsWith('~/');
  const path = own ? template.slice(1) : template;
  const prefix = own ? home : '';
  if (!/%|\$\{|^~/.test(path)) return prefix + path;
  const wanted = own ? escapePercent(home) + path : path;
  const answer = await querySsh([...files, '-o', `ControlPath=${quote(wanted)}`, ...words], query);
  return answer?.get('controlpath')?.[0] ?? prefix + path;
}
