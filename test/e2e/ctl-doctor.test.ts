/**
 * `pine-rshctl doctor` on a real mail host: faults are planted one at a time, and each must be found by its step, with
 * its cause and its cure. Every verdict is held against pine-rsh itself, started as Pine starts it.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { endBrokers } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { openBlackHole } from '../helpers/faulty-host.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { makeKeyFile } from '../helpers/key-files.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import type { SshdOptions } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunOptions, runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';

const NEEDS = requirePrograms('sshd', 'imap', 'ssh-keygen', 'ssh');

interface Finding {
  readonly mark: 'ok' | 'warning' | 'failed';
  readonly check: string;
  readonly ms?: number;
  readonly text: string;
  readonly hint?: string;
}

interface Examined {
  readonly opens: boolean;
  readonly findings: readonly Finding[];
  readonly code: number | null;
}

interface Place {
  readonly t: TestContext;
  readonly host: MailHost;
  readonly home: TempHome;
  readonly build: Build;
}

/** What is planted: alias keys to change, or anything else. */
interface Fault {
  readonly title: string;
  readonly server?: SshdOptions;
  readonly plant?: (place: Place) => Promise<AliasKeys> | AliasKeys | undefined;
  /** The step that must name it, and how. */
  readonly check: string;
  readonly text: RegExp;
  readonly hint: RegExp;
  /** Mail opens all the same; pine-rsh, that is: with some lines of .pinerc Alpine would never start it. */
  readonly mark?: 'warning' | 'pinerc';
  /** What `doctor` prints beyond it. */
  readonly env?: Readonly<Record<string, string>>;
}

const pinerc =
  (...lines: readonly string[]) =>
  ({ home, build }: Place): undefined => {
    const right = [
      'rsh-path=@',
      'rsh-open-timeout=15',
      'ssh-path=',
      'inbox-path={work/secure/user=pat}INBOX',
    ];
    const text = [...right, ...lines].join('\n').replaceAll('@', build.rshPath);
    home.writeFile('.pinerc', `${text}\n`);
  };

/** Speaks IMAP, and refuses every folder. */
const NO_INBOX = `printf '* PREAUTH ready\\r\\n'
while read -r tag word rest; do
  case $word in
    LOGOUT*) printf '* BYE\\r\\n%s OK bye\\r\\n' "$tag"; exit ;;
    CAPABILITY*) printf '* CAPABILITY IMAP4rev1\\r\\n%s OK done\\r\\n' "$tag" ;;
    *) printf '%s NO [SERVERBUG] disk on fire\\r\\n' "$tag" ;;
  esac
done`;

