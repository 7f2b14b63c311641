/** Logging in to a host that has no alias yet: its key is looked at, then ours are tried, then a person is asked. */
import type { Alias } from '../../alias/alias.ts';
import { Failure } from '../../errors.ts';
import { Log } from '../../log.ts';
import { formatAddress } from '../../transport/address.ts';
import { nameHost } from '../../transport/known-hosts.ts';
import type { Prompt } from '../../transport/prompt.ts';
import type { Connection } from '../../transport/transport.ts';
import { findHop } from '../find-hop.ts';
import { type DialogueOptions, decideHostKeys, type HostKeyDecision } from '../host-key-dialogue.ts';
import { Declined } from './answers.ts';
import type { Staging } from './staging.ts';

export interface VisitOptions extends DialogueOptions {
  readonly staging: Staging;
  readonly prompt: Prompt | undefined;
}

export interface Visit {
  /** As it will be, with what ssh_config adds to it. */
  readonly alias: Alias;
  readonly connection: Connection;
  readonly decision: HostKeyDecision;
  /** What its server calls itself: `OpenSSH_9.2p1`. */
  readonly software: string;
  /** A key of the person's has opened it. */
  readonly byKey: boolean;
}

/**
 * @param name of an alias in the staging folder
 * @throws {Failure} whatever keeps us from getting in @throws {Declined}
 */
export async function visitHost(name: string, options: VisitOptions): Promise<Visit> {
  const { staging, prompt, signal } = options;
  const { settings } = staging;
  const context = { settings, log: new Log(settings.stateDir, 0), family: 0, signal, prompt } as const;
  const { alias, gateways } = await findHop(name, context);
  const [{ fetchHostKeys }, { connect }] = await Promise.all([
    import('../../transport/fetch-host-keys.ts'),
    import('../../transport/connect.ts'),
  ]);
  let software = '';
  const onStep = (step: string, detail = ''): void => {
    if (step === 'software') software = detail;
  };
  const blobs = await fetchHostKeys(alias, gateways, { ...context, onStep });
  const decision = await decideHostKeys(alias, blobs, options);
  if (decision === undefined) throw new Declined();
  staging.trust(nameHost(alias.hostname, alias.port, alias.hostKeyAlias), decision.fresh);
  const title = `${alias.user}@${formatAddress(alias.hostname, alias.port)}`;
  const knownHosts = [staging.knownHosts, ...alias.knownHosts];
  let byKey = true;
  let declined = false;
  const login = async (each: Alias): Promise<Connection> =>
    await connect(each, {
      ...context,
      prompt:
        prompt &&
        (async (request) => {
          if (request.kind !== 'passphrase' && request.title === title) byKey = false;
          const answers = await prompt(request);
          declined ||= answers === undefined;
          return answers;
        }),
    });
  try {
    return { alias, connection: await login({ ...alias, knownHosts }), decision, software, byKey };
  } catch (thrown) {
    if (declined) throw new Declined();
    // A host that counts keys, and hangs up before it would ask for a password.
    const counted = thrown instanceof Failure && thrown.code === 'login-too-many-keys';
    if (!counted || prompt === undefined) throw thrown;
    const keyless = { ...alias, knownHosts, identityFiles: [], identityAgent: 'none' };
    return { alias, connection: await login(keyless), decision, software, byKey: false };
  }
}
