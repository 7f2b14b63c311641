/**
 * What `pine-rshctl setup` does where the host or the key is not the usual one: dropbear, an sshd that is too old for
 * `restrict`, keys that only ssh-agent holds, keys that may do more than they should.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openDropbearHost, requireDropbear } from '../helpers/dropbear.ts';
import { openFreshHome, snapshot } from '../helpers/fresh-home.ts';
import { makeKeyFile } from '../helpers/key-files.ts';
import { NO_PASSWORDS, setLoginPassword } from '../helpers/login-password.ts';
import { findLoginUser, giveTo } from '../helpers/login-user.ts';
import { openOldSshd } from '../helpers/old-sshd.ts';
import { openPasswordHost, type PasswordHost } from '../helpers/password-host.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openScreen } from '../helpers/screen.ts';
import { openSshAgent, type SshAgent } from '../helpers/ssh-agent.ts';
import type { TempHome } from '../helpers/temp-home.ts';

const NEEDS =
  requirePrograms('sshd', 'ssh', 'imap', 'openssl', 'usermod', 'ssh-keygen', 'tmux') || NO_PASSWORDS;
const PASSWORD = NEEDS ? '' : await setLoginPassword({ after }, await findLoginUser());

/** Dovecot's does not run as root, who is the only one that dropbear lets in here. */
const IMAPD = `printf '* PREAUTH ready\\r\\n'
while read -r tag command rest; do
  case $command in
    LOGOUT*) printf '* BYE\\r\\n%s OK\\r\\n' "$tag"; exit ;;
    EXAMINE*) printf '* 20 EXISTS\\r\\n' ;;
  esac
  printf '%s OK\\r\\n' "$tag"
done`;

async function opens(t: TestContext, build: Build, home: TempHome): Promise<void> {
  const pine = runAsPine(t, build.rshPath, ['work', 'exec', '/etc/rimapd'], { env: home.env });
  pine.write('a EXAMINE INBOX\r\n');
  await pine.waitForText(/^\* 20 EXISTS/m);
  pine.write('b LOGOUT\r\n');
  assert.equal((await pine.waitForExit()).code, 0);
}

const plain = ({ stdout, stderr }: RunResult): string => `${stdout}${stderr}`.replace(/\s+/g, ' ');

async function setup(build: Build, home: TempHome, ...words: readonly string[]): Promise<RunResult> {
  return await runProgram(build.ctlPath, ['setup', 'work', ...words, '--yes'], { env: home.env });
}