const FAULTS: readonly Fault[] = [
  {
    title: 'an unknown key in the alias file',
    plant: ({ home }) => {
      home.writeFile('.config/pine-rsh/hosts/work.env', 'USER=x\nPROT=22\n');
    },
    check: 'alias',
    text: /work\.env:2: .*PROT/,
    hint: /PORT/,
  },
  {
    title: 'an alias file that others can write to',
    plant: ({ home }) => {
      chmodSync(join(home.configDir, 'hosts', 'work.env'), 0o666);
    },
    check: 'alias',
    text: /work\.env: others can write to it/,
    hint: /chmod go-w /,
  },
  {
    title: 'an ssh_config that ssh refuses',
    plant: ({ home }) => {
      home.writeFile('.ssh/config', 'NoSuchOption yes\n');
    },
    check: 'alias',
    text: /ssh refuses its configuration/,
    hint: /SSH_CONFIG=no/,
  },
  {
    title: 'a name that DNS calls otherwise',
    plant: ({ home, host }) => {
      home.writeAlias('localhost', { ...host.aliasKeys, IMAPD: host.rimapd });
      home.writeScript('bin/getent', 'echo "127.0.0.1 STREAM real.name.test"');
    },
    check: 'name',
    text: /DNS calls localhost real\.name\.test: .* not this alias/,
    hint: /ALIASES=real\.name\.test/,
  },
  {
    title: 'a name that cannot be resolved',
    plant: () => ({ HOSTNAME: 'nowhere.invalid' }),
    check: 'connection',
    text: /no address found for nowhere\.invalid/,
    hint: /HOSTNAME/,
  },
  {
    title: 'nobody listens',
    plant: async () => ({ PORT: await findFreePort() }),
    check: 'connection',
    text: /refused the connection/,
    hint: /sshd runs there .*PORT/,
  },
  {
    title: 'a host that does not answer',
    plant: async ({ t }) => ({ PORT: (await openBlackHole(t)).port, CONNECT_TIMEOUT: 1 }),
    check: 'connection',
    text: /no answer from .* within 1 s/,
    hint: /CONNECT_TIMEOUT/,
  },
  {
    title: 'something else than SSH',
    plant: async ({ t }) => ({ PORT: await openGreeter(t, '220 mail ESMTP\r\n') }),
    check: 'connection',
    text: /does not speak SSH \(it said 220 mail ESMTP/,
    hint: /HOSTNAME, PORT/,
  },
  {
    title: 'a gateway that is down',
    plant: async () => ({ PROXY_JUMP: `127.0.0.1:${await findFreePort()}` }),
    check: 'connection',
    text: /gateway 127\.0\.0\.1:\d+ refused/,
    hint: /sshd/,
  },
  {
    title: 'a PROXY_COMMAND that fails',
    plant: () => ({ PROXY_COMMAND: '/no/such/nc %h %p' }),
    check: 'connection',
    text: /PROXY_COMMAND .* ended \(status 127\)/,
    hint: /run it by hand/,
  },
  {
    title: 'an unknown host key',
    plant: () => ({ KNOWN_HOSTS: '/dev/null' }),
    check: 'host-key',
    text: /host key of .* is not known: ssh-ed25519 SHA256:/,
    hint: /run: pine-rshctl trust work/,
  },
  {
    title: 'a host key that changed',
    plant: ({ host, home }) => {
      makeKey('ed25519', join(home.dir, 'other'));
      const [type = '', base64 = ''] = readFileSync(join(home.dir, 'other.pub'), 'utf8').split(' ');
      return { KNOWN_HOSTS: home.writeFile('kh', `[127.0.0.1]:${host.port} ${type} ${base64}\n`) };
    },
    check: 'host-key',
    text: /host key of .* changed: it sent .*kh:1 holds another/,
    hint: /run: pine-rshctl trust work/,
  },
  {
    title: 'another host key than the pinned one',
    plant: () => ({ HOST_KEY_FINGERPRINT: `SHA256:${'A'.repeat(43)}` }),
    check: 'host-key',
    text: /not the one in HOST_KEY_FINGERPRINT/,
    hint: /administrator/,
  },
  {
    title: 'known hosts that others can write',
    plant: ({ host }) => {
      chmodSync(host.knownHostsFile, 0o666);
    },
    check: 'host-key',
    text: /known_hosts: others can write to it/,
    hint: /chmod go-w/,
  },
  {
    title: 'no cipher in common',
    plant: () => ({ CIPHERS: '3des-cbc' }),
    check: 'algorithms',
    text: /no common cipher algorithm .* we offer 3des-cbc/,
    hint: /./,
  },
  {
    title: 'a key file that does not exist',
    plant: () => ({ IDENTITY_FILE: '~/.ssh/none-such' }),
    check: 'key',
    text: /none-such does not exist/,
    hint: /IDENTITY_FILE/,
  },
  {
    title: 'a key file that others can read',
    plant: ({ host }) => {
      chmodSync(host.identityFile, 0o644);
    },
    check: 'key',
    text: /id_ed25519: others can read it/,
    hint: /chmod 600/,
  },
  {
    title: 'the public half as key file',
    plant: ({ host }) => ({ IDENTITY_FILE: `${host.identityFile}.pub` }),
    check: 'key',
    text: /id_ed25519\.pub is a public key/,
    hint: /name it in IDENTITY_FILE: .*id_ed25519$/,
  },
  {
    title: 'a key that is locked',
    plant: ({ home }) => ({
      IDENTITY_FILE: makeKeyFile(home.dir, 'locked', { type: 'ed25519', passphrase: 'secret' }),
    }),
    check: 'key',
    text: /locked needs a passphrase/,
    hint: /ssh-add.*PASSPHRASE_COMMAND.*pine-rshctl connect work/,
  },
  {
    title: 'no key at all',
    plant: () => ({ IDENTITY_FILE: 'none' }),
    check: 'key',
    text: /no key to log in with/,
    hint: /IDENTITY_FILE/,
  },
  {
    title: 'a key that the host does not know',
    plant: ({ home }) => ({ IDENTITY_FILE: makeKeyFile(home.dir, 'strange', { type: 'ed25519' }) }),
    check: 'login',
    text: /accepted no key for .*; tried ~\/strange/,
    hint: /authorized_keys/,
  },
  {
    title: 'a host that counts keys',
    server: { config: ['MaxAuthTries 2'] },
    plant: ({ home, host }) => {
      const others = ['a', 'b', 'c'].map((name) => makeKeyFile(home.dir, name, { type: 'ed25519' }));
      return { IDENTITY_FILE: [...others, host.identityFile].join(',') };
    },
    check: 'login',
    text: /hung up after \d keys/,
    hint: /IDENTITIES_ONLY=yes/,
  },
  {
    title: 'a host that wants a password too',
    server: { config: ['PasswordAuthentication yes', 'AuthenticationMethods publickey,password'] },
    check: 'login',
    text: /asks .* for more than a key \(password\)/,
    hint: /run: pine-rshctl connect work/,
  },
  {
    title: 'an imapd that is not there',
    plant: () => ({ IMAPD: '/no/such/imapd' }),
    check: 'imapd',
    text: /no imapd found .*\/no\/such\/imapd/,
    hint: /IMAPD/,
  },
  {
    title: 'an imapd that ends',
    plant: ({ host }) => ({ IMAPD: host.writeProgram('bad', 'echo "no such mailbox" >&2; exit 75') }),
    check: 'imapd',
    text: /ended before its greeting \(status 75\): no such mailbox/,
    hint: /see what it says: pine-rsh -l/,
  },
  {
    title: 'a key that may run something else only',
    server: { keyOptions: 'restrict,command="/bin/false"' },
    check: 'imapd',
    text: /ended before its greeting \(status 1\)/,
    hint: /see what it says: pine-rsh -l/,
  },
  {
    title: 'a host that lets nobody run commands',
    server: { config: ['MaxSessions 0'] },
    check: 'imapd',
    text: /refused to run a command/,
    hint: /limits of sshd/,
  },
  {
    title: 'an imapd that wants a login',
    plant: ({ host }) => ({ IMAPD: host.writeProgram('ok', "printf '* OK hello\\r\\n'; cat") }),
    check: 'greeting',
    text: /wants a login \(it said \* OK hello\)/,
    hint: /greets with PREAUTH/,
  },
  {
    title: 'an imapd that says goodbye',
    plant: ({ host }) => ({ IMAPD: host.writeProgram('bye', "printf '* BYE closed today\\r\\n'") }),
    check: 'greeting',
    text: /refused: \* BYE closed today/,
    hint: /administrator/,
  },
  {
    title: 'an imapd that greets and then has no mail',
    plant: ({ host }) => ({ IMAPD: host.writeProgram('empty', NO_INBOX) }),
    check: 'open',
    text: /does not open INBOX: NO \[SERVERBUG\] disk on fire/,
    hint: /its mail log/,
  },
  {
    title: 'login scripts that talk for ever',
    plant: ({ host }) => ({ IMAPD: host.writeProgram('noise', 'yes noise') }),
    check: 'greeting',
    text: /no IMAP greeting .* first: noise/,
    hint: /login scripts/,
  },
  {
    title: 'login scripts that talk, with what a terminal would obey',
    plant: ({ host }) => ({
      IMAPD: host.writeProgram('motd', `printf 'Welcome\\033[2J\\n'; exec ${host.rimapd}`),
    }),
    check: 'noise',
    text: /on standard output: Welcome.\[2J$/,
    hint: /silence the login scripts/,
    mark: 'warning',
  },
  {
    title: 'login scripts that print no text',
    plant: ({ host }) => ({
      IMAPD: host.writeProgram('zeros', `head -c 5000 /dev/zero; echo; exec ${host.rimapd}`),
    }),
    check: 'noise',
    text: /on standard output: no text but 00 00 00 00 00 00 00 00 \.\.\.$/,
    hint: /silence the login scripts/,
    mark: 'warning',
  },
  {
    title: 'a name that DNS knows',
    plant: ({ home, host }) => {
      home.writeAlias('localhost', { ...host.aliasKeys, IMAPD: host.rimapd });
    },
    check: 'name',
    text: /TCP port 143/,
    hint: /\/secure/,
    mark: 'warning',
  },
  {
    title: 'a key that is offered in vain first',
    plant: ({ home, host }) => ({
      IDENTITY_FILE: `${makeKeyFile(home.dir, 'vain', { type: 'ed25519' })},${host.identityFile}`,
    }),
    check: 'key',
    text: /~\/vain: not accepted/,
    hint: /IDENTITY_FILE/,
    mark: 'warning',
  },
  {
    title: 'a sendmail that is not there',
    plant: () => ({ SENDMAIL: '/no/such/sendmail' }),
    check: 'sendmail',
    text: /no sendmail at \/no\/such\/sendmail/,
    hint: /SENDMAIL/,
    mark: 'warning',
  },
  {
    title: 'a key for imapd alone where mail is to go out',
    plant: ({ host, home, build }) => {
      const key = readFileSync(host.authorizedKeysFile, 'utf8');
      writeFileSync(host.authorizedKeysFile, `restrict,command="exec ${host.rimapd}" ${key}`);
      home.writeFile('.pinerc', `sendmail-path=${build.rshPath} work sendmail -oi -t\n`);
      return undefined;
    },
    check: 'sendmail',
    text: /no mail can be sent through the host/,
    hint: /limited to imapd/,
    mark: 'warning',
  },
  {
    title: 'A log that cannot be written',
    plant: ({ home }) => {
      mkdirSync(join(home.stateDir, 'log'), { recursive: true });
      return undefined;
    },
    check: 'log',
    text: /log cannot be written \(EISDIR\)/,
    hint: /move away/,
    mark: 'warning',
  },
  {
    title: '.pinerc without rsh-path',
    plant: pinerc('rsh-path='),
    check: 'pinerc',
    text: /sets no rsh-path/,
    hint: /write: rsh-path=\//,
    mark: 'pinerc',
  },
  {
    title: '.pinerc with a relative rsh-path',
    plant: pinerc('rsh-path=~/bin/pine-rsh'),
    check: 'pinerc',
    text: /:5: rsh-path is not an absolute path/,
    hint: /write: rsh-path=\//,
    mark: 'pinerc',
  },
  {
    title: '.pinerc with an rsh-path that is not there',
    plant: pinerc('rsh-path=/no/such/pine-rsh'),
    check: 'pinerc',
    text: /no program that can be run/,
    hint: /write: rsh-path=\//,
    mark: 'pinerc',
  },
  {
    title: '.pinerc with another rsh-path',
    plant: pinerc('rsh-path=/bin/true'),
    check: 'pinerc',
    text: /is not this pine-rsh/,
    hint: /write: rsh-path=\//,
    mark: 'warning',
  },
  {
    title: '.pinerc that switches rsh off',
    plant: pinerc('rsh-open-timeout=0'),
    check: 'pinerc',
    text: /rsh-open-timeout=0 switches rsh off/,
    hint: /rsh-open-timeout=15/,
    mark: 'pinerc',
  },
  {
    title: '.pinerc with a short tcp-query-timeout',
    plant: pinerc('tcp-query-timeout=20'),
    check: 'pinerc',
    text: /tcp-query-timeout=20/,
    hint: /tcp-query-timeout=60/,
    mark: 'warning',
  },
  {
    title: '.pinerc with an ssh-path',
    plant: pinerc('ssh-path=/usr/bin/ssh'),
    check: 'pinerc',
    text: /ssh-path, which Alpine tries before/,
    hint: /write: ssh-path=/,
    mark: 'pinerc',
  },
  ...(['ssl', 'tls', 'norsh'] as const).map(
    (flag): Fault => ({
      title: `.pinerc with /${flag}`,
      plant: pinerc(`folder-collections="a" {elsewhere/ssl}[],\n\t"b" {work/secure/${flag}/user=pat}[]`),
      check: 'pinerc',
      text: new RegExp(`:5: \\{work\\.\\.\\.\\} in folder-collections has /${flag}: Alpine never runs rsh`),
      hint: new RegExp(`remove /${flag}`),
      mark: 'pinerc',
    }),
  ),
  {
    title: '.pinerc with a port',
    plant: pinerc('inbox-path={work:143/secure/user=pat}INBOX'),
    check: 'pinerc',
    text: /has a port: Alpine never runs rsh/,
    hint: /remove :143/,
    mark: 'pinerc',
  },
  {
    title: '.pinerc without /secure',
    plant: pinerc('inbox-path={work/user=pat}INBOX'),
    check: 'pinerc',
    text: /lacks \/secure/,
    hint: /\{work\/secure/,
    mark: 'warning',
  },
];

for (const build of BUILDS) {
  describe(`pine-rshctl doctor (${build.name})`, { skip: NEEDS || build.skip, concurrency: 4 }, () => {
    test('Every step of a mailbox that opens is named, with status 0', async (t) => {
      const place = await openPlace(t, build);
      pinerc()(place);
      const { findings, code, opens } = await examine(place, 'work');
      assert.deepEqual(
        findings.map(({ mark, check }) => `${mark} ${check}`),
        [
          ...['alias', 'name', 'connection', 'host-key', 'algorithms', 'key', 'login', 'imapd', 'noise'],
          ...['greeting', 'round-trip', 'open', 'warm', 'pinerc'],
        ].map((check) => `ok ${check}`),
      );
      assert.deepEqual([code, opens], [0, true]);
      for (const check of ['connection', 'host-key', 'login', 'greeting', 'round-trip', 'open', 'warm']) {
        assert.equal(typeof findings.find((each) => each.check === check)?.ms, 'number', check);
      }
    });

    for (const fault of FAULTS) {
      test(`Found: ${fault.title}`, async (t) => {
        const place = await openPlace(t, build, fault.server);
        const { home, host } = place;
        const keys = await fault.plant?.(place);
        if (keys !== undefined) home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, ...keys });
        const word = fault.check === 'name' ? 'localhost' : 'work';
        const { findings, code, opens } = await examine(place, word);
        const shown = JSON.stringify(findings, undefined, 1);
        const bad = findings.filter(
          ({ mark, check }) => mark !== 'ok' && (mark === 'failed' || check === fault.check),
        );
        const found = bad.find(({ text }) => fault.text.test(text));
        assert.equal(found?.check, fault.check, shown);
        assert.match(found.hint ?? '', fault.hint);
        const warns = fault.mark === 'warning';
        assert.equal(found.mark, warns ? 'warning' : 'failed', shown);
        // One fault, one failure.
        assert.equal(findings.filter(({ mark }) => mark === 'failed').length, warns ? 0 : 1, shown);
        assert.deepEqual([code, opens], warns ? [0, true] : [1, false]);
        // What Alpine gets is what decides.
        const real = await opensInPine(place, fault.check === 'name' && !warns ? 'real.name.test' : word);
        assert.equal(opens, fault.mark === 'pinerc' ? !real : real, 'doctor and pine-rsh disagree');
      });
    }

    test('Several aliases, and a mistyped one', async (t) => {
      const { home, host } = await openPlace(t, build);
      home.writeAlias('other', { ...host.aliasKeys, IMAPD: '/no/such/imapd' });
      const run = async (...words: string[]) => await runProgram(build.ctlPath, ['doctor', ...words], home);
      const all = await run();
      assert.match(all.stdout.toString(), /^other\n(?:.*\n)*work\n/);
      assert.equal(all.code, 1);
      const named = await run('work', 'wrok');
      assert.match(
        named.stdout.toString(),
        /^wrok\n {2}failed {2}alias file +no alias wrok\n.*did you mean work\?/m,
      );
      assert.equal((await run('work')).code, 0);
    });

    test('The hint for an imapd that ends does the same in a shell, with all that it says', async (t) => {
      const place = await openPlace(t, build);
      const { home, host } = place;
      home.writeScript('bin/pine-rsh', `exec ${build.rshPath} "$@"`);
      home.writeAlias('work', { ...host.aliasKeys, IMAPD: 'echo "one  two"; echo closed >&2; exit 9' });
      const { findings } = await examine(place, 'work');
      const hint = findings.find(({ check }) => check === 'imapd')?.hint ?? '';
      assert.match(hint, /^see what it says: pine-rsh /);
      const line = hint.replace('see what it says: ', '');
      const { code, stdout, stderr } = await runProgram('/bin/sh', ['-c', line], { env: home.env });
      assert.deepEqual([stdout.toString(), stderr.toString(), code], ['one  two\n', 'closed\n', 9]);
    });

    test('What an imapd says that does not greet is its own, and no noise', async (t) => {
      const place = await openPlace(t, build);
      const { home, host } = place;
      const said = async (imapd: string): Promise<string[]> => {
        home.writeAlias('work', { ...host.aliasKeys, IMAPD: imapd });
        const { findings } = await examine(place, 'work');
        const about = findings.filter(({ check }) => check === 'imapd' || check === 'noise');
        return about.map(({ mark, check, text }) => `${mark} ${check} ${text}`);
      };
      const ended = await said('echo "This account is disabled" >&2; echo "ask Pat" >&2; exit 1');
      assert.equal(ended[0], 'warning imapd on standard error: This account is disabled | ask Pat');
      assert.match(ended[1] ?? '', /^failed imapd imapd on .* \(status 1\): ask Pat$/);
      const once = await said('echo "This account is disabled" >&2; exit 1');
      assert.match(once.join('\n'), /^failed imapd .*: This account is disabled$/);
      assert.match((await said('/no/such/imapd')).join('\n'), /no imapd found on/);
    });

    test('A silent imapd is told as pine-rsh tells it, after 50 s', async (t) => {
      const place = await openPlace(t, build);
      place.home.writeAlias('work', { ...place.host.aliasKeys, IMAPD: 'sleep 100' });
      const { findings, code } = await examine(place, 'work', { timeout: 70_000 });
      const silent = findings.find(({ check }) => check === 'greeting');
      assert.match(silent?.text ?? '', /^no greeting from imapd on \S+ within 50 s$/);
      assert.match(silent?.hint ?? '', /^see what it says: pine-rsh -l \S+ work 'sleep 100; true'$/);
      assert.equal(code, 1);
    });

    test('A connection that is there serves mail: that the next login would fail is a problem', async (t) => {
      const place = await openPlace(t, build);
      const { home, host } = place;
      // The broker holds the line when the key is taken away.
      assert.equal(await opensInPine(place, 'work'), true);
      writeFileSync(host.authorizedKeysFile, '');
      await assertHeld(place, /accepted no key/, {
        mark: 'failed',
        code: 1,
        hint: /^pine-rshctl stop work ends it$/,
      });
      const stopped = await runProgram(build.ctlPath, ['stop', 'work'], home);
      assert.equal(stopped.code, 0);
      assert.equal((await examine(place, 'work')).opens, false);
    });

    for (const what of ['changed', 'revoked'] as const) {
      test(`A host key that is ${what} is a problem though a connection is there`, async (t) => {
        const place = await openPlace(t, build);
        const { home, host } = place;
        assert.equal(await opensInPine(place, 'work'), true);
        if (what === 'revoked') {
          const known = readFileSync(host.knownHostsFile, 'utf8');
          writeFileSync(host.knownHostsFile, known.replaceAll(/^/gm, '@revoked ').replace(/@revoked $/, ''));
        } else {
          makeKey('ed25519', join(home.dir, 'other'));
          const [type = '', base64 = ''] = readFileSync(join(home.dir, 'other.pub'), 'utf8').split(' ');
          writeFileSync(host.knownHostsFile, `[127.0.0.1]:${host.port} ${type} ${base64}\n`);
        }
        await assertHeld(place, new RegExp(`host key of .* ${what}`), {
          mark: 'failed',
          code: 1,
          hint: /stop work/,
        });
      });
    }

    test('A login that needs a person is no problem where a connection was made by hand', async (t) => {
      const place = await openPlace(t, build);
      const { home, host } = place;
      const locked = makeKeyFile(home.dir, 'locked', { type: 'ed25519', passphrase: 'secret' });
      const file = home.writeFile('key', readFileSync(host.identityFile, 'utf8'));
      home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, IDENTITY_FILE: file });
      assert.equal(await opensInPine(place, 'work'), true);
      copyFileSync(locked, file);
      const hint = /^pine-rshctl stop work ends it, pine-rshctl connect work makes another$/;
      await assertHeld(place, /needs a passphrase/, { mark: 'warning', code: 0, hint });
    });
  });
}

