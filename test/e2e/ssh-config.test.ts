/** What ~/.ssh/config adds to an alias: as the installed ssh reads it, and never less checking of host keys. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { Alias } from '../../src/alias/alias.ts';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { Failure } from '../../src/errors.ts';
import { Log } from '../../src/log.ts';
import { readSettings } from '../../src/settings.ts';
import { fillFromSshConfig } from '../../src/transport/ssh-config.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openImapClient } from '../helpers/imap-client.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';

/** The alias `work` with what the ssh_config of this home adds to it. */
async function resolve(
  home: TempHome,
  {
    user,
    port,
    signal = AbortSignal.timeout(30_000),
  }: { user?: string; port?: number; signal?: AbortSignal } = {},
): Promise<Alias> {
  const settings = readSettings(home.env);
  const found = lookupAlias(settings, { host: 'work', user, port, options: new Map() });
  assert.equal(found.kind, 'managed');
  const log = new Log(home.stateDir, 1);
  return await fillFromSshConfig((found as { alias: Alias }).alias, { settings, log, signal });
}

/** What `ssh -G work` prints, by keyword. */
function askSsh(home: TempHome, words: readonly string[] = []): (keyword: string) => string[] {
  const config = join(home.dir, '.ssh', 'config');
  const asked = spawnSync('ssh', ['-F', config, '-G', '-T', ...words, 'work'], { encoding: 'utf8' });
  assert.equal(asked.status, 0, asked.stderr);
  return (keyword) =>
    asked.stdout
      .split('\n')
      .filter((line) => line.startsWith(`${keyword} `))
      .map((line) => line.slice(keyword.length + 1));
}

function writeConfig(home: TempHome, lines: readonly string[], file = 'config'): string {
  return home.writeFile(`.ssh/${file}`, `${lines.join('\n')}\n`);
}

const NEEDS = requirePrograms('ssh');