for (const build of BUILDS) {
  describe(`pine-rshctl setup with other hosts (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 3,
  }, () => {
    test('dropbear gets a line that it understands', { skip: requireDropbear() }, async (t) => {
      const home = openFreshHome(t);
      mkdirSync(join(home.dir, '.ssh'), { mode: 0o700 });
      const own = makeKeyFile(join(home.dir, '.ssh'), 'id_ed25519', { type: 'ed25519' });
      const { aliasKeys, home: root } = await openDropbearHost(t, [own]);
      home.writeFile('.ssh/known_hosts', readFileSync(String(aliasKeys['KNOWN_HOSTS']), 'utf8'));
      const imapd = home.writeScript('imapd', IMAPD);
      const place = `root@127.0.0.1:${aliasKeys['PORT']}`;
      const done = await setup(build, home, place, '--key', 'new', '--imapd', imapd);
      assert.equal(done.code, 0, plain(done));
      const lines = readFileSync(join(root, '.ssh', 'authorized_keys'), 'utf8')
        .trim()
        .split('\n');
      const rights = `no-agent-forwarding,no-port-forwarding,no-pty,no-X11-forwarding,command="exec ${imapd}"`;
      assert.ok(lines[1]?.startsWith(`${rights} ssh-ed25519 `), lines[1]);
      assert.ok(
        plain(done).includes(`gives the key these rights: ${rights}`.replace(/\s+/g, ' ')),
        plain(done),
      );
      await opens(t, build, home);

      const key = join(home.dir, '.ssh', 'pine-rsh-work');
      const options = ['-F', 'none', '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-i', key];
      const ssh = (...words: readonly string[]) =>
        spawnSync(
          'ssh',
          [
            ...options,
            '-o',
            `UserKnownHostsFile=${aliasKeys['KNOWN_HOSTS']}`,
            '-p',
            String(aliasKeys['PORT']),
            'root@127.0.0.1',
            ...words,
          ],
          { env: home.env, input: 'a LOGOUT\r\n', encoding: 'latin1', timeout: 20_000 },
        );
      assert.match(ssh('echo free').stdout, /^\* PREAUTH ready\r\n\* BYE/);
      assert.match(ssh('-tt').stderr, /PTY allocation request failed/);
      assert.match(ssh('-W', `127.0.0.1:${aliasKeys['PORT']}`).stderr, /prohibited|failed/);
      assert.notEqual(ssh('-o', 'ExitOnForwardFailure=yes', '-N', '-R', '0:127.0.0.1:9').status, 0);

      const onwards = await setup(
        build,
        home,
        place,
        '--key',
        'new',
        '--imapd',
        imapd,
        '--replace',
        '--forward',
        `127.0.0.1:${aliasKeys['PORT']}`,
      );
      assert.equal(onwards.code, 0, plain(onwards));
      assert.match(plain(onwards), /warning: dropbear_\S+ there cannot keep the key from listening on ports/);
    });

    test('an sshd that is too old for restrict gets all that restrict would mean', async (t) => {
      const host = await openOldSshd(t, 'OpenSSH_7.1', 'secret');
      const home = openFreshHome(t);
      home.writeFile('.ssh/known_hosts', `${host.fingerprintLine}\n`);
      const pw = home.writeFile('pw', 'secret\n');
      const imapd = home.writeScript('imapd', IMAPD);
      const done = await setup(build, home, host.place, '--password-file', pw, '--imapd', imapd);
      assert.equal(done.code, 0, plain(done));
      assert.match(
        host.authorizedKeys()[0] ?? '',
        /^no-agent-forwarding,no-port-forwarding,no-pty,no-X11-forwarding,no-user-rc,command="exec \S+" ssh-ed25519 /,
      );
      assert.match(plain(done), /gives the key these rights: no-agent-forwarding,/);
      assert.doesNotMatch(plain(done), /warning/);
      await opens(t, build, home);
    });

    test('a key that another line lets do anything is told about', async (t) => {
      const host = await openPasswordHost(t, PASSWORD);
      const home = openFreshHome(t);
      mkdirSync(join(home.dir, '.ssh'), { mode: 0o700 });
      const key = makeKeyFile(join(home.dir, '.ssh'), 'id_ed25519', { type: 'ed25519' });
      authorize(host, key);
      const words = [host.place, '--fingerprint', host.fingerprint, '--imapd', host.rimapd, '--key', key];
      const done = await setup(build, home, ...words);
      assert.equal(done.code, 0, plain(done));
      assert.match(plain(done), /warning: 127\.0\.0\.1 lets this key run any command/);
    });

    describe('keys that only ssh-agent holds', { skip: requirePrograms('ssh-agent', 'ssh-add') }, () => {
      const words = (host: PasswordHost, pw: string): string[] => [
        host.place,
        '--fingerprint',
        host.fingerprint,
        '--imapd',
        host.rimapd,
        '--password-file',
        pw,
      ];

      test('are installed, and chosen by their public half', async (t) => {
        const host = await openPasswordHost(t, PASSWORD);
        const { home, agent, fingerprints } = await openAgentHome(t, 2);
        const pw = home.writeFile('pw', `${host.password}\n`);
        const done = await setup(build, home, ...words(host, pw), '--key', fingerprints[1] ?? '');
        assert.equal(done.code, 0, plain(done));
        assert.match(plain(done), /the key stays in ssh-agent, which must hold it whenever mail is opened/);
        assert.doesNotMatch(plain(done), /warning/);
        const file = join(home.dir, '.ssh', 'pine-rsh-work-agent.pub');
        const alias = readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8');
        assert.ok(alias.includes(`\nIDENTITY_FILE=${file}\nIDENTITIES_ONLY=yes\n`), alias);
        assert.equal(fingerprintOf(file), fingerprints[1]);
        const [line = '', ...more] = host.authorizedKeys();
        assert.ok(line.startsWith('restrict,command="exec '), line);
        assert.ok(line.endsWith(readFileSync(file, 'utf8').trim()), line);
        assert.deepEqual(more, []);
        await opens(t, build, home);
        const doctor = await runProgram(build.ctlPath, ['doctor', 'work'], { env: home.env });
        assert.equal(doctor.code, 0, plain(doctor));

        agent.stop();
        await runProgram(build.ctlPath, ['stop', '--all'], { env: home.env });
        const without = await runProgram(build.ctlPath, ['doctor', 'work'], { env: home.env });
        assert.equal(without.code, 1);
        assert.match(
          plain(without),
          /is a public key, and no agent holds its private half .*hint: load that with ssh-add/,
        );
      });

      test('can be chosen by the word agent, and by their .pub', async (t) => {
        const host = await openPasswordHost(t, PASSWORD);
        const { home, fingerprints } = await openAgentHome(t, 1);
        const pw = home.writeFile('pw', `${host.password}\n`);
        for (const key of ['agent', 'existing', join(home.dir, 'copy.pub')]) {
          const done = await setup(build, home, ...words(host, pw), '--replace', '--key', key);
          assert.equal(done.code, 0, plain(done));
          const [, file = ''] =
            /^IDENTITY_FILE=(.*)$/m.exec(readFileSync(join(home.configDir, 'hosts', 'work.env'), 'utf8')) ??
            [];
          assert.equal(fingerprintOf(file), fingerprints[0]);
          assert.equal(host.authorizedKeys().length, 1);
          rmSync(join(host.home, '.ssh'), { recursive: true });
        }
      });

      test('are offered at the question', async (t) => {
        const host = await openPasswordHost(t, PASSWORD);
        const { home, fingerprints } = await openAgentHome(t, 1);
        const pw = home.writeFile('pw', `${host.password}\n`);
        const script = '"$0" setup work "$@"; echo "status $?"; exec sleep 60';
        const all = [build.ctlPath, ...words(host, pw), '--unmanaged', 'allow', '--pinerc', 'no'];
        const screen = openScreen(t, '/bin/sh', ['-c', script, ...all], { env: home.env });
        const shown = await screen.waitFor(/or a file, or agent\s+\[new\]\?/);
        assert.ok(shown.includes(`in ssh-agent: ${fingerprints[0]} key1`), shown);
        screen.enter('agent');
        assert.match(await screen.waitFor(/status \d/), /status 0/);
        await opens(t, build, home);
      });

      test('that are not there are not taken', async (t) => {
        const host = await openPasswordHost(t, PASSWORD);
        const { home, agent } = await openAgentHome(t, 1);
        const pw = home.writeFile('pw', `${host.password}\n`);
        agent.stop();
        const before = snapshot(home.dir);
        for (const [key, said] of [
          ['agent', /--key agent: ssh-agent holds no key/],
          ['existing', /no key in ~\/\.ssh under a default name, and none in ssh-agent/],
          [join(home.dir, 'copy.pub'), /copy\.pub is a public key, and no agent holds its private half/],
        ] as const) {
          const done = await setup(build, home, ...words(host, pw), '--key', key);
          assert.notEqual(done.code, 0);
          assert.match(plain(done), said);
        }
        assert.equal(snapshot(home.dir), before);
        assert.deepEqual(host.authorizedKeys(), []);
      });
    });
  });
}

function authorize(host: PasswordHost, privateKey: string): void {
  const folder = join(host.home, '.ssh');
  mkdirSync(folder);
  writeFileSync(join(folder, 'authorized_keys'), readFileSync(`${privateKey}.pub`));
  giveTo(host.login, folder);
}

interface AgentHome {
  readonly home: TempHome;
  readonly agent: SshAgent;
  /** Of its keys, `SHA256:...`. */
  readonly fingerprints: readonly string[];
}

/** A person who has keys in the agent, and no file with a private one. */
async function openAgentHome(t: TestContext, count: number): Promise<AgentHome> {
  const agent = await openSshAgent(t);
  const fresh = openFreshHome(t);
  const home = { ...fresh, env: { ...fresh.env, SSH_AUTH_SOCK: agent.socket } };
  const fingerprints: string[] = [];
  for (let at = 1; at <= count; at++) {
    const file = makeKeyFile(home.dir, `key${at}`, { type: 'ed25519' });
    agent.add(file);
    fingerprints.push(fingerprintOf(`${file}.pub`));
    rmSync(file);
    writeFileSync(join(home.dir, 'copy.pub'), readFileSync(`${file}.pub`));
  }
  return { home, agent, fingerprints };
}

function fingerprintOf(file: string): string {
  return spawnSync('ssh-keygen', ['-lf', file], { encoding: 'utf8' }).stdout.split(' ')[1] ?? '';
}
