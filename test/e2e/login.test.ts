/** Getting in: identities of every kind, gateways and algorithms against real servers, each with its right outcome. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openDropbear, requireDropbear } from '../helpers/dropbear.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { authorizedKeys, fingerprintOf, makeKeyFile } from '../helpers/key-files.ts';
import { listProcesses, waitForNoProcess } from '../helpers/processes.ts';
import { openRealSshd, type RealSshd } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { type RunOptions, type RunResult, runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import { openSshAgent, type SshAgent } from '../helpers/ssh-agent.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'ssh-agent', 'ssh-add', 'ssh-keygen', 'openssl');

/** With what a shell would take apart. */
const PASSPHRASE = 'Tr0ub4dor & "3" $HOME caf\u00e9';

/** All keys that the tests log in with; made once. */
function makeKeys(dir: string) {
  const make = (name: string, spec: Parameters<typeof makeKeyFile>[2]) => makeKeyFile(dir, name, spec);
  return {
    ed25519: make('ed25519', { type: 'ed25519' }),
    ecdsa256: make('ecdsa256', { type: 'ecdsa-256' }),
    ecdsa384: make('ecdsa384', { type: 'ecdsa-384' }),
    ecdsa521: make('ecdsa521', { type: 'ecdsa-521' }),
    rsa: make('rsa', { type: 'rsa-2048' }),
    rsaPem: make('rsa-pem', { type: 'rsa-2048', format: 'pem' }),
    ecdsaPem: make('ecdsa-pem', { type: 'ecdsa-384', format: 'pem' }),
    ed25519Pkcs8: make('ed25519-pkcs8', { type: 'ed25519', format: 'pkcs8' }),
    ecdsaPkcs8: make('ecdsa-pkcs8', { type: 'ecdsa-521', format: 'pkcs8' }),
    rsaPkcs8: make('rsa-pkcs8', { type: 'rsa-2048', format: 'pkcs8' }),
    locked: make('locked', { type: 'ed25519', passphrase: PASSPHRASE }),
    lockedGcm: make('locked-gcm', {
      type: 'ecdsa-256',
      passphrase: PASSPHRASE,
      cipher: 'aes256-gcm@openssh.com',
    }),
    lockedRsa: make('locked-rsa', { type: 'rsa-2048', passphrase: PASSPHRASE }),
    lockedPem: make('locked-pem', { type: 'rsa-2048', format: 'pem', passphrase: PASSPHRASE }),
    lockedPkcs8: make('locked-pkcs8', { type: 'ed25519', format: 'pkcs8', passphrase: PASSPHRASE }),
  };
}

type Keys = ReturnType<typeof makeKeys>;

const STRANGERS = 8;

/** They mostly wait for servers to start. */
const CONCURRENCY = 3;

interface Suite {
  readonly keys: Keys;
  /** Keys that no server knows. */
  readonly strangers: readonly string[];
  readonly dir: string;
}

/** What a case starts with; it may add to it. */
interface Setup extends Suite {
  readonly t: TestContext;
  readonly build: Build;
  readonly server: RealSshd;
  readonly home: TempHome;
  /** Prints the passphrase. */
  readonly printPassphrase: string;
  openAgent(): Promise<SshAgent>;
}

interface Plan {
  readonly alias?: AliasKeys;
  readonly env?: Readonly<Record<string, string>>;
}

interface Outcome {
  /** The words on stderr; without it the session opens. */
  readonly fails?: RegExp;
  /** Looks at what was left behind. */
  readonly check?: (setup: Setup, result: RunResult) => unknown;
}

interface Case extends Outcome {
  readonly title: string;
  readonly sshd?: readonly string[];
  readonly plan: (setup: Setup) => Plan | Promise<Plan>;
  readonly skip?: string | false;
}

const TOUCH = (home: TempHome) => join(home.dir, 'asked');