describe('What ssh_config adds to an alias', { skip: NEEDS }, () => {
  test('Match, exec, Include and tokens mean what `ssh -G` says, key by key', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    const keys = ['id_pat@127.0.0.1', 'id with blank', 'id_plain'].map((name) =>
      join(home.dir, '.ssh', name),
    );
    const included = writeConfig(
      home,
      [
        'Match host work exec "test %n = work && test %u = $(id -un)"',
        '  HostName 127.0.0.1',
        '  User pat',
        '  Port 2222',
      ],
      'more',
    );
    writeConfig(home, [
      'Host other',
      '  HostName wrong.example.org',
      'Match exec "exit 1"',
      '  Port 1',
      'Match all',
      `  Include ${included}`,
      'Host *.example.org w?rk',
      `  IdentityFile ${home.dir}/.ssh/id_%r@%h`,
      '  IdentityFile "~/.ssh/id with blank"',
      '  IdentityFile ~/.ssh/id_plain',
      '  IdentityFile ~/.ssh/does-not-exist',
      `  CertificateFile ${home.dir}/.ssh/cert-%p`,
      `  IdentityAgent ${home.dir}/agent-%C`,
      '  IdentitiesOnly yes',
      `  UserKnownHostsFile ${home.dir}/.ssh/known_%h "${home.dir}/.ssh/known too"`,
      `  GlobalKnownHostsFile ${home.dir}/.ssh/global`,
      '  HostKeyAlias Mail',
      '  ProxyCommand nc -x %n %h %p 100%%',
      '  ConnectTimeout 7',
      '  ServerAliveInterval 21',
      '  ServerAliveCountMax 4',
      '  Ciphers -chacha20*',
      '  MACs hmac-sha2-512',
      '  KexAlgorithms ^ecdh-sha2-nistp256',
      '  HostKeyAlgorithms ssh-ed25519,rsa-sha2-512',
      '  Compression yes',
      'Host *',
      '  Port 3333',
    ]);
    for (const file of [...keys, join(home.dir, '.ssh', 'cert-2222')]) writeFileSync(file, '');

    const alias = await resolve(home);
    const ssh = askSsh(home);
    const list = (keyword: string) => ({ mode: 'replace', names: (ssh(keyword)[0] ?? '').split(',') });
    assert.deepEqual(
      {
        hostname: alias.hostname,
        port: alias.port,
        user: alias.user,
        identitiesOnly: alias.identitiesOnly,
        identityAgent: alias.identityAgent,
        hostKeyAlias: alias.hostKeyAlias,
        connectTimeout: alias.connectTimeout,
        serverAliveInterval: alias.serverAliveInterval,
        serverAliveCountMax: alias.serverAliveCountMax,
        ciphers: alias.ciphers,
        macs: alias.macs,
        kexAlgorithms: alias.kexAlgorithms,
        hostKeyAlgorithms: alias.hostKeyAlgorithms,
        compression: alias.compression,
      },
      {
        hostname: ssh('hostname')[0],
        port: Number(ssh('port')[0]),
        user: ssh('user')[0],
        identitiesOnly: ssh('identitiesonly')[0] === 'yes',
        identityAgent: ssh('identityagent')[0]?.replace('%C', readToken(home, '%C')),
        hostKeyAlias: ssh('hostkeyalias')[0],
        connectTimeout: Number(ssh('connecttimeout')[0]),
        serverAliveInterval: Number(ssh('serveraliveinterval')[0]),
        serverAliveCountMax: Number(ssh('serveralivecountmax')[0]),
        ciphers: list('ciphers'),
        macs: list('macs'),
        kexAlgorithms: list('kexalgorithms'),
        hostKeyAlgorithms: list('hostkeyalgorithms'),
        compression: ssh('compression')[0] === 'yes',
      },
    );
    assert.equal(alias.hostname, '127.0.0.1');
    assert.deepEqual(alias.identityFiles, keys);
    assert.deepEqual(alias.certificateFiles, [join(home.dir, '.ssh', 'cert-2222')]);
    assert.deepEqual(
      alias.knownHosts,
      ['known_127.0.0.1', 'known too', 'global'].map((name) => join(home.dir, '.ssh', name)),
    );
    assert.equal(
      alias.knownHosts.join(' '),
      [ssh('userknownhostsfile')[0], ssh('globalknownhostsfile')[0]].join(' '),
    );
    // %n is ssh's alone, and ours by now.
    assert.equal(alias.proxyCommand, 'nc -x work %h %p 100%%');
    assert.deepEqual(ssh('proxycommand'), ['nc -x %n %h %p 100%%']);
  });

  test('ProxyJump becomes gateways', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    writeConfig(home, ['Host work', '  User pat', '  ProxyJump u%r@gw:2222,other']);
    const { proxyJump } = await resolve(home);
    assert.deepEqual(proxyJump, [
      { host: 'gw', user: 'upat', port: 2222 },
      { host: 'other', user: undefined, port: undefined },
    ]);
  });

  test('What the alias file or the command line says wins, and what is OpenSSH’s own default counts as unset', async (t) => {
    const home = openTempHome(t);
    const config = [
      'Host mail.example.org',
      '  HostName ignored.example.org',
      '  Port 2222',
      '  User nobody',
      '  IdentityFile ~/.ssh/nothing',
      '  UserKnownHostsFile ~/.ssh/else',
      '  ProxyJump gw',
      '  ConnectTimeout 99',
      '  ServerAliveInterval 0',
      '  ServerAliveCountMax 3',
      '  Compression no',
    ];
    writeConfig(home, config);
    const given: AliasKeys = {
      HOSTNAME: 'mail.example.org',
      IDENTITY_FILE: '~/.ssh/mine',
      KNOWN_HOSTS: '~/.ssh/mine_too',
      PROXY_COMMAND: 'true',
      CONNECT_TIMEOUT: 5,
    };
    home.writeAlias('work', given);
    const alias = await resolve(home, { user: 'pat', port: 2525 });
    assert.equal(alias.hostname, 'mail.example.org');
    assert.equal(alias.port, 2525);
    assert.equal(alias.user, 'pat');
    assert.deepEqual(alias.identityFiles, [join(home.dir, '.ssh', 'mine')]);
    assert.deepEqual(alias.knownHosts, [join(home.dir, '.ssh', 'mine_too')]);
    assert.deepEqual([alias.proxyJump, alias.proxyCommand], [[], 'true']);
    assert.equal(alias.connectTimeout, 5);
    assert.deepEqual([alias.serverAliveInterval, alias.compression], [15, false]);
    assert.equal(alias.ciphers, undefined);
  });

  test('SSH_CONFIG=no leaves ssh_config alone', async (t) => {
    const home = openTempHome(t);
    writeConfig(home, ['Host work', '  HostName elsewhere.example.org']);
    home.writeAlias('work', { SSH_CONFIG: 'no' });
    assert.equal((await resolve(home)).hostname, 'work');
  });

  test('Nothing in ssh_config weakens the check of host keys', async (t) => {
    const home = openTempHome(t);
    writeConfig(home, [
      'Host *',
      '  StrictHostKeyChecking no',
      '  UserKnownHostsFile /dev/null',
      '  GlobalKnownHostsFile none',
      '  NoHostAuthenticationForLocalhost yes',
      '  VerifyHostKeyDNS yes',
    ]);
    home.writeAlias('work', {});
    const alias = await resolve(home);
    assert.equal(alias.strictHostKeyChecking, 'yes');
    assert.deepEqual(alias.knownHosts, [join(home.dir, '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts']);
  });

  test('A mistake in ssh_config is named as ssh names it', async (t) => {
    const home = openTempHome(t);
    writeConfig(home, ['Host work', '  NoSuchKeyword 3']);
    home.writeAlias('work', {});
    await assert.rejects(resolve(home), (error: unknown) => {
      assert.ok(error instanceof Failure);
      assert.equal(error.code, 'ssh-config-refused');
      assert.match(error.message, /config.*line 2: Bad configuration option: nosuchkeyword/);
      return true;
    });
  });

  test('ssh and what it starts stand in /, wherever the caller does', async (t) => {
    const home = openTempHome(t);
    const where = join(home.dir, 'where');
    writeConfig(home, [`Match exec "pwd >${where}"`, '  Port 2222']);
    home.writeAlias('work', {});
    await resolve(home);
    assert.equal(readFileSync(where, 'utf8'), '/\n');
  });

  test('An agent is one that ssh_config names by path or variable, none, or the one there is', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    process.env['PINE_RSH_TEST_AGENT'] = '/run/agent 1';
    t.after(() => {
      delete process.env['PINE_RSH_TEST_AGENT'];
    });
    for (const [written, meant] of [
      ['none', 'none'],
      ['SSH_AUTH_SOCK', undefined],
      ['/run/agent', '/run/agent'],
      ['/run/agent-%n', '/run/agent-work'],
      ['$PINE_RSH_TEST_AGENT', '/run/agent 1'],
    ] as const) {
      writeConfig(home, ['Host work', `  IdentityAgent ${written}`]);
      assert.equal((await resolve(home)).identityAgent, meant, written);
    }
  });

  test('Key files that do not exist are passed over, and of one only the public half will do', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    const half = home.writeFile('.ssh/half.pub', 'ssh-ed25519 AAAA');
    const whole = home.writeFile('.ssh/whole-work', 'key');
    const lines = ['half', 'whole-%n', 'missing'].map((name) => `  IdentityFile ~/.ssh/${name}`);
    writeConfig(home, ['Host work', ...lines]);
    assert.deepEqual((await resolve(home)).identityFiles, [half, whole]);
    writeConfig(home, ['Host work', '  IdentityFile none']);
    assert.deepEqual((await resolve(home)).identityFiles, []);
  });

  test('ProxyCommand none and ProxyJump none are no way, and times are those of ssh_config', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    for (const keyword of ['ProxyCommand', 'ProxyJump']) {
      writeConfig(home, [
        'Host work',
        `  ${keyword} none`,
        '  ConnectTimeout 7',
        '  ServerAliveInterval 8',
        '  ServerAliveCountMax 9',
      ]);
      const alias = await resolve(home);
      assert.deepEqual([alias.proxyCommand, alias.proxyJump], [undefined, []]);
      assert.deepEqual(
        [alias.connectTimeout, alias.serverAliveInterval, alias.serverAliveCountMax],
        [7, 8, 9],
      );
    }
  });

  test('Times and numbers without a limit count as unset, and others are brought within bounds', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    for (const [timeout, interval, count, meant] of [
      ['0', 'none', '0', [12, 15, 3]],
      ['none', '0', '0', [12, 15, 3]],
      ['2h', '2h', '1000', [600, 3600, 100]],
      ['2147483647', '2147483647', '2147483647', [600, 3600, 100]],
    ] as const) {
      writeConfig(home, [
        'Host work',
        `  ConnectTimeout ${timeout}`,
        `  ServerAliveInterval ${interval}`,
        `  ServerAliveCountMax ${count}`,
      ]);
      const { connectTimeout, serverAliveInterval, serverAliveCountMax } = await resolve(home);
      assert.deepEqual([connectTimeout, serverAliveInterval, serverAliveCountMax], meant);
    }
  });

  test('Known hosts of the one kind leave the other kind as it is', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    const [user, system] = [join(home.dir, '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts'];
    writeConfig(home, ['Host work', '  GlobalKnownHostsFile /k/one /k/two']);
    assert.deepEqual((await resolve(home)).knownHosts, [user, '/k/one', '/k/two']);
    writeConfig(home, ['Host work', '  UserKnownHostsFile /k/mine', '  HostKeyAlias key.example.org']);
    const alias = await resolve(home);
    assert.deepEqual([alias.knownHosts, alias.hostKeyAlias], [['/k/mine', system], 'key.example.org']);
  });

  test('A value that no alias could have is refused, and named', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    writeConfig(home, ['Host work', '  HostKeyAlias a;b']);
    await assert.rejects(resolve(home), /cannot use its hostkeyalias/);
  });

  test('Nobody is asked for a session that is not wanted any more', async (t) => {
    const home = openTempHome(t);
    home.writeAlias('work', {});
    writeConfig(home, [`Match exec "touch ${join(home.dir, 'asked')}"`, '  Port 2222']);
    await assert.rejects(resolve(home, { signal: AbortSignal.abort(new Error('gone')) }), /gone/);
    assert.equal(existsSync(join(home.dir, 'asked')), false);
  });

  for (const [what, lines, why] of [
    ['that fails without a word', 'exit 3', /ssh -G ended with 3/],
    ['that is ended', 'kill -KILL $$', /ssh -G ended with SIGKILL/],
    ['that prints without end', 'yes', /ssh -G ended with SIGKILL/],
    ['that complains at length', 'echo "  no such host  " >&2; echo more >&2; exit 255', /no such host/],
  ] as const) {
    test(`An ssh ${what} is a reason`, async (t) => {
      const home = openTempHome(t);
      home.writeAlias('work', {});
      writeConfig(home, ['Host work', '  Port 2222']);
      home.writeScript('bin/ssh', lines);
      const before = process.env['PATH'];
      process.env['PATH'] = `${join(home.dir, 'bin')}:${before}`;
      t.after(() => {
        process.env['PATH'] = before;
      });
      await assert.rejects(resolve(home), (thrown: Error & { code?: string }) => {
        assert.equal(thrown.code, 'ssh-config-refused');
        assert.match(thrown.message, why);
        assert.doesNotMatch(thrown.message, /more/);
        return true;
      });
    });
  }

  test('A Match exec that hangs costs CONNECT_TIMEOUT, and is ended', async (t) => {
    const home = openTempHome(t);
    writeConfig(home, [`Match exec "sleep 60; : ${home.dir}"`, '  Port 2222']);
    home.writeAlias('work', { CONNECT_TIMEOUT: 1 });
    const start = performance.now();
    await assert.rejects(resolve(home), { code: 'connect-timeout' });
    assert.ok(performance.now() - start < 5_000);
    await waitForNoProcess(home.dir);
  });
});

