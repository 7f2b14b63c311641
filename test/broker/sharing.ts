/** A mail host and a home whose alias `work` shares its connection; every broker that comes up ends with the test. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { type BrokerStatus, listBrokers } from '../../src/broker/status.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import type { Build } from '../helpers/builds.ts';
import { type ImapClient, openImapClient } from '../helpers/imap-client.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { findProcesses, type RunningProcess, signalProcess } from '../helpers/processes.ts';
import type { SshdOptions } from '../helpers/real-sshd.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

export type LiveBroker = BrokerStatus & { readonly socket: string; readonly connections: number };

export interface Sharing {
  readonly host: MailHost;
  readonly home: TempHome;
  readonly settings: Settings;
  /** Starts pine-rsh as Pine does for the alias `work`; `words` stand in for Pine's. */
  start(words?: readonly string[], env?: Readonly<Record<string, string>>): PineChild;
  /** The same, and waits for the greeting of an imapd. */
  open(words?: readonly string[], env?: Readonly<Record<string, string>>): Promise<MailSession>;
  /** Ends a session by LOGOUT. */
  leave(session: MailSession): Promise<void>;
  brokers(): Promise<LiveBroker[]>;
  /** The only one, as soon as `ready` likes it. */
  broker(ready?: (broker: LiveBroker) => boolean): Promise<LiveBroker>;
  /** All processes of brokers, those without a socket too. */
  brokerProcesses(): RunningProcess[];
  /** How the sessions that have ended were opened, in the order of their end. */
  routes(): string[];
  /** How many logins the server has seen. */
  logins(): number;
}

export interface MailSession {
  readonly child: PineChild;
  readonly imap: ImapClient;
}

export interface SharingOptions {
  readonly sshd?: SshdOptions;
  readonly alias?: (host: MailHost) => AliasKeys;
  readonly env?: Readonly<Record<string, string>>;
}

export async function openSharing(
  scope: Scope,
  build: Build,
  options: SharingOptions = {},
): Promise<Sharing> {
  const host = await openMailHost(scope, options.sshd);
  const home = openTempHome(scope, options.env);
  endBrokers(scope, home);
  home.writeAlias('work', {
    ...host.aliasKeys,
    IMAPD: host.rimapd,
    SHARE: 'yes',
    PERSIST: 60,
    ...options.alias?.(host),
  });
  return shareHome(scope, build, host, home);
}

/** A scope for what all tests of a suite share; to be called in the suite, and usable in its hooks. */
export function openSuiteScope(): Scope {
  const undos: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const undo of undos) await undo();
  });
  return { after: (undo) => void undos.push(undo) };
}

/** Whatever still runs in that home when the test is over is killed; it would outlive the test. */
export function endBrokers(scope: Scope, home: TempHome): void {
  // One that is only just being started is found the next time.
  defer(scope, () =>
    waitUntil('the processes of a home end', () => {
      const left = findProcesses(home.dir);
      for (const { pid } of left) signalProcess(pid, 'SIGKILL');
      return left.length === 0;
    }),
  );
}

function shareHome(scope: Scope, build: Build, host: MailHost, home: TempHome): Sharing {
  const settings = readSettings(home.env);
  const pineWords = ['work', '-l', host.user, 'exec', '/etc/rimapd'];
  const start: Sharing['start'] = (words = pineWords, env = {}) =>
    runAsPine(scope, build.rshPath, words, { env: { ...home.env, ...env }, cwd: '/' });
  const brokers = async () => (await listBrokers(settings)) as LiveBroker[];
  return {
    host,
    home,
    settings,
    start,
    open: async (words, env) => {
      const child = start(words, env);
      const imap = openImapClient(child);
      assert.match(await imap.greeting(), /^\* PREAUTH (?!.*pine-rsh:)/, home.log());
      return { child, imap };
    },
    leave: async ({ child, imap }) => {
      assert.equal((await imap.ask('LOGOUT')).status, 'OK');
      const { code, signal } = await child.finish();
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, home.log());
    },
    brokers,
    broker: async (ready = () => true) =>
      waitUntil(
        'a broker',
        async () => {
          const all = await brokers();
          assert.ok(all.length <= 1, `${all.length} brokers`);
          return all[0] !== undefined && ready(all[0]) && all[0];
        },
        { detail: () => home.log() },
      ),
    brokerProcesses: () =>
      findProcesses(home.dir).filter(({ command }) => /^pine-rsh( \S+\.mjs)? --broker /.test(command)),
    routes: () => [...home.log().matchAll(/ session .* route=(\w+)/g)].map(([, route]) => route ?? ''),
    logins: () => host.log().split('Accepted publickey').length - 1,
  };
}
