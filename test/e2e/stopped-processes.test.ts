/**
 * Every process that a session needs, stopped or killed while the session is at each stage: what carries the connection,
 * the server's end of it, the imapd, the broker. A mail client gets a mailbox or a reason within the deadline, and a
 * folder that was open is closed. Stopped between login and greeting it is the silent imapd of `failures-greeting`.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openSharing, type Sharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { signalConnections } from '../helpers/faulty-host.ts';
import { authorizedKeys, makeKeyFile } from '../helpers/key-files.ts';
import { giveTo } from '../helpers/login-user.ts';
import { settleOpening } from '../helpers/pine-caller.ts';
import { signalProcess } from '../helpers/processes.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { waitUntil } from '../helpers/wait.ts';

type Stage = 'connecting' | 'authenticating' | 'greeting' | 'session';
type Victim = 'connector' | 'server' | 'imapd' | 'broker';
type Signal = 'SIGSTOP' | 'SIGKILL';

interface Case {
  readonly victim: Victim;
  readonly stage: Stage;
  readonly signal: Signal;
  /** A refusal that says so, or a mailbox; in a session how it ends. */
  readonly expected: RegExp | 'mailbox' | 'closed';
}

const PASSPHRASE = 'open sesame';
/** Seconds, where nothing else ends the wait; more elsewhere, as a busy machine is no fault. */
const SHORT_S = 5;
const LONG_S = 20;

/** CONNECT_TIMEOUT, SERVER_ALIVE_INTERVAL or the 10 s of a LOGOUT, with room for a busy machine. */
const PATIENCE = { timeout: 40_000 };

const TIMEOUT = /no answer from .* within 5 s/;
const LOST = /connection to .* (?:lost|ended|closed)/;

const CASES: readonly Case[] = [
  { victim: 'connector', stage: 'connecting', signal: 'SIGSTOP', expected: TIMEOUT },
  { victim: 'connector', stage: 'connecting', signal: 'SIGKILL', expected: /PROXY_COMMAND/ },
  { victim: 'connector', stage: 'authenticating', signal: 'SIGSTOP', expected: TIMEOUT },
  { victim: 'connector', stage: 'authenticating', signal: 'SIGKILL', expected: /PROXY_COMMAND/ },
  { victim: 'connector', stage: 'greeting', signal: 'SIGKILL', expected: /PROXY_COMMAND/ },
  { victim: 'connector', stage: 'session', signal: 'SIGSTOP', expected: 'closed' },
  { victim: 'connector', stage: 'session', signal: 'SIGKILL', expected: 'closed' },
  { victim: 'server', stage: 'authenticating', signal: 'SIGSTOP', expected: TIMEOUT },
  { victim: 'server', stage: 'authenticating', signal: 'SIGKILL', expected: LOST },
  { victim: 'server', stage: 'greeting', signal: 'SIGKILL', expected: LOST },
  { victim: 'server', stage: 'session', signal: 'SIGSTOP', expected: 'closed' },
  { victim: 'server', stage: 'session', signal: 'SIGKILL', expected: 'closed' },
  { victim: 'imapd', stage: 'greeting', signal: 'SIGKILL', expected: /imapd/ },
  { victim: 'imapd', stage: 'session', signal: 'SIGSTOP', expected: 'closed' },
  { victim: 'imapd', stage: 'session', signal: 'SIGKILL', expected: 'closed' },
  ...(['SIGSTOP', 'SIGKILL'] as const).flatMap((signal) => [
    ...(['connecting', 'authenticating', 'greeting'] as const).map(
      (stage): Case => ({ victim: 'broker', stage, signal, expected: 'mailbox' }),
    ),
    { victim: 'broker', stage: 'session', signal, expected: 'closed' } as const,
  ]),
];