/** A token of ssh_config(5) for `work`, as ssh itself puts it in. */
function readToken(home: TempHome, token: string): string {
  const words = ['-o', `ControlPath=/${token}`];
  return (askSsh(home, words)('controlpath')[0] ?? '').slice(1);
}

interface Setup {
  readonly host: MailHost;
  readonly home: TempHome;
  rsh(words: readonly string[], env?: Readonly<Record<string, string>>): ReturnType<typeof runProgram>;
}

/** `Host work` in ~/.ssh/config knows all, the alias file is all but empty. */
async function openSetup(
  t: TestContext,
  build: Build,
  lines: (host: MailHost) => readonly string[],
): Promise<Setup> {
  const host = await openMailHost(t);
  const home = openTempHome(t);
  writeConfig(home, lines(host));
  home.writeAlias('work', { SHARE: 'no', IMAPD: host.rimapd });
  return {
    host,
    home,
    rsh: (words, env = {}) => runProgram(build.rshPath, words, { env: { ...home.env, ...env } }),
  };
}

const configOf = (host: MailHost): string[] => [
  'Host work',
  `  HostName ${host.host}`,
  `  Port ${host.port}`,
  `  User ${host.user}`,
  `  IdentityFile ${host.identityFile}`,
  `  UserKnownHostsFile ${host.knownHostsFile}`,
];