/** Mail opens over a connection that is there; a login fails for `why`. */
async function assertHeld(
  place: Place,
  why: RegExp,
  { mark, code, hint }: Pick<Finding, 'mark'> & { readonly code: number; readonly hint: RegExp },
): Promise<void> {
  const examined = await examine(place, 'work');
  const shown = JSON.stringify(examined.findings, undefined, 1);
  assert.equal(examined.findings.find(({ text }) => why.test(text))?.mark, mark, shown);
  assert.equal(examined.findings.find(({ check }) => check === 'open')?.mark, 'ok', shown);
  const told = examined.findings.find(({ text }) => text.startsWith('mail goes over the connection'));
  assert.match(told?.hint ?? '', hint);
  assert.deepEqual([examined.opens, examined.code], [true, code]);
}

async function openPlace(t: TestContext, build: Build, server?: SshdOptions): Promise<Place> {
  const host = await openMailHost(t, server);
  const home = openTempHome(t, { LOCALDOMAIN: 'invalid' });
  endBrokers(t, home);
  const env = { ...home.env, PATH: `${home.dir}/bin:${home.env['PATH']}` };
  home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd });
  return { t, host, home: { ...home, env }, build };
}

async function examine(
  { home, build }: Place,
  alias: string,
  options: Pick<RunOptions, 'timeout'> = {},
): Promise<Examined> {
  const { stdout, stderr, code } = await runProgram(build.ctlPath, ['doctor', alias, '--json'], {
    env: home.env,
    ...options,
  });
  assert.equal(stderr.toString(), '');
  // The form of JSON is ASCII: nothing in it does anything to a terminal.
  assert.doesNotMatch(stdout.toString('latin1'), /[^\n -~]/);
  const report = JSON.parse(stdout.toString()) as { aliases: Omit<Examined, 'code'>[] };
  const [examined] = report.aliases;
  assert.ok(examined !== undefined && report.aliases.length === 1);
  return { ...examined, code };
}

/** Whether a mailbox opens for Pine: a refusal greets too, so that a command is asked. */
async function opensInPine({ t, home, host, build }: Place, name: string): Promise<boolean> {
  const words = [name, '-l', host.user, 'exec', '/etc/rimapd'];
  const pine = runAsPine(t, build.rshPath, words, { env: home.env });
  pine.write('a EXAMINE INBOX\r\n');
  const over = pine.waitForExit().then(() => {});
  await Promise.race([pine.waitForText(/^a (?:OK|NO)/m), over]);
  const opened = /^a OK/m.test(pine.output().toString('latin1'));
  pine.endInput();
  return opened;
}

/** A server that says one thing to everybody. */
async function openGreeter(t: TestContext, text: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  defer(t, () => void server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}
