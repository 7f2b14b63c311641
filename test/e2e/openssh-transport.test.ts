/** TRANSPORT=openssh: the system's ssh carries the session, and everything else stays as it is with ssh2. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import ssh2 from 'ssh2';
import type { Alias } from '../../src/alias/alias.ts';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { Log } from '../../src/log.ts';
import { readSettings } from '../../src/settings.ts';
import { connect } from '../../src/transport/connect.ts';
import type { Prompt, PromptRequest } from '../../src/transport/prompt.ts';
import type { Connection } from '../../src/transport/transport.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { fetchSubjects, openImapClient } from '../helpers/imap-client.ts';
import { openMailHost } from '../helpers/mail-host.ts';
import { subjectOf } from '../helpers/mail-messages.ts';
import {
  descendantsOf,
  listProcesses,
  peakMemoryOf,
  signalProcess,
  waitForNoProcess,
} from '../helpers/processes.ts';
import { openRealSshd, type RealSshd, type SshdOptions } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunOptions, type RunResult, runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'ssh');

const STALLED_BYTES = 100_000_000;
const PEAK_MEMORY_MAX = 256 * 1024 * 1024;

interface Setup {
  readonly server: RealSshd;
  readonly home: TempHome;
  /** Writes the alias `work` anew. */
  alias(keys?: AliasKeys): void;
  /** Runs `pine-rsh WORDS`. */
  rsh(
    words: readonly string[],
    options?: Omit<RunOptions, 'env'> & { env?: Readonly<Record<string, string>> },
  ): Promise<RunResult>;
  /** Nothing of any session runs any more, here or there, and no socket is left. */
  waitForQuiet(): Promise<void>;
}

async function openSetup(t: TestContext, build: Build, sshd: SshdOptions = {}): Promise<Setup> {
  const server = await openRealSshd(t, sshd);
  const home = openTempHome(t);
  const alias = (keys: AliasKeys = {}): void => {
    home.writeAlias('work', { ...server.aliasKeys, SHARE: 'no', TRANSPORT: 'openssh', ...keys });
  };
  alias();
  return {
    server,
    home,
    alias,
    rsh: async (words, options = {}) =>
      await runProgram(build.rshPath, words, { ...options, env: { ...home.env, ...options.env } }),
    waitForQuiet: async () => {
      await waitForNoProcess(home.dir);
      await waitUntil('remote processes end', () => server.remoteProcesses().length === 0, {
        detail: () => JSON.stringify(server.remoteProcesses()),
      });
      assert.deepEqual(
        readdirSync(home.runtimeDir).filter((name) => name.startsWith('o-')),
        [],
      );
    },
  };
}