const IDENTITIES: readonly Case[] = [
  ...(
    [
      ['Ed25519', 'ed25519'],
      ['ECDSA P-256', 'ecdsa256'],
      ['ECDSA P-384', 'ecdsa384'],
      ['ECDSA P-521', 'ecdsa521'],
      ['RSA', 'rsa'],
      ['RSA in PKCS #1', 'rsaPem'],
      ['ECDSA in SEC 1', 'ecdsaPem'],
      ['Ed25519 in PKCS #8', 'ed25519Pkcs8'],
      ['ECDSA in PKCS #8', 'ecdsaPkcs8'],
      ['RSA in PKCS #8', 'rsaPkcs8'],
    ] as const
  ).map(
    ([name, key]): Case => ({
      title: `A key file opens: ${name}`,
      plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys[key] } }),
    }),
  ),
  ...(
    [
      ['Ed25519', 'locked'],
      ['ECDSA, AES-GCM', 'lockedGcm'],
      ['RSA', 'lockedRsa'],
      ['RSA in PKCS #1', 'lockedPem'],
      ['Ed25519 in PKCS #8', 'lockedPkcs8'],
    ] as const
  ).map(
    ([name, key]): Case => ({
      title: `PASSPHRASE_COMMAND unlocks a key: ${name}`,
      plan: ({ keys, printPassphrase }) => ({
        alias: { IDENTITY_FILE: keys[key], PASSPHRASE_COMMAND: printPassphrase },
      }),
    }),
  ),
  {
    title: 'PASSPHRASE_COMMAND is told which key, has no terminal and no input',
    plan: ({ keys, home, printPassphrase }) => ({
      alias: {
        IDENTITY_FILE: keys.locked,
        PASSPHRASE_COMMAND: `{ echo "$PINE_RSH_KEY $PINE_RSH_ALIAS"; cat; tty; ps -o pid=,sid= -p $$; } >${TOUCH(home)}; ${printPassphrase}`,
      },
    }),
    check: ({ home, keys }) => {
      const [names, terminal, ids = ''] = readFileSync(TOUCH(home), 'utf8').split('\n');
      assert.deepEqual([names, terminal], [`${keys.locked} work`, 'not a tty']);
      const [pid, session] = ids.trim().split(/\s+/);
      assert.equal(pid, session, 'it leads a session of its own');
    },
  },
  {
    title: 'The time of PASSPHRASE_COMMAND does not count',
    plan: ({ keys, printPassphrase }) => ({
      alias: {
        IDENTITY_FILE: keys.locked,
        PASSPHRASE_COMMAND: `sleep 2.5; ${printPassphrase}`,
        CONNECT_TIMEOUT: 2,
      },
    }),
  },
  {
    title: 'PASSPHRASE_COMMAND may leave a program in the background that holds its output',
    plan: ({ keys, home, printPassphrase }) => ({
      alias: {
        IDENTITY_FILE: keys.locked,
        PASSPHRASE_COMMAND: `sleep 20 & echo $! >${TOUCH(home)}; ${printPassphrase}`,
      },
    }),
    check: ({ home }, { ms }) => {
      process.kill(Number(readFileSync(TOUCH(home), 'utf8')));
      assert.ok(ms < 10_000);
    },
  },
  {
    title: 'PASSPHRASE_COMMAND is not run for a key that the server does not want',
    plan: ({ keys, home, server, printPassphrase }) => {
      writeFileSync(server.authorizedKeysFile, authorizedKeys(keys.rsa));
      return {
        alias: {
          IDENTITY_FILE: `${keys.locked},${keys.rsa}`,
          PASSPHRASE_COMMAND: `touch ${TOUCH(home)}; ${printPassphrase}`,
        },
      };
    },
    check: ({ home }) => assert.equal(existsSync(TOUCH(home)), false),
  },
  {
    title: 'A wrong passphrase is told',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.locked, PASSPHRASE_COMMAND: 'echo wrong' } }),
    fails: /work: the passphrase for \S*\/locked is wrong; check PASSPHRASE_COMMAND/,
  },
  {
    title: 'A wrong passphrase for a PEM key is told',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.lockedPem, PASSPHRASE_COMMAND: 'echo wrong' } }),
    fails: /work: the passphrase for \S*\/locked-pem is wrong/,
  },
  {
    title: 'A PASSPHRASE_COMMAND that fails is told, with its words in the log',
    plan: ({ keys }) => ({
      alias: { IDENTITY_FILE: keys.locked, PASSPHRASE_COMMAND: 'echo the store is locked >&2; exit 3' },
    }),
    fails: /work: PASSPHRASE_COMMAND gave no passphrase for \S*\/locked \(status 3\); run it by hand/,
    check: ({ home }) =>
      assert.match(home.log(), /program=PASSPHRASE_COMMAND end="status 3" stderr="the store is locked"/),
  },
  {
    title: 'Of two keys the one that opens counts, though the other cannot be unlocked',
    plan: ({ keys }) => ({
      alias: { IDENTITY_FILE: `${keys.locked},${keys.ed25519}`, PASSPHRASE_COMMAND: 'exit 1' },
    }),
  },
  {
    title: 'SSH_ASKPASS unlocks a key where there is a display',
    plan: ({ keys, home, printPassphrase }) => ({
      alias: { IDENTITY_FILE: keys.locked },
      env: {
        DISPLAY: ':99',
        SSH_ASKPASS: home.writeScript('askpass', `echo "$1" >${TOUCH(home)}; ${printPassphrase}`),
      },
    }),
    check: ({ home, keys }) =>
      assert.equal(readFileSync(TOUCH(home), 'utf8'), `Enter passphrase for key '${keys.locked}': \n`),
  },
  {
    title: 'SSH_ASKPASS_REQUIRE=force needs no display',
    plan: ({ keys, home, printPassphrase }) => ({
      alias: { IDENTITY_FILE: keys.lockedPkcs8 },
      env: { SSH_ASKPASS_REQUIRE: 'force', SSH_ASKPASS: home.writeScript('askpass', printPassphrase) },
    }),
  },
  {
    title: 'SSH_ASKPASS is asked again after a wrong passphrase',
    plan: ({ keys, home, printPassphrase }) => ({
      alias: { IDENTITY_FILE: keys.locked, PASSPHRASE_COMMAND: 'echo wrong' },
      env: {
        DISPLAY: ':99',
        SSH_ASKPASS: home.writeScript(
          'askpass',
          `echo x >>${TOUCH(home)}; [ "$(wc -l <${TOUCH(home)})" -lt 3 ] && echo wrong || ${printPassphrase}`,
        ),
      },
    }),
    check: ({ home }) => assert.equal(readFileSync(TOUCH(home), 'utf8'), 'x\nx\nx\n'),
  },
  {
    title: 'A person who closes the askpass window is taken at her word',
    plan: ({ keys, home }) => ({
      alias: { IDENTITY_FILE: keys.locked },
      env: { DISPLAY: ':99', SSH_ASKPASS: home.writeScript('askpass', `echo x >>${TOUCH(home)}; exit 1`) },
    }),
    fails: /work: key \S*\/locked needs a passphrase; load it with ssh-add/,
    check: ({ home }) => assert.equal(readFileSync(TOUCH(home), 'utf8'), 'x\n'),
  },
  {
    title: 'Without a display SSH_ASKPASS is not started, and the key is named',
    plan: ({ keys, home }) => ({
      alias: { IDENTITY_FILE: keys.locked },
      env: { SSH_ASKPASS: home.writeScript('askpass', `touch ${TOUCH(home)}`) },
    }),
    fails: /work: key \S*\/locked needs a passphrase; load it with ssh-add, set PASSPHRASE_COMMAND/,
    check: ({ home }) => assert.equal(existsSync(TOUCH(home)), false),
  },
  {
    title: 'A locked key opens through the agent',
    plan: async ({ keys, openAgent }) => {
      const agent = await openAgent();
      agent.addLocked(keys.locked, PASSPHRASE);
      return { alias: { IDENTITY_FILE: keys.locked }, env: { SSH_AUTH_SOCK: agent.socket } };
    },
  },
  {
    title: 'A locked PEM key opens through the agent by its .pub',
    plan: async ({ keys, openAgent }) => {
      const agent = await openAgent();
      agent.addLocked(keys.lockedPem, PASSPHRASE);
      return { alias: { IDENTITY_FILE: keys.lockedPem }, env: { SSH_AUTH_SOCK: agent.socket } };
    },
  },
  {
    title: 'A .pub as IDENTITY_FILE chooses among many keys of the agent',
    sshd: ['MaxAuthTries 1'],
    plan: async ({ keys, strangers, openAgent }) => {
      const agent = await openAgent();
      agent.add(...strangers, keys.rsa);
      return {
        alias: { IDENTITY_FILE: `${keys.rsa}.pub`, IDENTITY_AGENT: agent.socket, IDENTITIES_ONLY: 'yes' },
      };
    },
  },
  {
    title: 'IDENTITY_FILE comes before the many keys of the agent',
    sshd: ['MaxAuthTries 1'],
    plan: async ({ keys, strangers, openAgent }) => {
      const agent = await openAgent();
      agent.add(...strangers);
      return { alias: { IDENTITY_FILE: keys.ed25519 }, env: { SSH_AUTH_SOCK: agent.socket } };
    },
  },
  {
    title: 'Too many keys are told as that, and how to name the right one',
    plan: async ({ keys, strangers, openAgent }) => {
      const agent = await openAgent();
      agent.add(...strangers, keys.ed25519);
      return { alias: { IDENTITY_FILE: '' }, env: { SSH_AUTH_SOCK: agent.socket } };
    },
    fails:
      /hung up after \d keys for \S+; tried stranger0 \(agent\), .*; name the right key in IDENTITY_FILE and set IDENTITIES_ONLY=yes/,
  },
  {
    title: 'IDENTITY_AGENT=none leaves the agent out',
    plan: async ({ keys, openAgent }) => {
      const agent = await openAgent();
      agent.add(keys.ed25519);
      return { alias: { IDENTITY_FILE: '', IDENTITY_AGENT: 'none' }, env: { SSH_AUTH_SOCK: agent.socket } };
    },
    fails: /work: no key to log in with as \S+: none in ~\/\.ssh under a default name/,
  },
  {
    title: 'A stale SSH_AUTH_SOCK is passed over, with a line in the log',
    plan: async ({ keys, openAgent }) => {
      const agent = await openAgent();
      agent.stop();
      return {
        alias: { IDENTITY_FILE: `${keys.rsa}.pub,${keys.ed25519}` },
        env: { SSH_AUTH_SOCK: agent.socket },
      };
    },
    check: ({ home }) => assert.match(home.log(), /agent-skipped socket=\S+ why="connect ECONNREFUSED/),
  },
  {
    title: "OpenSSH's default names are found in ~/.ssh",
    plan: ({ keys, home }) => {
      home.writeFile('.ssh/id_ecdsa', readFileSync(keys.ecdsa256, 'utf8'));
      return { alias: { IDENTITY_FILE: '' } };
    },
  },
  {
    title: 'A key of a default name that is not private is left out, with a line in the log',
    plan: ({ keys, home }) => {
      home.writeFile('.ssh/id_rsa', readFileSync(keys.rsa, 'utf8'), 0o644);
      home.writeFile('.ssh/id_ed25519', readFileSync(keys.ed25519, 'utf8'));
      return { alias: { IDENTITY_FILE: '' } };
    },
    check: ({ home }) => assert.match(home.log(), /key-skipped file=\S+id_rsa why="\S+ others can read it"/),
  },
  {
    title: 'A key of a default name that is not private is the reason where no other key gets in',
    plan: ({ keys, home }) => {
      home.writeFile('.ssh/id_ed25519', readFileSync(keys.ed25519, 'utf8'), 0o644);
      return { alias: { IDENTITY_FILE: '' } };
    },
    fails: /work: \S+\/\.ssh\/id_ed25519: others can read it; run: chmod 600 \S+\/\.ssh\/id_ed25519/,
  },
  {
    title: 'A file of a default name that is no key is not missed',
    plan: ({ home }) => {
      home.writeFile('.ssh/id_ed25519', 'no key\n');
      return { alias: { IDENTITY_FILE: '' } };
    },
    fails: /work: no key to log in with as \S+: none in ~\/\.ssh under a default name, none in the agent/,
  },
  {
    title: 'A missing key file is told before the network is waited for',
    plan: ({ dir }) => ({ alias: { IDENTITY_FILE: join(dir, 'none'), HOSTNAME: '192.0.2.1' } }),
    fails: /work: key file \S+\/none does not exist; check IDENTITY_FILE/,
    check: (_, { ms }) => assert.ok(ms < 5_000, `${ms} ms`),
  },
  {
    title: 'A public key that no agent holds is told as that',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: `${keys.rsa}.pub` } }),
    fails:
      /work: \S+\/rsa\.pub is a public key, and no agent holds .* or name it in IDENTITY_FILE: \S+\/rsa\b/,
  },
  {
    title: 'A file that is no key is told as that',
    plan: ({ home }) => ({ alias: { IDENTITY_FILE: home.writeFile('notes', 'a note\n') } }),
    fails: /work: \S+\/notes is not a private key; check IDENTITY_FILE/,
  },
  {
    title: 'A refused login says what was tried and what is wanted',
    plan: ({ strangers }) => ({ alias: { IDENTITY_FILE: strangers.slice(0, 2).join(',') } }),
    fails:
      /accepted no key for \S+; tried \S+\/stranger0, \S+\/stranger1; it wants publickey; add the public key/,
  },
  ...(['file', 'agent'] as const).flatMap((place): Case[] =>
    ['rsa-sha2-512', 'rsa-sha2-256'].map((algorithm) => ({
      title: `A server that allows only ${algorithm} takes an RSA key from the ${place}`,
      sshd: [`PubkeyAcceptedAlgorithms ${algorithm}`],
      plan: async ({ keys, openAgent }) => {
        if (place === 'file') return { alias: { IDENTITY_FILE: keys.rsa } };
        const agent = await openAgent();
        agent.add(keys.rsa);
        return { alias: { IDENTITY_FILE: '' }, env: { SSH_AUTH_SOCK: agent.socket } };
      },
    })),
  ),
  {
    title: 'A second way to sign is tried only when all named keys were offered',
    sshd: ['PubkeyAcceptedAlgorithms rsa-sha2-512,ssh-ed25519', 'MaxAuthTries 3'],
    plan: ({ keys, strangers }) => ({
      alias: { IDENTITY_FILE: `${keys.rsa},${strangers[0]},${keys.ed25519}` },
    }),
  },
  {
    title: 'A server that wants two keys gets two',
    sshd: ['AuthenticationMethods publickey,publickey'],
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: `${keys.rsa},${keys.ed25519}` } }),
  },
  {
    title: 'A server that wants more than a key is told as that',
    sshd: ['AuthenticationMethods publickey,publickey'],
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.rsa } }),
    fails: /accepted \S+\/rsa for \S+ and wants publickey too; name one more key in IDENTITY_FILE/,
  },
  {
    title: 'A certificate in the agent opens',
    plan: async ({ server, dir, openAgent }) => {
      const id = randomBytes(4).toString('hex');
      const authority = makeKeyFile(dir, `ca-${id}`, { type: 'ed25519' });
      const key = makeKeyFile(dir, `certified-${id}`, { type: 'ed25519' });
      const words = ['-q', '-s', authority, '-I', 'test', '-n', server.user, `${key}.pub`];
      assert.equal(spawnSync(programPath('ssh-keygen'), words).status, 0);
      writeFileSync(server.authorizedKeysFile, `cert-authority ${authorizedKeys(authority)}`);
      const agent = await openAgent();
      agent.add(key);
      return { alias: { IDENTITY_FILE: '' }, env: { SSH_AUTH_SOCK: agent.socket } };
    },
  },
];