for (const build of BUILDS) {
  describe(`A host that ~/.ssh/config knows (${build.name})`, {
    skip: NEEDS || requirePrograms('sshd', 'imap') || build.skip,
  }, () => {
    test('An alias file without a host opens the mailbox of `Host work`', async (t) => {
      const { home } = await openSetup(t, build, configOf);
      const child = runAsPine(t, build.rshPath, ['work', 'exec', '/etc/rimapd'], { env: home.env, cwd: '/' });
      const imap = openImapClient(child);
      assert.match(await imap.greeting(), /^\* PREAUTH (?!.*pine-rsh:)/, home.log());
      assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
      await imap.ask('LOGOUT');
      assert.equal((await child.finish()).code, 0);
      await waitForNoProcess(home.dir);
    });

    test('A host whose key is not known stays refused, whatever ssh_config allows', async (t) => {
      const { home, host, rsh } = await openSetup(t, build, (to) => [
        'Host *',
        '  StrictHostKeyChecking no',
        '  NoHostAuthenticationForLocalhost yes',
        '  UserKnownHostsFile /dev/null',
        ...configOf(to),
      ]);
      for (const TRANSPORT of ['ssh2', 'openssh']) {
        home.writeAlias('work', { SHARE: 'no', TRANSPORT });
        const { code, stderr } = await rsh(['work', 'true']);
        assert.equal(code, 255, TRANSPORT);
        assert.match(stderr.toString(), /host key of \[127\.0\.0\.1\]:\d+ is not known/, TRANSPORT);
      }
      assert.doesNotMatch(host.log(), /Accepted publickey/);
    });

    test('Limits of 0 and none, there or on the command line, do not keep it from being reached', async (t) => {
      const { rsh } = await openSetup(t, build, (to) => [
        ...configOf(to),
        '  ConnectTimeout none',
        '  ServerAliveCountMax 0',
      ]);
      for (const words of [[], ['-o', 'ConnectTimeout=0'], ['-oConnectTimeout none'], ['-t', '0']]) {
        const { code, stderr } = await rsh([...words, 'work', 'exit 3']);
        assert.deepEqual([code, stderr.toString()], [3, ''], words.join(' '));
      }
    });

    test('No ~/.ssh/config, no process', async (t) => {
      const { home, host, rsh } = await openSetup(t, build, () => ['# nothing but a comment']);
      home.writeAlias('work', { ...host.aliasKeys, SHARE: 'no' });
      const trace = join(home.dir, 'ssh-was-run');
      home.writeScript('bin/ssh', `echo "$@" >>${trace}\nexec ${programPath('ssh')} "$@"`);
      const env = { PATH: `${home.dir}/bin:${home.env['PATH']}` };
      assert.equal((await rsh(['work', 'exit 3'], env)).code, 3);
      assert.ok(!existsSync(trace));
      writeConfig(home, ['Host elsewhere', '  Port 1']);
      assert.equal((await rsh(['work', 'exit 3'], env)).code, 3);
      assert.match(readFileSync(trace, 'utf8'), /-G .*-- 127\.0\.0\.1\n/);
    });

    test('Without ssh the alias stands as it is, and the log says so', async (t) => {
      const { home, host, rsh } = await openSetup(t, build, configOf);
      home.writeAlias('work', { ...host.aliasKeys, SHARE: 'no' });
      home.writeFile('bin/none', '');
      symlinkSync(process.execPath, join(home.dir, 'bin', 'node'));
      const { code, stderr } = await rsh(['work', 'exit 3'], { PATH: join(home.dir, 'bin') });
      assert.equal(code, 3, `${stderr}`);
      assert.match(home.log(), /ssh-config-skipped alias=work .*not installed/);
    });

    test('A refusal tells what ssh does not like about its configuration', async (t) => {
      const { rsh } = await openSetup(t, build, (host) => [...configOf(host), 'Port twenty']);
      const { code, stderr } = await rsh(['work', 'true']);
      assert.equal(code, 255);
      assert.match(stderr.toString(), /ssh refuses its configuration: .*line 7.*; .*SSH_CONFIG=no/);
    });
  });
}