/** The command fails as pine-rsh's own failures do, with this text. */
function assertRefused({ code, stdout, stderr }: RunResult, text: RegExp): void {
  assert.match(stderr.toString(), text);
  assert.deepEqual([code, stdout.toString()], [255, '']);
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The fingerprint of a public key, as ssh-keygen prints it. */
function fingerprintOf(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

for (const build of BUILDS) {
  describe(`A session over the system's ssh (${build.name})`, { skip: NEEDS || build.skip }, () => {
    test('A mailbox opens, is read and is left by LOGOUT, and nothing stays behind', {
      skip: requirePrograms('imap'),
    }, async (t) => {
      const host = await openMailHost(t);
      const home = openTempHome(t);
      home.writeAlias('work', {
        ...host.aliasKeys,
        IMAPD: host.rimapd,
        SHARE: 'no',
        TRANSPORT: 'openssh',
      });
      const words = ['work', '-l', host.user, 'exec', '/etc/rimapd'];
      const child = runAsPine(t, build.rshPath, words, { env: home.env, cwd: '/' });
      const imap = openImapClient(child);
      assert.match(await imap.greeting(), /^\* PREAUTH (?!.*pine-rsh:)/, home.log());
      assert.equal((await imap.ask('SELECT INBOX')).status, 'OK');
      assert.deepEqual(await fetchSubjects(imap, 2), [subjectOf(1), subjectOf(2)]);
      await imap.ask('LOGOUT');
      const { code, ms } = await child.finish();
      assert.equal(code, 0);
      t.diagnostic(`${Math.round(ms)} ms`);
      await waitForNoProcess(home.dir);
      await waitUntil('remote processes end', () => host.remoteProcesses().length === 0);
    });

    test('Exit status, signal, stdout and stderr come back as they are', async (t) => {
      const { rsh, waitForQuiet } = await openSetup(t, build);
      for (const status of [0, 7, 255]) assert.equal((await rsh(['work', `exit ${status}`])).code, status);
      assert.equal((await rsh(['work', 'kill -TERM $$'])).code, 128 + 15);
      const { stdout, stderr, code } = await rsh(['work', 'echo out; echo err >&2; exit 3']);
      assert.deepEqual([stdout.toString(), stderr.toString(), code], ['out\n', 'err\n', 3]);
      await waitForQuiet();
    });

    test('50 MB go through cat and come back unchanged, with new keys on the way', async (t) => {
      const { rsh } = await openSetup(t, build, { config: ['RekeyLimit 10M'] });
      const input = randomBytes(50_000_000);
      const { stdout, stderr, code } = await rsh(['work', 'cat'], { input, timeout: 120_000 });
      assert.deepEqual({ code, stderr: stderr.toString() }, { code: 0, stderr: '' });
      assert.equal(digest(stdout), digest(input));
    });

    test('End of input reaches the remote command, whose answer still arrives', async (t) => {
      const { rsh } = await openSetup(t, build);
      const { stdout, code } = await rsh(['work', 'sort; sleep 0.3; echo done'], { input: 'b\nc\na\n' });
      assert.deepEqual([stdout.toString(), code], ['a\nb\nc\ndone\n', 0]);
    });

    test('A reader that has seen enough ends the remote command, without a word', async (t) => {
      const { home, waitForQuiet } = await openSetup(t, build);
      const line = '"$0" work yes | head -n 3';
      const result = await runProgram('/bin/sh', ['-c', line, build.rshPath], { env: home.env });
      assert.deepEqual([`${result.stdout}`, `${result.stderr}`, result.code], ['y\ny\ny\n', '', 0]);
      await waitForQuiet();
    });

    test('A reader that stalls and then drains 100 MB costs bounded memory', async (t) => {
      const { home } = await openSetup(t, build);
      const command = `head -c ${STALLED_BYTES} /dev/zero; read end`;
      const child = spawn(build.rshPath, ['work', command], {
        env: home.env,
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const { pid } = child;
      assert.ok(pid !== undefined);
      defer(t, () => signalProcess(pid, 'SIGKILL'));
      const exited = new Promise((resolve) => child.once('exit', resolve));
      await sleep(2_000);
      let count = 0;
      child.stdout.on('data', (data: Buffer) => {
        count += data.length;
      });
      await waitUntil('all bytes', () => count === STALLED_BYTES, { detail: () => String(count) });
      const peak = peakMemoryOf(pid);
      t.diagnostic(`peak resident set ${Math.round(peak / 1024 / 1024)} MiB`);
      assert.ok(peak < PEAK_MEMORY_MAX, `${peak} bytes`);
      child.stdin.end('end\n');
      assert.equal(await exited, 0);
    });

    test('-W joins stdin and stdout to an address on the far side; a refusal says why', async (t) => {
      const { rsh, waitForQuiet } = await openSetup(t, build);
      const port = await openUpperCaseServer(t);
      const { stdout, code } = await rsh(['-W', `127.0.0.1:${port}`, 'work'], { input: 'hello\n' });
      assert.deepEqual([stdout.toString(), code], ['HELLO\n', 0]);
      const closed = await findFreePort();
      assertRefused(
        await rsh(['-W', `127.0.0.1:${closed}`, 'work']),
        /127\.0\.0\.1:\d+ cannot connect to \S+ \(Connection refused\); nothing listens there/,
      );
      await waitForQuiet();
    });

    test('sftp -S uses the sftp subsystem', { skip: requirePrograms('sftp') }, async (t) => {
      const { home, server } = await openSetup(t, build);
      const bytes = randomBytes(3_000_000);
      writeFileSync(join(home.dir, 'file'), bytes);
      const batch = home.writeFile('batch', `put file ${server.home}/copy\nget ${server.home}/copy back\n`);
      const words = ['-q', '-S', build.rshPath, '-b', batch, 'work'];
      const { code, stderr } = await runProgram(programPath('sftp'), words, { env: home.env, cwd: home.dir });
      assert.equal(code, 0, `${stderr}`);
      assert.equal(digest(readFileSync(join(home.dir, 'back'))), digest(bytes));
    });

    test('A server that asks for signs of life gets them', async (t) => {
      const { rsh } = await openSetup(t, build, {
        config: ['ClientAliveInterval 1', 'ClientAliveCountMax 1'],
      });
      const { code, stdout } = await rsh(['work', 'sleep 5; echo still here']);
      assert.deepEqual([code, stdout.toString()], [0, 'still here\n']);
    });

    test('A forced command takes the place of ours', async (t) => {
      const { rsh } = await openSetup(t, build, {
        keyOptions: 'restrict,command="echo forced: $SSH_ORIGINAL_COMMAND"',
      });
      assert.equal((await rsh(['work', 'echo mine'])).stdout.toString(), 'forced: echo mine\n');
    });

    test('A server that allows only certificates is reached; without TRANSPORT=openssh the refusal names it', async (t) => {
      const ca = join(openTempHome(t).dir, 'ca');
      makeKey('ed25519', ca);
      const { server, alias, rsh } = await openSetup(t, build, {
        config: [`TrustedUserCAKeys ${ca}.pub`, 'AuthorizedKeysFile none'],
      });
      assertRefused(await rsh(['work', 'true']), /accepted no key/);
      const words = ['-q', '-s', ca, '-I', 'test', '-n', server.user, `${server.identityFile}.pub`];
      assert.equal(spawnSync('ssh-keygen', words).status, 0);
      // Beside its key it is found without being named.
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      alias({ CERTIFICATE_FILE: `${server.identityFile}-cert.pub` });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      alias({ TRANSPORT: 'ssh2' });
      assertRefused(
        await rsh(['work', 'true']),
        /certificate .*-cert\.pub was not offered; .*TRANSPORT=openssh/,
      );
    });

    test('A server that allows only post-quantum key exchange is reached; without TRANSPORT=openssh the refusal names it', {
      skip: supportsKex('sntrup761x25519-sha512@openssh.com'),
    }, async (t) => {
      const { alias, rsh } = await openSetup(t, build, {
        config: ['KexAlgorithms sntrup761x25519-sha512@openssh.com'],
      });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      alias({ KEX_ALGORITHMS: 'curve25519-sha256' });
      assertRefused(await rsh(['work', 'true']), /offers no key exchange .*sntrup761.*; .*KEX_ALGORITHMS/);
      alias({ TRANSPORT: 'ssh2' });
      assertRefused(await rsh(['work', 'true']), /no common key exchange .*; TRANSPORT=openssh/);
    });

    test('An unknown, a changed and a revoked host key are refused, and a pin counts', async (t) => {
      const { server, home, alias, rsh } = await openSetup(t, build);
      const place = `[127.0.0.1]:${server.port}`;
      const { ed25519, rsa } = server.hostKeys;
      const KNOWN_HOSTS = home.writeFile('known', '');
      const fingerprint = fingerprintOf(ed25519);
      alias({ KNOWN_HOSTS });
      const unknown = await rsh(['work', 'true']);
      assertRefused(
        unknown,
        /host key of .* is not known: ssh-ed25519 SHA256:.*; run: pine-rshctl trust work/,
      );
      assert.ok(unknown.stderr.includes(fingerprint), `${unknown.stderr}`);

      const other = join(home.dir, 'other');
      makeKey('ed25519', other);
      const otherKey = readFileSync(`${other}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
      writeFileSync(KNOWN_HOSTS, `# a comment\n${place} ${otherKey}\n`);
      assertRefused(await rsh(['work', 'true']), /host key of .* changed: .*known:2 holds another/);

      writeFileSync(KNOWN_HOSTS, `${place} ${ed25519}\n@revoked * ${ed25519}\n`);
      assertRefused(await rsh(['work', 'true']), /host key of .* is revoked/);
      alias({ KNOWN_HOSTS, HOST_KEY_FINGERPRINT: fingerprint });
      assertRefused(await rsh(['work', 'true']), /host key of .* is revoked/);

      writeFileSync(KNOWN_HOSTS, '');
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      writeFileSync(KNOWN_HOSTS, `${place} ${ed25519}\n`);
      alias({ KNOWN_HOSTS, HOST_KEY_FINGERPRINT: fingerprintOf(rsa) });
      assertRefused(
        await rsh(['work', 'true']),
        /host key of .* is SHA256:.*not the one in HOST_KEY_FINGERPRINT/,
      );
    });

    test('accept-new remembers a new host key, and refuses another one later', async (t) => {
      const { server, home, alias, rsh } = await openSetup(t, build);
      const KNOWN_HOSTS = join(home.dir, 'known');
      alias({ KNOWN_HOSTS, STRICT_HOST_KEY_CHECKING: 'accept-new', HOST_KEY_ALIAS: 'mail' });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      assert.equal(readFileSync(KNOWN_HOSTS, 'utf8').trim(), `mail ${server.hostKeys.ed25519}`);
      const other = join(home.dir, 'other');
      makeKey('ed25519', other);
      writeFileSync(KNOWN_HOSTS, `mail ${readFileSync(`${other}.pub`, 'utf8')}`);
      assertRefused(await rsh(['work', 'true']), /host key of mail changed/);
    });

    test('A known_hosts file that others can write to vouches for nobody', async (t) => {
      const { home, server, alias, rsh } = await openSetup(t, build);
      const KNOWN_HOSTS = home.writeFile('known', readFileSync(server.knownHostsFile, 'utf8'), 0o666);
      alias({ KNOWN_HOSTS });
      assertRefused(await rsh(['work', 'true']), /known: .*; run: chmod/);
    });

    test('What keeps ssh from connecting has the reasons that it has with ssh2', async (t) => {
      const { home, alias, rsh, waitForQuiet } = await openSetup(t, build);
      alias({ PORT: await findFreePort() });
      assertRefused(await rsh(['work', 'true']), /127\.0\.0\.1:\d+ refused the connection/);
      alias({ HOSTNAME: 'no-such-host.invalid' });
      assertRefused(await rsh(['work', 'true']), /no address found for no-such-host\.invalid/);
      alias({ PORT: await openMuteServer(t), CONNECT_TIMEOUT: 1 });
      assertRefused(await rsh(['work', 'true']), /no answer from .* within 1 s/);
      const key = join(home.dir, 'stranger');
      makeKey('ed25519', key);
      alias({ IDENTITY_FILE: key });
      assertRefused(
        await rsh(['work', 'true']),
        /accepted no key for .*; tried .*stranger; it wants publickey/,
      );
      alias({ IDENTITY_FILE: join(home.dir, 'missing') });
      assertRefused(await rsh(['work', 'true']), /key file .*missing does not exist/);
      await waitForQuiet();
    });

    test('A mail client is told in IMAP why ssh could not connect', async (t) => {
      const { home, server, alias } = await openSetup(t, build);
      alias({ KNOWN_HOSTS: home.writeFile('known', '') });
      const words = ['work', '-l', server.user, 'exec', '/etc/rimapd'];
      const child = runAsPine(t, build.rshPath, words, { env: home.env, cwd: '/' });
      assert.match(await child.waitForLine(), /^\* PREAUTH .*host key of .* is not known/);
      child.write('a1 CAPABILITY\r\na2 SELECT INBOX\r\n');
      assert.equal((await child.finish()).code, 255);
      assert.doesNotMatch(child.output().toString(), /debug1|verification failed/);
    });

    test('An encrypted key is unlocked by PASSPHRASE_COMMAND or SSH_ASKPASS; else the refusal says so', async (t) => {
      const { home, server, alias, rsh, waitForQuiet } = await openSetup(t, build);
      const key = join(home.dir, 'locked');
      assert.equal(spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'a b"c', '-f', key]).status, 0);
      appendFileSync(server.authorizedKeysFile, readFileSync(`${key}.pub`));
      alias({ IDENTITY_FILE: key });
      assertRefused(await rsh(['work', 'true']), /key .*locked needs a passphrase/);
      const askpass = home.writeScript('askpass', `printf '%s\\n' 'a b"c'`);
      assert.equal(
        (await rsh(['work', 'exit 3'], { env: { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'prefer' } }))
          .code,
        3,
      );
      alias({ IDENTITY_FILE: key, PASSPHRASE_COMMAND: `${askpass}; echo not this` });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      alias({ IDENTITY_FILE: key, PASSPHRASE_COMMAND: 'echo wrong' });
      assertRefused(await rsh(['work', 'true']), /passphrase for .*locked is wrong/);
      alias({ IDENTITY_FILE: key, PASSPHRASE_COMMAND: 'exit 7' });
      assertRefused(
        await rsh(['work', 'true']),
        /PASSPHRASE_COMMAND gave no passphrase for .*locked \(status 7\)/,
      );
      await waitForQuiet();
    });

    test('A key of a default name is found in HOME; what keeps it out is told', async (t) => {
      const { home, server, rsh } = await openSetup(t, build);
      const { IDENTITY_FILE: _, ...keys } = server.aliasKeys;
      home.writeAlias('work', { ...keys, SHARE: 'no', TRANSPORT: 'openssh' });
      assertRefused(await rsh(['work', 'true']), /no key to log in with as/);
      const key = home.writeFile('.ssh/id_ed25519', readFileSync(server.identityFile, 'utf8'), 0o644);
      assertRefused(
        await rsh(['work', 'true']),
        /\.ssh\/id_ed25519: others can read it; run: chmod 600 \S+\/\.ssh\/id_ed25519/,
      );
      chmodSync(key, 0o600);
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      writeFileSync(server.authorizedKeysFile, '');
      assertRefused(
        await rsh(['work', 'true']),
        /accepted no key for \S+; tried \S+\/\.ssh\/id_ed25519; it wants/,
      );
    });

    test('Gateways are passed one after the other, each by its own alias', async (t) => {
      const { server, home, alias, rsh, waitForQuiet } = await openSetup(t, build);
      const gateways = [await openRealSshd(t), await openRealSshd(t)] as const;
      gateways.forEach((gateway, at) => {
        home.writeAlias(`gw${at}`, { ...gateway.aliasKeys, SHARE: 'no' });
      });
      alias({ PROXY_JUMP: 'gw0,gw1' });
      const { code, stdout, stderr } = await rsh(['work', 'echo "$SSH_CONNECTION"']);
      assert.equal(code, 0, `${stderr}${home.log()}`);
      assert.match(
        stdout.toString(),
        new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${server.port}$`, 'm'),
      );
      for (const gateway of gateways) assert.match(gateway.log(), /Accepted publickey/);
      const stranger = join(home.dir, 'stranger');
      makeKey('ed25519', stranger);
      home.writeAlias('gw1', { ...gateways[1].aliasKeys, IDENTITY_FILE: stranger, SHARE: 'no' });
      const denied = new RegExp(
        `gateway 127\\.0\\.0\\.1:${gateways[1].port} accepted no key .*; tried \\S*stranger;`,
      );
      assertRefused(await rsh(['work', 'true']), denied);
      // A gateway is not trusted any more than a mail host.
      home.writeAlias('gw1', {
        ...gateways[1].aliasKeys,
        KNOWN_HOSTS: home.writeFile('none', ''),
        SHARE: 'no',
      });
      const refused = await rsh(['work', 'true']);
      assertRefused(refused, /host key of .* is not known.*pine-rshctl trust gw1/);
      assert.ok(refused.stderr.includes(`:${gateways[1].port} `), `${refused.stderr}`);
      await waitForQuiet();
    });

    test('PROXY_COMMAND carries the connection', { skip: requirePrograms('nc') }, async (t) => {
      const { alias, rsh, waitForQuiet } = await openSetup(t, build);
      alias({ HOSTNAME: 'mail', HOST_KEY_ALIAS: 'mail', PROXY_COMMAND: 'nc 127.0.0.1 %p' });
      const refused = await rsh(['work', 'true']);
      assertRefused(refused, /host key of mail is not known/);
      alias({ PROXY_COMMAND: 'nc %h %p' });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
      await waitForQuiet();
    });

    test('Paths with blanks, quotes and percent signs reach ssh as they are', async (t) => {
      const { home, server, alias, rsh } = await openSetup(t, build);
      const copy = (name: string, from: string): string =>
        home.writeFile(`a "b" %h \\c/${name}`, readFileSync(from, 'utf8'));
      alias({
        IDENTITY_FILE: copy('key', server.identityFile),
        KNOWN_HOSTS: `${copy('empty', '/dev/null')},${copy('known', server.knownHostsFile)}`,
      });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3, home.log());
      // Through a gateway they are read by a shell and by one more ssh.
      alias({ PROXY_JUMP: 'gw' });
      const gateway = await openRealSshd(t);
      home.writeAlias('gw', {
        ...gateway.aliasKeys,
        IDENTITY_FILE: copy('gateway', gateway.identityFile),
        KNOWN_HOSTS: copy('gateway_known', gateway.knownHostsFile),
      });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3, home.log());
    });

    test('What ssh_config would have ssh do beside the session does not happen', async (t) => {
      const { home, server, alias, rsh, waitForQuiet } = await openSetup(t, build);
      const ran = join(home.dir, 'local-command-ran');
      home.writeFile(
        '.ssh/config',
        [
          'Host *',
          `PermitLocalCommand yes\nLocalCommand touch ${ran}`,
          'RemoteCommand echo remote command',
          `ControlMaster auto\nControlPath ${home.dir}/cm-%C\nControlPersist yes`,
          'RequestTTY force\nForkAfterAuthentication yes\nSessionType none\nStdinNull yes',
          `LocalForward ${await findFreePort()} 127.0.0.1:1`,
          'LogLevel QUIET\nForwardAgent yes\nForwardX11 yes\nServerAliveInterval 1',
          `StrictHostKeyChecking no\nKnownHostsCommand /bin/echo * ${server.hostKeys.ed25519}`,
          '',
        ].join('\n'),
      );
      const { code, stdout, stderr } = await rsh(['work', 'echo mine; exit 3']);
      assert.deepEqual([code, stdout.toString()], [3, 'mine\n'], `${stderr}${home.log()}`);
      assert.ok(!existsSync(ran));
      await waitForQuiet();
      alias({ KNOWN_HOSTS: home.writeFile('none', '') });
      assertRefused(await rsh(['work', 'true']), /host key of .* is not known/);
      alias({ SSH_CONFIG: 'no' });
      assert.equal((await rsh(['work', 'exit 3'])).code, 3);
    });

    test('An ssh that does not know our youngest keywords is used without them', async (t) => {
      const { home, rsh } = await openSetup(t, build);
      home.writeScript(
        'bin/ssh',
        [
          'for word do case $word in KnownHostsCommand*|ForkAfter*)',
          '  name=$(echo "$word" | sed "s/=.*//" | tr A-Z a-z)',
          '  echo "command-line: line 0: Bad configuration option: $name" >&2; exit 255',
          'esac; done',
          `exec ${programPath('ssh')} "$@"`,
        ].join('\n'),
      );
      const env = { PATH: `${home.dir}/bin:${home.env['PATH']}` };
      assert.equal((await rsh(['work', 'exit 3'], { env })).code, 3);
    });

    test('Without ssh the refusal says what to install', async (t) => {
      const { home, rsh } = await openSetup(t, build);
      home.writeFile('bin/none', '');
      symlinkSync(process.execPath, join(home.dir, 'bin', 'node'));
      assertRefused(
        await rsh(['work', 'true'], { env: { PATH: join(home.dir, 'bin') } }),
        /ssh is not installed/,
      );
    });

    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      test(`${signal} to pine-rsh leaves no ssh and no remote command, gateways included`, async (t) => {
        const { server, home, alias, waitForQuiet } = await openSetup(t, build);
        const gateway = await openRealSshd(t);
        home.writeAlias('gw', { ...gateway.aliasKeys, SHARE: 'no' });
        alias({ PROXY_JUMP: 'gw' });
        const child = runAsPine(t, build.rshPath, ['work', 'echo started; cat; sleep 300 | cat'], {
          env: home.env,
        });
        await child.waitForText('started');
        assert.notEqual(server.remoteProcesses().length, 0);
        child.kill(signal);
        await child.waitForExit();
        await waitForNoProcess(home.dir);
        await waitUntil('connections end', () => server.sessionPids().length === 0);
        await waitUntil('connections end', () => gateway.sessionPids().length === 0);
        if (signal === 'SIGTERM') await waitForQuiet();
      });

      test(`${signal} to pine-rsh while ssh connects leaves no ssh`, async (t) => {
        const { home, alias } = await openSetup(t, build);
        alias({ PORT: await openMuteServer(t) });
        const child = runAsPine(t, build.rshPath, ['work', 'true'], { env: home.env });
        await waitUntil('ssh runs', () => readdirSync(home.runtimeDir).some((name) => name.startsWith('o-')));
        await sleep(200);
        child.kill(signal);
        await child.waitForExit();
        await waitForNoProcess(home.dir);
      });
    }

    test('A peer that does not answer any more is found, and left', async (t) => {
      const { server, home, alias, rsh } = await openSetup(t, build);
      alias({ SERVER_ALIVE_INTERVAL: 1, SERVER_ALIVE_COUNT_MAX: 2 });
      const running = rsh(['work', 'echo started >"$HOME/started"; sleep 60']);
      await waitUntil('the command runs', () => existsSync(join(server.home, 'started')));
      for (const pid of serverProcesses(server)) signalProcess(pid, 'SIGSTOP');
      assert.equal((await running).code, 255);
      assert.match(home.log(), /end=stalled .*no answer to 2 probes/);
      await waitForNoProcess(home.dir);
    });

    test('A server that opens no session says so', async (t) => {
      const { rsh, waitForQuiet } = await openSetup(t, build, { config: ['MaxSessions 0'] });
      assertRefused(await rsh(['work', 'true']), /refused to run a command \(open failed\)/);
      await waitForQuiet();
    });

    test('A connection that is lost is a failure, never an exit status', async (t) => {
      const { server, home, rsh } = await openSetup(t, build);
      const running = rsh(['work', 'echo started >"$HOME/started"; sleep 60']);
      await waitUntil('the command runs', () => existsSync(join(server.home, 'started')));
      for (const pid of serverProcesses(server)) signalProcess(pid, 'SIGKILL');
      assert.equal((await running).code, 255);
      assert.match(home.log(), /end=lost .*connection to 127\.0\.0\.1:\d+ lost \(Connection to .* closed/);
      await waitForNoProcess(home.dir);
    });
  });
}

describe("A person who answers for the system's ssh", { skip: NEEDS }, () => {
  test('A passphrase is asked for where it is needed, again if it was wrong, and opens the connection', async (t) => {
    const server = await openRealSshd(t);
    const home = openTempHome(t);
    const IDENTITY_FILE = join(home.dir, 'locked');
    assert.equal(
      spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', "it's", '-f', IDENTITY_FILE]).status,
      0,
    );
    appendFileSync(server.authorizedKeysFile, readFileSync(`${IDENTITY_FILE}.pub`));
    home.writeAlias('work', { ...server.aliasKeys, TRANSPORT: 'openssh', IDENTITY_FILE });
    const asked: PromptRequest[] = [];
    const connection = await connectWork(home, async (request) => {
      asked.push(request);
      return [asked.length === 1 ? 'wrong' : "it's"];
    });
    defer(t, () => connection.close());
    assert.deepEqual(
      asked.map(({ kind, title, again }) => ({ kind, title, again })),
      [false, true].map((again) => ({ kind: 'passphrase', title: IDENTITY_FILE, again })),
    );
    assert.ok(await connection.alive(5_000));
    const stream = await connection.exec({ kind: 'exec', text: 'cat; exit 4' });
    stream.stdin.end('through\n');
    assert.equal(await readText(stream.stdout), 'through\n');
    assert.deepEqual(await stream.exit, { kind: 'status', status: 4 });
    assert.ok(await connection.alive(5_000));
    connection.close();
    assert.equal((await connection.closed).code, 'connection-lost');
    await waitForNoProcess(home.dir);
  });

  test('A server that wants a key and a code asks for the code', async (t) => {
    const home = openTempHome(t);
    writeCodeServerAlias(home, await openCodeServer(t));
    const asked: PromptRequest[] = [];
    const connection = await connectWork(home, async (request) => {
      asked.push(request);
      return ['123456'];
    });
    defer(t, () => connection.close());
    assert.equal(asked[0]?.kind, 'keyboard-interactive');
    assert.match(asked[0]?.prompts[0]?.text ?? '', /Code: /);
    assert.equal(asked.length, 1);

    const refused = connectWork(home, async () => ['654321']);
    await assert.rejects(refused, { code: 'answers-refused' });
    const declined = connectWork(home, async () => undefined);
    await assert.rejects(declined, { code: 'answers-refused' });
    const alone = connectWork(home, undefined);
    await assert.rejects(alone, { code: 'login-needs-person' });
    connection.close();
    await waitForNoProcess(home.dir);
  });
});

/** As `pine-rshctl connect` does it. */
async function connectWork(home: TempHome, prompt: Prompt | undefined): Promise<Connection> {
  const settings = readSettings(home.env);
  const found = lookupAlias(settings, { host: 'work', user: undefined, port: undefined, options: new Map() });
  assert.equal(found.kind, 'managed');
  const log = new Log(settings.stateDir, 1);
  const signal = AbortSignal.timeout(30_000);
  return await connect((found as { alias: Alias }).alias, { settings, log, family: 0, signal, prompt });
}

async function readText(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

interface CodeServer {
  readonly port: number;
  readonly hostKey: string;
}

/** Takes any key, and then 123456. */
async function openCodeServer(t: TestContext): Promise<CodeServer> {
  const hostKey = join(openTempHome(t).dir, 'host');
  makeKey('ed25519', hostKey);
  const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (client) => {
    client.on('error', () => {});
    client.on('authentication', (context) => {
      if (context.method === 'publickey') {
        if (context.signature === undefined) context.accept();
        else context.reject(['keyboard-interactive'], true);
      } else if (context.method === 'keyboard-interactive') {
        context.prompt([{ prompt: 'Code: ', echo: false }], (answers) => {
          if (answers[0] === '123456') context.accept();
          else context.reject(['keyboard-interactive']);
        });
      } else context.reject(['publickey']);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  defer(t, () => server.close());
  return { port: (server.address() as { port: number }).port, hostKey };
}

function writeCodeServerAlias(home: TempHome, { port, hostKey }: CodeServer): void {
  const [type, key] = readFileSync(`${hostKey}.pub`, 'utf8').split(' ');
  const KNOWN_HOSTS = home.writeFile('known', `[127.0.0.1]:${port} ${type} ${key}\n`);
  const IDENTITY_FILE = join(home.dir, 'id');
  makeKey('ed25519', IDENTITY_FILE);
  home.writeAlias('work', {
    HOSTNAME: '127.0.0.1',
    PORT: port,
    USER: 'pat',
    IDENTITY_FILE,
    KNOWN_HOSTS,
    TRANSPORT: 'openssh',
  });
}

/** The server's side of its connections, without what runs in their sessions. */
function serverProcesses(server: RealSshd): number[] {
  const sessions = server.sessionPids().flatMap((pid) => [pid, ...descendantsOf(pid)]);
  return listProcesses().flatMap(({ pid, command }) =>
    sessions.includes(pid) && command.startsWith('sshd') ? [pid] : [],
  );
}

/** For `{ skip }`: whether the installed ssh has this key exchange. */
function supportsKex(name: string): string | false {
  const { stdout } = spawnSync('ssh', ['-Q', 'kex'], { encoding: 'utf8' });
  return (stdout ?? '').split('\n').includes(name) ? false : `this ssh has no ${name}`;
}

/** Reads to the end of input, then answers with it in capitals and closes. */
async function openUpperCaseServer(t: TestContext): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (data) => chunks.push(data));
    socket.on('end', () => socket.end(Buffer.concat(chunks).toString().toUpperCase()));
    socket.on('error', () => {});
  });
  return await listen(t, server);
}

/** Accepts connections and never says a word. */
async function openMuteServer(t: TestContext): Promise<number> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  defer(t, () => {
    for (const socket of sockets) socket.destroy();
  });
  return await listen(t, server);
}

async function listen(t: TestContext, server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  defer(t, () => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}