/** A second server that the keys open too. */
async function openOther({ t, keys }: Setup, config: readonly string[] = []): Promise<RealSshd> {
  const server = await openRealSshd(t, { config });
  writeFileSync(server.authorizedKeysFile, authorizedKeys(...Object.values(keys)));
  return server;
}

/** One file for several servers; the names of their ports keep them apart. */
function joinKnownHosts(home: TempHome, ...servers: readonly RealSshd[]): string {
  const text = servers.map(({ knownHostsFile }) => readFileSync(knownHostsFile, 'utf8')).join('');
  return home.writeFile('known_hosts', text);
}

/** `user@host:port` of a server. */
function placeOf({ user, host, port }: RealSshd): string {
  return `${user}@${host}:${port}`;
}

const GATEWAYS: readonly Case[] = [
  {
    title: 'A gateway given as user@host:port uses the keys and known_hosts files of the alias',
    plan: async (setup) => {
      const gateway = await openOther(setup);
      return {
        alias: {
          IDENTITY_FILE: setup.keys.ed25519,
          PROXY_JUMP: placeOf(gateway),
          KNOWN_HOSTS: joinKnownHosts(setup.home, gateway, setup.server),
        },
      };
    },
  },
  {
    title: 'A gateway that is an alias has its own key and known_hosts file',
    plan: async (setup) => {
      const gateway = await openOther(setup);
      writeFileSync(gateway.authorizedKeysFile, authorizedKeys(setup.keys.rsa));
      writeFileSync(setup.server.authorizedKeysFile, authorizedKeys(setup.keys.ecdsa256));
      writeAlias(setup.home, 'gw', {
        ...gateway.aliasKeys,
        IDENTITY_FILE: setup.keys.rsa,
        IDENTITIES_ONLY: 'yes',
      });
      return { alias: { IDENTITY_FILE: setup.keys.ecdsa256, PROXY_JUMP: 'gw' } };
    },
    check: ({ server }) => assert.match(server.log(), /Accepted publickey/),
  },
  {
    title: 'A gateway may have a gateway itself, and so on',
    plan: async (setup) => {
      const [first, second, third] = await Promise.all([
        openOther(setup),
        openOther(setup),
        openOther(setup),
      ]);
      const mine = { IDENTITY_FILE: setup.keys.ed25519 };
      writeAlias(setup.home, 'first', { ...first.aliasKeys, ...mine });
      writeAlias(setup.home, 'second', { ...second.aliasKeys, ...mine, PROXY_JUMP: 'first' });
      return {
        alias: {
          ...mine,
          PROXY_JUMP: `second,${placeOf(third)}`,
          KNOWN_HOSTS: joinKnownHosts(setup.home, third, setup.server),
        },
      };
    },
  },
  {
    title: 'Gateways in a circle are told before anybody is asked',
    plan: ({ home, server }) => {
      writeAlias(home, 'a', { HOSTNAME: '192.0.2.1', PROXY_JUMP: 'b' });
      writeAlias(home, 'b', { HOSTNAME: '192.0.2.2', PROXY_JUMP: 'a' });
      return { alias: { IDENTITY_FILE: server.identityFile, PROXY_JUMP: 'a' } };
    },
    fails: /work: the way to work leads in a circle: work -> a -> b -> a; check PROXY_JUMP in each of them/,
    check: (_, { ms }) => assert.ok(ms < 5_000, `${ms} ms`),
  },
  {
    title: "A gateway's unknown host key is told as the gateway's",
    plan: async (setup) => {
      const gateway = await openOther(setup);
      writeAlias(setup.home, 'gw', {
        ...gateway.aliasKeys,
        IDENTITY_FILE: setup.keys.ed25519,
        KNOWN_HOSTS: setup.server.knownHostsFile,
      });
      return { alias: { IDENTITY_FILE: setup.keys.ed25519, PROXY_JUMP: 'gw' } };
    },
    fails:
      /work: host key of \[127\.0\.0\.1\]:\d+ is not known: ssh-ed25519 SHA256:\S+; run: pine-rshctl trust gw/,
  },
  {
    title: 'Behind a gateway the host key is checked too',
    plan: async (setup) => {
      const gateway = await openOther(setup);
      return {
        alias: {
          IDENTITY_FILE: setup.keys.ed25519,
          PROXY_JUMP: placeOf(gateway),
          KNOWN_HOSTS: gateway.knownHostsFile,
        },
      };
    },
    fails: /work: host key of \[127\.0\.0\.1\]:\d+ is not known: .*; run: pine-rshctl trust work/,
  },
  {
    title: 'A gateway that refuses the key is named',
    plan: async (setup) => {
      const gateway = await openOther(setup);
      writeFileSync(gateway.authorizedKeysFile, '');
      writeAlias(setup.home, 'gw', { ...gateway.aliasKeys, IDENTITY_FILE: setup.keys.ed25519 });
      return { alias: { IDENTITY_FILE: setup.keys.ed25519, PROXY_JUMP: 'gw' } };
    },
    fails: /work: gateway 127\.0\.0\.1:\d+ accepted no key for \S+; tried \S+\/ed25519; it wants publickey/,
  },
  {
    title: 'A gateway whose key is locked is named',
    plan: async (setup) => {
      const gateway = await openOther(setup);
      writeAlias(setup.home, 'gw', { ...gateway.aliasKeys, IDENTITY_FILE: setup.keys.locked });
      return { alias: { IDENTITY_FILE: setup.keys.ed25519, PROXY_JUMP: 'gw' } };
    },
    fails: /work: gateway gw: key \S+\/locked needs a passphrase; load it with ssh-add/,
  },
  {
    title: 'A gateway that is down is named',
    plan: async ({ keys }) => ({
      alias: { IDENTITY_FILE: keys.ed25519, PROXY_JUMP: `127.0.0.1:${await findFreePort()}` },
    }),
    fails:
      /work: gateway 127\.0\.0\.1:\d+ refused the connection; check that sshd runs there .* \(PROXY_JUMP\)/,
  },
  {
    title: 'A gateway that is neither an alias nor a host is told as that',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519, PROXY_JUMP: 'nosuch.invalid' } }),
    fails:
      /work: no address found for gateway nosuch\.invalid \(.*\); no alias is called nosuch\.invalid: check PROXY_JUMP/,
  },
  {
    title: 'A gateway that says nothing is named, after its own CONNECT_TIMEOUT',
    plan: async ({ t, keys, home }) => {
      writeAlias(home, 'gw', { HOSTNAME: '127.0.0.1', PORT: await openMute(t), CONNECT_TIMEOUT: 1 });
      return { alias: { IDENTITY_FILE: keys.ed25519, PROXY_JUMP: 'gw' } };
    },
    fails: /work: no answer from gateway 127\.0\.0\.1:\d+ within 1 s \(exchanging keys\)/,
  },
  {
    title: 'A gateway that forwards nothing is named',
    plan: async (setup) => {
      const gateway = await openOther(setup, ['AllowTcpForwarding no']);
      return {
        alias: {
          IDENTITY_FILE: setup.keys.ed25519,
          PROXY_JUMP: placeOf(gateway),
          KNOWN_HOSTS: joinKnownHosts(setup.home, gateway, setup.server),
        },
      };
    },
    fails:
      /work: gateway 127\.0\.0\.1:\d+ refused to connect to 127\.0\.0\.1:\d+ \(open failed\); check AllowTcpForwarding/,
  },
  {
    title: 'A host that is down behind a gateway is told by the gateway',
    plan: async (setup) => {
      const gateway = await openOther(setup);
      return {
        alias: {
          IDENTITY_FILE: setup.keys.ed25519,
          PORT: await findFreePort(),
          PROXY_JUMP: placeOf(gateway),
          KNOWN_HOSTS: joinKnownHosts(setup.home, gateway, setup.server),
        },
      };
    },
    fails:
      /work: gateway \S+ cannot connect to 127\.0\.0\.1:\d+ \(Connection refused\); nothing listens there/,
  },
  {
    title: 'A missing key file is told before any gateway is bothered',
    plan: ({ dir }) => ({ alias: { IDENTITY_FILE: join(dir, 'none'), PROXY_JUMP: '192.0.2.1' } }),
    fails: /work: key file \S+\/none does not exist/,
  },
  {
    title: 'PROXY_COMMAND carries the connection, with host, port and user in their places',
    skip: requirePrograms('nc'),
    plan: ({ keys, home }) => ({
      alias: {
        IDENTITY_FILE: keys.ed25519,
        PROXY_COMMAND: home
          .writeScript('proxy', `echo "$@" >${TOUCH(home)}; exec nc "$1" "$2"`)
          .concat(' %h %p %r 100%%'),
      },
    }),
    check: ({ home, server }) =>
      assert.equal(readFileSync(TOUCH(home), 'utf8'), `127.0.0.1 ${server.port} ${server.user} 100%\n`),
  },
  {
    title: 'A PROXY_COMMAND that fails is told with its last words',
    plan: ({ keys }) => ({
      alias: {
        IDENTITY_FILE: keys.ed25519,
        PROXY_COMMAND: 'sh -c "echo starting >&2; echo no tunnel today >&2; exit 7"',
      },
    }),
    fails: /work: PROXY_COMMAND for 127\.0\.0\.1:\d+ ended \(status 7\): no tunnel today; run it by hand/,
    check: ({ home }) =>
      assert.match(home.log(), /program=PROXY_COMMAND end="status 7" stderr="starting\\nno tunnel today"/),
  },
  {
    title: 'A PROXY_COMMAND that does not exist is told',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519, PROXY_COMMAND: '/nonexistent/proxy %h' } }),
    fails: /work: PROXY_COMMAND for 127\.0\.0\.1:\d+ ended \(status 127\): .*not found/,
  },
  {
    title: 'A PROXY_COMMAND that talks something else is told what it said',
    plan: ({ keys }) => ({
      alias: {
        IDENTITY_FILE: keys.ed25519,
        CONNECT_TIMEOUT: 2,
        PROXY_COMMAND: 'sh -c "echo HTTP/1.0 403; sleep 20"',
      },
    }),
    fails:
      /work: 127\.0\.0\.1:\d+ does not speak SSH \(it said HTTP\/1\.0 403\); check host and port \(HOSTNAME, PORT\)/,
  },
  {
    title: 'A PROXY_COMMAND that says nothing costs CONNECT_TIMEOUT, and is ended with all that it started',
    plan: ({ keys, home }) => ({
      alias: {
        IDENTITY_FILE: keys.ed25519,
        CONNECT_TIMEOUT: 1,
        PROXY_COMMAND: home.writeScript('proxy', 'sleep 300 & sleep 300'),
      },
    }),
    fails: /work: no answer from 127\.0\.0\.1:\d+ within 1 s \(exchanging keys\)/,
    check: ({ home }) => waitForNoProcess(home.dir, { timeout: 3_000 }),
  },
];