/** A mail host whose sessions wait at a stage for as long as its gate is shut. */
async function openGates(scope: Scope, build: Build, { victim, stage, expected }: Case) {
  let dir = '';
  const gate = (at: Stage): string => join(dir, `gate-${at}`);
  const wait = (at: Stage): string =>
    `if [ -e ${gate(at)} ]; then : >${dir}/at-${at}; while [ -e ${gate(at)} ]; do sleep 0.05; done; fi`;
  const sharing = await openSharing(scope, build, {
    alias: (host) => {
      dir = host.home;
      const key = makeKeyFile(host.dir, 'locked', { type: 'ed25519', passphrase: PASSPHRASE });
      writeFileSync(host.authorizedKeysFile, authorizedKeys(key));
      const nc = `exec ${programPath('nc')} 127.0.0.1 ${host.port}`;
      const connector = `echo $$ >${dir}/connector\n${wait('connecting')}\n${nc}`;
      return {
        IDENTITY_FILE: key,
        IDENTITY_AGENT: 'none',
        PASSPHRASE_COMMAND: host.writeProgram('unlock', `${wait('authenticating')}\necho '${PASSPHRASE}'`),
        // Without it the end of the server's socket is seen at once; nc keeps it to itself.
        ...(victim === 'server' ? {} : { PROXY_COMMAND: host.writeProgram('connect', connector) }),
        IMAPD: host.writeProgram('gated', `${wait('greeting')}\nexec ${host.rimapd}`),
        CONNECT_TIMEOUT: expected === TIMEOUT ? SHORT_S : LONG_S,
        SERVER_ALIVE_INTERVAL: 1,
        SERVER_ALIVE_COUNT_MAX: 1,
        SHARE: victim === 'broker' ? 'yes' : 'no',
        WARM: 0,
      };
    },
  });
  const shut = stage !== 'session';
  if (shut) writeFileSync(gate(stage), '');
  giveTo(sharing.host.login, dir);
  return {
    sharing,
    reached: () => existsSync(join(dir, `at-${stage}`)),
    open: () => shut && rmSync(gate(stage)),
    connector: () => Number(readFileSync(join(dir, 'connector'), 'utf8')),
  };
}

function hit(scope: Scope, sharing: Sharing, connector: () => number, { victim, signal }: Case): void {
  const { host } = sharing;
  if (victim === 'server') signalConnections(host, signal);
  else if (victim === 'connector') signalProcess(connector(), signal);
  else {
    const all = victim === 'imapd' ? host.remoteProcesses() : sharing.brokerProcesses();
    assert.ok(all.length > 0);
    for (const { pid } of all) {
      // A stopped imapd does not see that its session has gone.
      if (signal === 'SIGSTOP') defer(scope, () => signalProcess(pid, 'SIGCONT'));
      signalProcess(pid, signal);
    }
  }
}

for (const build of BUILDS) {
  describe(`Stopped or killed (${build.name})`, {
    skip: requirePrograms('sshd', 'imap', 'ssh-keygen', 'nc') || build.skip,
    concurrency: 6,
  }, () => {
    for (const each of CASES) {
      const { victim, stage, signal, expected } = each;
      test(`${signal} to the ${victim}, ${stage}`, async (t) => {
        const { sharing, reached, open, connector } = await openGates(t, build, each);
        const child = sharing.start();
        if (expected === 'closed') assert.equal(await settleOpening(child), undefined);
        else await waitUntil(`the ${stage}`, reached, { detail: () => sharing.home.log() });
        hit(t, sharing, connector, each);
        open();
        if (expected === 'closed') {
          child.write('a1 LOGOUT\r\n');
          assert.notEqual((await child.finish(PATIENCE)).code, 0);
          return;
        }
        const text = await settleOpening(child, PATIENCE);
        if (expected !== 'mailbox') return assert.match(text ?? 'a mailbox', expected, sharing.home.log());
        assert.equal(text, undefined, sharing.home.log());
        child.write('a1 LOGOUT\r\n');
        assert.equal((await child.finish()).code, 0);
      });
    }
  });
}
