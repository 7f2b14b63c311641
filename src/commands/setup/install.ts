/** Putting keys on the hosts, trying the way that mail will take, and taking everything back if it does not work. */
import { Failure } from '../../errors.ts';
import { imapdCommand } from '../../imap/imapd-command.ts';
import { Log } from '../../log.ts';
import { formatAddress } from '../../transport/address.ts';
import type { Prompt } from '../../transport/prompt.ts';
import type { Connection } from '../../transport/transport.ts';
import { findHop } from '../find-hop.ts';
import { runRemote } from '../remote-program.ts';
import type { Answers } from './answers.ts';
import {
  dialectOf,
  findFormerLines,
  formatKeyOptions,
  installKey,
  installScript,
  removeKey,
  restoreScript,
} from './authorized-key.ts';
import { formatAliasFile, type VisitedHost } from './host-plan.ts';
import { openInbox } from './programs.ts';
import { formatServerCommands } from './server-commands.ts';
import type { Staging } from './staging.ts';

export interface InstallPlan {
  /** The gateways in the order of the way, then the mail host. */
  readonly hosts: readonly VisitedHost[];
  readonly imapd: string;
  readonly sendmail: string | undefined;
  /** `HOST:PORT` that the key may connect to from the mail host. */
  readonly forwards: readonly string[];
}

export interface InstallContext {
  readonly answers: Answers;
  readonly staging: Staging;
  readonly signal: AbortSignal;
  readonly prompt: Prompt | undefined;
}

export interface Installed {
  readonly greeting: string;
  /** A person is asked at every login. */
  readonly needsPerson: boolean;
  /** Takes the keys off the hosts again. */
  undo(): Promise<void>;
}

/** @throws {Failure} whatever keeps the mailbox from opening; the hosts are as before then */
export async function installKeys(plan: InstallPlan, context: InstallContext): Promise<Installed> {
  const undos: (() => Promise<void>)[] = [];
  const undo = async (): Promise<void> => {
    for (const each of undos.toReversed()) await each();
  };
  try {
    for (const [at, host] of plan.hosts.entries()) {
      if (host.key !== undefined) await installOn(host, plan.hosts[at + 1], plan, context.answers, undos);
      stage(host, plan, context.staging);
    }
    return { ...(await tryMailbox(plan, context)), undo };
  } catch (thrown) {
    await undo();
    throw undos.length > 0 ? explainRefusedKey(thrown, plan) : thrown;
  }
}

/** The host has the key, and looks for keys elsewhere (AuthorizedKeysFile), or does not know an option of its line. */
function explainRefusedKey(thrown: unknown, { hosts }: InstallPlan): unknown {
  if (!(thrown instanceof Failure) || thrown.code !== 'login-refused') return thrown;
  const { hostname, port } = (hosts.at(-1) as VisitedHost).alias;
  const why = 'it was put there, but the host did not take it';
  return new Failure('key-not-installed', { address: formatAddress(hostname, port), why }, { cause: thrown });
}

async function installOn(
  { name, role, alias, connection, software, key }: VisitedHost,
  next: VisitedHost | undefined,
  { imapd, sendmail, forwards }: InstallPlan,
  answers: Answers,
  undos: (() => Promise<void>)[],
): Promise<void> {
  const address = formatAddress(alias.hostname, alias.port);
  const script = `pine-rsh-${name}`;
  let command: string | undefined;
  if (role === 'mail' && sendmail !== undefined) {
    command = await installScript(connection, script, formatServerCommands(imapd, sendmail), address);
    undos.push(() => restoreScript(connection, script));
  } else if (role === 'mail') command = imapdCommand(imapd);
  const targets = next === undefined ? forwards : [formatTarget(next.alias.hostname, next.alias.port)];
  const dialect = dialectOf(software);
  const rights = formatKeyOptions({ command, forwards: targets }, dialect);
  const publicKey = key?.publicKey ?? '';
  const line = `${rights} ${publicKey}`;
  if (await installKey(connection, line, address)) undos.push(() => removeKey(connection, line));
  for (const former of await findFormerLines(connection, line, publicKey)) {
    await removeKey(connection, former);
    undos.push(async () => void (await installKey(connection, former, address).catch(() => {})));
  }
  answers.say(`authorized_keys on ${address} gives the key these rights: ${rights}`);
  if (targets.length > 0 && !dialect.permitlisten) {
    answers.say(`warning: ${software} there cannot keep the key from listening on ports of that host, too`);
  }
}

/** As permitopen takes it: the port always, IPv6 in brackets. */
function formatTarget(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The alias as it will be, but with the key and the known hosts that are not in their places yet. */
function stage(host: VisitedHost, plan: InstallPlan, staging: Staging): void {
  const { name, alias, key } = host;
  const file = key?.text === undefined ? key?.file : staging.writeKey(name, key.text);
  const knownHosts = [staging.knownHosts, ...alias.knownHosts].join(',');
  const keys = {
    ...finalKeys(host, plan),
    KNOWN_HOSTS: knownHosts,
    ...(file !== undefined && { IDENTITY_FILE: file }),
  };
  staging.writeAlias(name, formatAliasFile('not in its place yet', keys));
}

/** What the alias file says in the end. */
export function finalKeys(
  { role, keys, key }: VisitedHost,
  { imapd, sendmail }: InstallPlan,
): VisitedHost['keys'] {
  return {
    ...keys,
    ...(key !== undefined && { IDENTITY_FILE: key.file, IDENTITIES_ONLY: 'yes' }),
    ...(role === 'mail' && { IMAPD: imapd === 'auto' ? undefined : imapd, SENDMAIL: sendmail }),
  };
}

/** Logs in anew, as pine-rsh will. */
async function tryMailbox(
  { hosts }: InstallPlan,
  { answers, staging, signal, prompt }: InstallContext,
): Promise<Omit<Installed, 'undo'>> {
  const { settings } = staging;
  const { name, key } = hosts.at(-1) as VisitedHost;
  const context = { settings, log: new Log(settings.stateDir, 0), family: 0, signal } as const;
  const { alias } = await findHop(name, context);
  const { connect } = await import('../../transport/connect.ts');
  let needsPerson = false;
  const connection = await connect(alias, context).catch(async (thrown) => {
    needsPerson =
      thrown instanceof Failure &&
      /^(?:login-needs-person|login-unfinished|identity-encrypted)$/.test(thrown.code);
    if (!needsPerson || prompt === undefined) throw thrown;
    return await connect(alias, { ...context, prompt });
  });
  try {
    const greeting = await openInbox(connection, alias, { stateDir: settings.stateDir, signal });
    if (key !== undefined && (await runsAnything(connection))) {
      answers.say(
        `warning: ${alias.hostname} lets this key run any command: another line of authorized_keys has it too, or the server there ignores what such a line says`,
      );
    }
    return { greeting, needsPerson };
  } finally {
    connection.close();
  }
}

/** Whether a key that should be limited to one command is not. The answer is computed, as the question may be echoed. */
async function runsAnything(connection: Connection): Promise<boolean> {
  const answer = await runRemote(connection, "exec /bin/sh -c 'echo free-$((6 * 7))'").catch(() => undefined);
  return /^free-42$/m.test(answer?.stdout ?? '');
}