/** Accepts and says nothing. */
async function openMute(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  defer(t, () => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** Node opens what the standalone's runtime cannot do, and the standalone says so. */
function onNodeOnly(build: Build, pattern: RegExp): Outcome {
  return build.name === 'standalone' ? { fails: pattern } : {};
}

interface BuildCase extends Omit<Case, 'fails'> {
  readonly outcome: (build: Build) => Outcome;
}

const ALGORITHMS: readonly BuildCase[] = [
  {
    title: 'A server that only knows chacha20-poly1305',
    sshd: ['Ciphers chacha20-poly1305@openssh.com'],
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519 } }),
    outcome: (build) =>
      onNodeOnly(
        build,
        /work: no common cipher algorithm with \S+: it offers chacha20-poly1305@openssh\.com, we offer aes128-gcm@openssh\.com, .*; pine-rsh\.mjs, the build for Node, has one of them; TRANSPORT=openssh uses/,
      ),
  },
  ...['diffie-hellman-group16-sha512', 'diffie-hellman-group14-sha256'].map(
    (name): BuildCase => ({
      title: `A server that only knows ${name}`,
      sshd: [`KexAlgorithms ${name}`],
      plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519 } }),
      outcome: (build) =>
        onNodeOnly(
          build,
          /work: no common key exchange algorithm with \S+: it offers diffie-hellman-\S+, we offer curve25519-sha256, .*; pine-rsh\.mjs, the build for Node/,
        ),
    }),
  ),
  {
    title: 'Finite-field Diffie-Hellman that the alias names',
    sshd: ['KexAlgorithms diffie-hellman-group14-sha256'],
    plan: ({ keys }) => ({
      alias: { IDENTITY_FILE: keys.ed25519, KEX_ALGORITHMS: '+diffie-hellman-group14-sha256' },
    }),
    outcome: () => ({}),
  },
  {
    title: 'An old cipher and MAC that the alias names',
    sshd: ['Ciphers aes256-cbc', 'MACs hmac-sha2-512'],
    plan: ({ keys }) => ({
      alias: { IDENTITY_FILE: keys.ed25519, CIPHERS: 'aes*-cbc', MACS: '^hmac-sha2-512' },
    }),
    outcome: () => ({}),
  },
  {
    title: 'A cipher that the alias takes away',
    sshd: ['Ciphers aes128-gcm@openssh.com'],
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519, CIPHERS: '-*-gcm@openssh.com' } }),
    outcome: () => ({
      fails:
        /no common cipher algorithm with \S+: it offers aes128-gcm@openssh\.com, we offer aes128-ctr, .*; TRANSPORT=openssh/,
    }),
  },
  {
    title: 'A MAC that nobody shares',
    sshd: ['MACs umac-64@openssh.com', 'Ciphers aes128-ctr'],
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519 } }),
    outcome: () => ({ fails: /no common MAC algorithm with \S+: it offers umac-64@openssh\.com, we offer/ }),
  },
  {
    title: 'A host key type that nobody shares',
    sshd: ['HostKeyAlgorithms ssh-ed25519'],
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519, HOST_KEY_ALGORITHMS: 'rsa-sha2-512' } }),
    outcome: () => ({
      fails: /no common host key algorithm with \S+: it offers ssh-ed25519, we offer rsa-sha2-512/,
    }),
  },
  {
    title: 'Names that ssh2 does not know are left out, with a line in the log',
    plan: ({ keys }) => ({
      alias: { IDENTITY_FILE: keys.ed25519, KEX_ALGORITHMS: '^mlkem768x25519-sha256,ecdh-sha2-nistp256' },
    }),
    outcome: () => ({
      check: ({ home }) =>
        assert.match(
          home.log(),
          /algorithms-skipped alias=work key=KEX_ALGORITHMS names=mlkem768x25519-sha256/,
        ),
    }),
  },
  {
    title: 'A list of which nothing is known',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519, CIPHERS: 'rot13@example.org' } }),
    outcome: () => ({
      fails:
        /work: CIPHERS of work names nothing that TRANSPORT=ssh2 knows: rot13@example\.org; change CIPHERS, or set TRANSPORT=openssh/,
    }),
  },
  {
    title: 'Compression',
    plan: ({ keys }) => ({ alias: { IDENTITY_FILE: keys.ed25519, COMPRESSION: 'yes' } }),
    outcome: () => ({}),
  },
];

