/** Which hosts there are to set up, and a visit to each of them: the gateways first. */
import { existsSync } from 'node:fs';
import { aliasFile, hostsFolder } from '../../alias/config-folder.ts';
import { parseJumpHost } from '../../alias/host-value.ts';
import { lookupAlias } from '../../alias/lookup.ts';
import { listOf } from '../../alias/value.ts';
import { Failure } from '../../errors.ts';
import { Log } from '../../log.ts';
import { formatAddress } from '../../transport/address.ts';
import { findHop } from '../find-hop.ts';
import { resolveName } from '../resolve-name.ts';
import type { SetupRun } from '../setup.ts';
import { chooseKey } from './choose-key.ts';
import {
  type AliasKeys,
  formatAliasFile,
  type Place,
  parsePlace,
  proposeName,
  type VisitedHost,
  whyNoAliasName,
} from './host-plan.ts';
import { visitHost } from './visit.ts';

/** The name of the alias; one that is there only if it may be replaced. @throws {Failure} `usage`, `alias-exists` */
export async function chooseName({ settings, options, answers }: SetupRun): Promise<string> {
  const name = await answers.get({
    name: 'alias',
    text: 'what are the folders to be called, such as work',
    option: 'an alias',
    given: options.alias,
    proposal: undefined,
    check: whyNoAliasName,
  });
  const file = aliasFile(hostsFolder(settings.configDirs[0]), name);
  if (existsSync(file) && !options.replace) {
    const replace = await answers.getYesNo({
      name: 'replace',
      text: `${file} is there: replace it`,
      option: '--replace',
      given: undefined,
      proposal: false,
    });
    if (!replace) throw new Failure('alias-exists', { file });
  }
  return name;
}

/** Visits the gateways and the host; each is added to `hosts` at once, so that its connection gets closed. */
export async function visitAll(name: string, run: SetupRun, hosts: VisitedHost[]): Promise<void> {
  const jumps = await visitGateways(name, run, hosts);
  const keys: AliasKeys = {
    ...(await choosePlace(name, run)),
    PROXY_JUMP: jumps.length === 0 ? undefined : jumps.join(','),
  };
  hosts.push(await visit({ name, role: 'mail', keys }, run));
  await warnOfName(name, run);
}

/** Gives their names in the order of the way. @throws {Failure} `usage` */
async function visitGateways(name: string, run: SetupRun, hosts: VisitedHost[]): Promise<string[]> {
  const { jump } = run.options;
  if (jump === undefined) return [];
  const parsed = listOf(parseJumpHost)(jump, '');
  if (!('value' in parsed)) {
    throw new Failure('usage', { problem: '--jump is aliases or USER@HOST:PORT, separated by commas' });
  }
  const names: string[] = [];
  for (const place of parsed.value) {
    if (isAlias(place, run)) {
      names.push(place.host);
      continue;
    }
    const gateway = proposeName(place.host);
    if (gateway === name || names.includes(gateway) || isAlias({ ...place, host: gateway }, run)) {
      throw new Failure('usage', {
        problem: `there is an alias ${gateway} already: set up ${place.host} under another name first`,
      });
    }
    const before = names.length === 0 ? undefined : names.join(',');
    hosts.push(
      await visit(
        { name: gateway, role: 'gateway', keys: { ...formatPlace(place), PROXY_JUMP: before } },
        run,
      ),
    );
    names.push(gateway);
  }
  return names;
}

function isAlias({ host }: Place, { staging }: SetupRun): boolean {
  if (whyNoAliasName(host.toLowerCase()) !== undefined) return false;
  const query = { host, user: undefined, port: undefined, options: new Map<string, string>() };
  return lookupAlias(staging.settings, query).kind === 'managed';
}

function formatPlace({ host, user, port }: Place): AliasKeys {
  return { HOSTNAME: host, PORT: port, USER: user };
}

/** What ~/.ssh/config calls by the alias's name is proposed, and then left to it. */
async function choosePlace(name: string, run: SetupRun): Promise<AliasKeys> {
  const { options, answers, settings } = run;
  const configured = await readSshConfig(name, run);
  const answer = await answers.get({
    name: 'place',
    about: ['where is the mail: USER@HOST, or USER@HOST:PORT where sshd has a port of its own'],
    text: 'USER@HOST',
    option: 'USER@HOST',
    given: options.place,
    proposal: configured?.shown,
    check: (text) => {
      const place = parsePlace(text);
      return 'wrong' in place ? place.wrong : undefined;
    },
  });
  if (configured !== undefined && answer === configured.shown) return { USER: configured.user };
  const place = parsePlace(answer) as Place;
  return formatPlace({ ...place, user: place.user ?? settings.loginName });
}

async function readSshConfig(
  name: string,
  { staging, signal }: SetupRun,
): Promise<{ readonly shown: string; readonly user: string } | undefined> {
  const { settings } = staging;
  staging.writeAlias(name, formatAliasFile('asking ssh_config', {}));
  const context = { settings, log: new Log(settings.stateDir, 0), family: 0, signal } as const;
  const { alias } = await findHop(name, context);
  const { hostname, user, port } = alias;
  if (hostname === name && alias.proxyCommand === undefined) return undefined;
  return { shown: `${user}@${formatAddress(hostname, port)}`, user };
}

async function visit(host: Pick<VisitedHost, 'name' | 'role' | 'keys'>, run: SetupRun): Promise<VisitedHost> {
  const { name, keys } = host;
  const { staging } = run;
  const stage = (more: AliasKeys): void =>
    staging.writeAlias(name, formatAliasFile('not in its place yet', { ...keys, ...more }));
  stage({});
  // What an administrator told is about the mail host.
  const fingerprint = host.role === 'mail' ? run.fingerprint : undefined;
  const visited = await visitHost(name, { ...run, fingerprint });
  // From here on it may be a gateway to the next.
  stage({ KNOWN_HOSTS: [staging.knownHosts, ...visited.alias.knownHosts].join(',') });
  try {
    return { ...host, ...visited, key: await chooseKey(host, visited, run) };
  } catch (thrown) {
    visited.connection.close();
    throw thrown;
  }
}

/** A name that DNS knows leaves Alpine a host to fall back to. */
async function warnOfName(name: string, { answers, signal }: SetupRun): Promise<void> {
  const address = await resolveName(name, signal);
  if (address === undefined) return;
  answers.say(
    `warning: ${name} is a name of ${address}, too: a name that DNS does not know is safer (pine-rshctl doctor ${name} says why)`,
  );
}