async function openSetup(
  t: TestContext,
  build: Build,
  suite: Suite,
  sshd: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Setup> {
  const server = await openRealSshd(t, { config: sshd });
  const home = openTempHome(t, env);
  writeFileSync(server.authorizedKeysFile, authorizedKeys(...Object.values(suite.keys)));
  const file = home.writeFile('passphrase', `${PASSPHRASE}\nnot this line\n`);
  return {
    ...suite,
    t,
    build,
    server,
    home,
    printPassphrase: `cat ${file}`,
    openAgent: () => openSshAgent(t),
  };
}

/** An empty value takes the key out of the alias. */
function writeAlias(home: TempHome, name: string, keys: AliasKeys): void {
  home.writeAlias(name, Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== '')));
}

async function runCase(setup: Setup, { plan, fails, check }: Case): Promise<void> {
  const { build, home, server } = setup;
  const { alias = {}, env = {} } = await plan(setup);
  writeAlias(home, 'work', { ...server.aliasKeys, SHARE: 'no', ...alias });
  const result = await runProgram(build.rshPath, ['work', 'echo in'], { env: { ...home.env, ...env } });
  const { stdout, stderr, code } = result;
  const shown = () => `${stderr}\n${home.log()}\n${server.log()}`;
  if (fails === undefined)
    assert.deepEqual([code, stdout.toString(), stderr.toString()], [0, 'in\n', ''], shown());
  else {
    assert.match(stderr.toString(), fails, shown());
    assert.deepEqual([code, stdout.toString()], [255, '']);
  }
  await check?.(setup, result);
}

/** Keys and strangers, made once for all tests. */
function makeSuite(): Suite {
  const dir = makeTempDir({ after }, 'login');
  const strangers = Array.from({ length: STRANGERS }, (_, index) =>
    makeKeyFile(dir, `stranger${index}`, { type: 'ed25519' }),
  );
  return { dir, keys: makeKeys(dir), strangers };
}

const suite = NEEDS === false ? makeSuite() : undefined;

async function openCase(
  t: TestContext,
  build: Build,
  sshd: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Setup> {
  assert.ok(suite !== undefined);
  return await openSetup(t, build, suite, sshd, env);
}

function rsh({ build, home }: Setup, words: readonly string[], options: Partial<RunOptions> = {}) {
  const env = { ...home.env, ...options.env };
  return runProgram(build.rshPath, words, { ...options, env });
}

/** The shortcuts past ssh2's documented interface must make no difference. */
for (const build of BUILDS.slice(0, 1)) {
  describe(`A login by ssh2's documented interface (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: CONCURRENCY,
  }, () => {
    for (const each of [...IDENTITIES, ...GATEWAYS]) {
      test(each.title, { skip: each.skip ?? false }, async (t) => {
        await runCase(await openCase(t, build, each.sshd, { PINE_RSH_SHORTCUTS: 'no' }), each);
      });
    }
  });
}

for (const build of BUILDS) {
  describe(`A login (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: CONCURRENCY,
  }, () => {
    for (const each of [...IDENTITIES, ...GATEWAYS]) {
      test(each.title, { skip: each.skip ?? false }, async (t) => {
        await runCase(await openCase(t, build, each.sshd), each);
      });
    }
    for (const { outcome, ...each } of ALGORITHMS) {
      test(`Algorithms: ${each.title}`, async (t) => {
        await runCase(await openCase(t, build, each.sshd), { ...each, ...outcome(build) });
      });
    }

    test('The key that worked is offered first the next time', async (t) => {
      const setup = await openCase(t, build, ['MaxAuthTries 2']);
      const { home, keys, server, strangers } = setup;
      writeAlias(home, 'work', { ...server.aliasKeys, IDENTITY_FILE: '', SHARE: 'no' });
      const open = async (...files: string[]): Promise<RunResult> => {
        const agent = await setup.openAgent();
        agent.add(...files);
        return await rsh(setup, ['work', 'echo in'], { env: { SSH_AUTH_SOCK: agent.socket } });
      };
      const [first = '', second = '', third = ''] = strangers;
      assert.equal((await open(first, keys.rsa)).code, 0, server.log());
      // One key too many, were it not for what was learnt.
      assert.equal((await open(first, second, third, keys.rsa)).code, 0, server.log());
      const file = join(home.stateDir, 'working-keys');
      const line = `${server.user}@127.0.0.1:${server.port} ${fingerprintOf(keys.rsa)} ssh-rsa\n`;
      assert.equal(readFileSync(file, 'utf8'), line);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      assert.deepEqual(readdirSync(home.stateDir).sort(), ['log', 'working-keys']);
      // Another key takes its place, though the server knows the old one no more.
      writeFileSync(server.authorizedKeysFile, authorizedKeys(keys.ed25519));
      assert.equal((await open(keys.rsa, keys.ed25519)).code, 0, server.log());
      assert.match(
        readFileSync(file, 'utf8'),
        new RegExp(`${escapePattern(fingerprintOf(keys.ed25519))} ssh-ed25519\n$`),
      );
    });

    test('A key that is the only one leaves no trace', async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server } = setup;
      writeAlias(home, 'work', { ...server.aliasKeys, IDENTITY_FILE: keys.ed25519, SHARE: 'no' });
      assert.equal((await rsh(setup, ['work', 'true'])).code, 0);
      assert.equal(existsSync(join(home.stateDir, 'working-keys')), false);
    });

    test('50 MB go there and back through two gateways, and nothing stays behind', async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server } = setup;
      const gateways = [await openOther(setup), await openOther(setup)];
      writeAlias(home, 'work', {
        ...server.aliasKeys,
        IDENTITY_FILE: keys.ed25519,
        PROXY_JUMP: gateways.map(placeOf).join(','),
        KNOWN_HOSTS: joinKnownHosts(home, server, ...gateways),
        SHARE: 'no',
      });
      const input = randomBytes(50_000_000);
      const { stdout, stderr, code } = await rsh(setup, ['work', 'cat; exit 7'], { input, timeout: 60_000 });
      assert.deepEqual([code, stderr.toString()], [7, '']);
      assert.equal(digest(stdout), digest(input));
      for (const each of [server, ...gateways]) {
        await waitUntil('the connection ends', () => each.sessionPids().length === 0, { timeout: 3_000 });
      }
    });

    test('50 MB go there and back through PROXY_COMMAND, which ends with the session', {
      skip: requirePrograms('nc'),
    }, async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server } = setup;
      const proxy = home.writeScript('proxy', 'exec nc "$1" "$2" 2>"$0.err"');
      writeAlias(home, 'work', {
        ...server.aliasKeys,
        IDENTITY_FILE: keys.ed25519,
        PROXY_COMMAND: `${proxy} %h %p`,
        SHARE: 'no',
      });
      const input = randomBytes(50_000_000);
      const { stdout, stderr, code } = await rsh(setup, ['work', 'cat; exit 7'], { input, timeout: 60_000 });
      assert.deepEqual([code, stderr.toString()], [7, '']);
      assert.equal(digest(stdout), digest(input));
      await waitForNoProcess(home.dir, { timeout: 3_000 });
    });

    test('A gateway that dies takes the session with it, and is named', async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server } = setup;
      const gateway = await openOther(setup);
      writeAlias(home, 'work', {
        ...server.aliasKeys,
        IDENTITY_FILE: keys.ed25519,
        PROXY_JUMP: placeOf(gateway),
        KNOWN_HOSTS: joinKnownHosts(home, server, gateway),
        SHARE: 'no',
      });
      const started = join(server.home, 'started');
      const running = rsh(setup, ['work', `touch ${started}; sleep 60`]);
      await waitUntil('the command runs', () => existsSync(started));
      await gateway.stop();
      assert.equal((await running).code, 255);
      assert.match(
        home.log(),
        // Whatever it had not read yet makes its end a reset.
        /why="connection to gateway 127\.0\.0\.1:\d+ lost \((the other side closed it|read ECONNRESET)\)"/,
      );
    });

    test('The broker unlocks a key with the environment of the caller', async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server } = setup;
      writeAlias(home, 'work', { ...server.aliasKeys, IDENTITY_FILE: keys.locked, PERSIST: '5s' });
      const env = {
        DISPLAY: ':99',
        SSH_ASKPASS: home.writeScript(
          'askpass',
          `echo "$DISPLAY" >>${TOUCH(home)}; ${setup.printPassphrase}`,
        ),
      };
      const results = [
        await rsh(setup, ['work', 'echo in'], { env }),
        await rsh(setup, ['work', 'echo in'], { env }),
      ];
      assert.deepEqual(
        results.map(({ code, stdout, stderr }) => [code, `${stdout}${stderr}`]),
        [
          [0, 'in\n'],
          [0, 'in\n'],
        ],
        home.log(),
      );
      // Once for both.
      assert.equal(readFileSync(TOUCH(home), 'utf8'), ':99\n');
    });

    for (const [name, key] of [
      ['Ed25519', 'ed25519'],
      ['RSA', 'rsa'],
      ['ECDSA in PKCS #8', 'ecdsaPkcs8'],
    ] as const) {
      test(`dropbear takes a key: ${name}`, { skip: requireDropbear() }, async (t) => {
        const setup = await openCase(t, build);
        const { home, keys } = setup;
        const dropbear = await openDropbear(t, [keys[key]]);
        writeAlias(home, 'work', { ...dropbear, IDENTITY_FILE: keys[key], SHARE: 'no' });
        const { stdout, stderr, code } = await rsh(setup, ['work', 'echo in']);
        assert.deepEqual([code, `${stdout}${stderr}`], [0, 'in\n'], home.log());
      });
    }

    test('dropbear refuses a stranger', { skip: requireDropbear() }, async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, strangers } = setup;
      const dropbear = await openDropbear(t, [keys.ed25519], ['-s']);
      writeAlias(home, 'work', { ...dropbear, IDENTITY_FILE: strangers[0] ?? '', SHARE: 'no' });
      const { stderr } = await rsh(setup, ['work', 'true']);
      assert.match(
        stderr.toString(),
        /work: \S+ accepted no key for root; tried \S+stranger0; it wants publickey/,
      );
    });

    test('A gateway may be a dropbear', { skip: requireDropbear() }, async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server } = setup;
      const dropbear = await openDropbear(t, [keys.ed25519]);
      writeAlias(home, 'gw', { ...dropbear, IDENTITY_FILE: keys.ed25519 });
      writeAlias(home, 'work', {
        ...server.aliasKeys,
        IDENTITY_FILE: keys.ed25519,
        PROXY_JUMP: 'gw',
        SHARE: 'no',
      });
      const { stdout, stderr, code } = await rsh(setup, ['work', 'echo in']);
      assert.deepEqual([code, `${stdout}${stderr}`], [0, 'in\n'], home.log());
    });

    test('No secret is ever shown: not in the log, on stderr, on stdout or in a command line', async (t) => {
      const setup = await openCase(t, build);
      const { home, keys, server, strangers } = setup;
      const secrets = {
        right: PASSPHRASE,
        wrong: `wrong-${randomBytes(9).toString('hex')}`,
        inCommand: `inline-${randomBytes(9).toString('hex')}`,
        more: 'not this line',
        key: keyMaterial(keys.locked),
        open: keyMaterial(keys.ed25519Pkcs8),
      };
      const askpass = home.writeScript('askpass', `sleep 0.3; echo ${secrets.wrong}; exit 0`);
      const commands = {
        works: `set -x; ${setup.printPassphrase}`,
        noisy: `sleep 0.3; ${setup.printPassphrase} >&2; ${setup.printPassphrase}`,
        inline: `sleep 0.3; echo ${secrets.inCommand}`,
        fails: `sleep 0.3; echo ${secrets.wrong}; exit 1`,
      };
      const shown: string[] = [];
      const watch = setInterval(() => {
        shown.push(...listProcesses().map(({ command }) => command));
      }, 50);
      defer(t, () => clearInterval(watch));
      for (const [name, command] of Object.entries(commands)) {
        for (const share of ['no', 'yes']) {
          writeAlias(home, name, {
            ...server.aliasKeys,
            IDENTITY_FILE: `${keys.locked},${keys.lockedPem}`,
            PASSPHRASE_COMMAND: command,
            SHARE: share,
            PERSIST: '1s',
          });
          const env = { DISPLAY: ':99', SSH_ASKPASS: askpass };
          const { stdout, stderr } = await rsh(setup, ['-v', '-v', name, 'echo in'], { env });
          shown.push(stdout.toString('latin1'), stderr.toString('latin1'));
        }
      }
      // A key that is damaged, and one that the server does not take.
      const broken = home.writeFile(
        'broken',
        readFileSync(keys.locked, 'utf8').replace(/.\n-----END/, '\n-----END'),
      );
      writeAlias(home, 'broken', { ...server.aliasKeys, IDENTITY_FILE: broken, SHARE: 'no' });
      writeAlias(home, 'refused', { ...server.aliasKeys, IDENTITY_FILE: strangers[0] ?? '', SHARE: 'no' });
      for (const name of ['broken', 'refused']) {
        const { stdout, stderr } = await rsh(setup, ['-v', name, 'true']);
        shown.push(stdout.toString('latin1'), stderr.toString('latin1'));
      }
      clearInterval(watch);
      for (const file of filesBelow(home.stateDir)) shown.push(readFileSync(file, 'latin1'));
      const all = shown.join('\n');
      assert.match(all, /pine-rsh/);
      for (const [name, secret] of Object.entries(secrets)) {
        for (const spelled of [secret, Buffer.from(secret).toString('latin1')]) {
          assert.equal(all.includes(spelled), false, `${name}: ${around(all, spelled)}`);
        }
      }
    });
  });
}

/** A piece of the private half, as it stands in the file. */
function keyMaterial(file: string): string {
  return readFileSync(file, 'utf8').split('\n').slice(1, -2).at(-1)?.slice(0, 40) ?? '';
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true })
    .map((name) => join(dir, String(name)))
    .filter((path) => statSync(path).isFile());
}

function around(text: string, part: string): string {
  const at = text.indexOf(part);
  return text.slice(Math.max(0, at - 200), at + 200);
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
