/** Every file of examples/ with the real program, unmodified but for names and ports, over a shared connection and not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createServer } from 'node:tls';
import { NO_SUCH_HOST_ENV } from '../helpers/alpine.ts';
import { BUILDS, type Build, ROOT } from '../helpers/builds.ts';
import { openDropbear, requireDropbear } from '../helpers/dropbear.ts';
import { readExample } from '../helpers/example.ts';
import { fetchSubjects, openImapClient } from '../helpers/imap-client.ts';
import { fingerprintOf, makeKeyFile } from '../helpers/key-files.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { MESSAGE_COUNT, subjectOf } from '../helpers/mail-messages.ts';
import { findProcesses, isBroker } from '../helpers/processes.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { openScreen, type Screen } from '../helpers/screen.ts';
import type { TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

/** Where the examples say that pine-rsh is, and where the imapd. */
const INSTALLED = '/usr/bin/pine-rsh';
const IMAPD = '/usr/lib/dovecot/imap';

const SUBJECTS = Array.from({ length: MESSAGE_COUNT }, (_, index) => subjectOf(index + 1));

const SHARED = { way: 'shared', defaults: {} } as const;
const DIRECT = { way: 'direct', defaults: { SHARE: 'no' } } as const;
const WAYS = [SHARED, DIRECT] as const;

type Way = (typeof WAYS)[number];

/** For what is no different in another build. */
function firstBuild(): Build {
  const build = BUILDS.find(({ skip }) => skip === false);
  assert.ok(build);
  return build;
}

interface Desk {
  readonly host: MailHost;
  readonly home: TempHome;
  readonly build: Build;
}

/** A home with a key and known hosts where OpenSSH has them. */
function openDesk(t: Scope, host: MailHost, build = firstBuild(), way: Way = DIRECT): Desk {
  const home = openTrialHome(t, NO_SUCH_HOST_ENV);
  home.writeDefaults(way.defaults);
  home.writeFile('.ssh/known_hosts', readFileSync(host.knownHostsFile, 'utf8'));
  const key = home.writeFile('.ssh/id_ed25519', readFileSync(host.identityFile, 'utf8'));
  copyFileSync(`${host.identityFile}.pub`, `${key}.pub`);
  return { host, home, build };
}

/** examples/hosts/plain.env as `work`. */
function openWork(t: Scope, host: MailHost, build?: Build, way?: Way): Desk {
  const desk = openDesk(t, host, build, way);
  writeHost(desk, 'plain', 'work', { 'mail.example.org': '127.0.0.1' });
  return desk;
}

/** A file of examples/hosts that logs in to the mail host of the desk. */
function writeHost(
  { home, host }: Desk,
  example: string,
  name: string,
  names: Readonly<Record<string, string | number>>,
): void {
  const text = readExample(`hosts/${example}.env`, {
    'PORT=22': `PORT=${host.port}`,
    'USER=pat': `USER=${host.user}`,
    [IMAPD]: host.rimapd,
    ...names,
  });
  home.writeFile(`.config/pine-rsh/hosts/${name}.env`, text);
}

async function run(
  { home }: Desk,
  program: string,
  words: readonly string[],
  input = '',
): Promise<RunResult> {
  const env = { ...home.env, LANG: 'C.UTF-8' };
  const done = await runProgram(program, words, { env, input, cwd: home.dir });
  assert.equal(done.code, 0, `${done.stdout}${done.stderr}${home.log()}`);
  return done;
}

/** The subjects in all files below a Maildir. */
function readSubjects(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\/(?:cur|new)$/.test(entry.path))
    .flatMap(
      (entry) => /^Subject: (.*)$/m.exec(readFileSync(join(entry.path, entry.name), 'latin1'))?.[1] ?? [],
    )
    .sort();
}

/** Opens the mailbox as Pine does, and gives all subjects. */
async function readMailbox(
  { home, build, host }: Desk,
  t: Scope,
  words: readonly string[],
): Promise<string[]> {
  const child = runAsPine(t, build.rshPath, words, { env: home.env });
  const imap = openImapClient(child);
  assert.match(await imap.greeting(), /^\* PREAUTH (?!.*pine-rsh:)/, `${home.log()}${host.log()}`);
  await imap.ask('SELECT INBOX');
  const subjects = await fetchSubjects(imap, MESSAGE_COUNT);
  await imap.ask('LOGOUT');
  await child.waitForExit();
  return subjects;
}

/** Alpine with this .pinerc; the greeting to new users is answered as they would. */
async function openPinerc({ home }: Desk, t: Scope, text: string): Promise<Screen> {
  home.writeFile('.pinerc', text);
  const screen = openScreen(t, programPath('alpine'), ['-i'], { env: home.env });
  await screen.waitFor(/ALPINE .*(?:GREETING TEXT|MESSAGE INDEX)/);
  if (screen.text().includes('GREETING TEXT')) screen.type('e');
  await screen.waitFor(/ALPINE .*MESSAGE INDEX/);
  return screen;
}

async function assertIndex(screen: Screen): Promise<void> {
  await screen.waitFor(new RegExp(`Folder: INBOX .*of ${MESSAGE_COUNT}`));
  const missing = () => SUBJECTS.filter((subject) => !screen.text().includes(subject));
  // The first lines are there before the rest of the page.
  await waitUntil('a page of the index', () => missing().length < MESSAGE_COUNT / 2, { detail: screen.text });
  const rest = missing();
  if (rest.length === 0) return;
  screen.keys('Space');
  for (const subject of rest) await screen.waitFor(subject);
}

async function readWithMutt(desk: Desk, t: Scope, program: string): Promise<void> {
  const names = { [INSTALLED]: desk.build.rshPath, 'pat@work': `${desk.host.user}@work` };
  const config = desk.home.writeFile('.muttrc', readExample('muttrc', names));
  const screen = openScreen(t, programPath(program), ['-n', '-R', '-F', config], { env: desk.home.env });
  await screen.waitFor(`Msgs:${MESSAGE_COUNT}`);
  const shown = await screen.waitFor(subjectOf(MESSAGE_COUNT));
  for (const subject of SUBJECTS.slice(1)) assert.ok(shown.includes(subject), shown);
  await screen.close();
}

async function readWithMbsync(desk: Desk): Promise<void> {
  desk.home.writeFile('.mbsyncrc', readExample('mbsyncrc', { [INSTALLED]: desk.build.rshPath }));
  mkdirSync(join(desk.home.dir, 'Mail', 'work'), { recursive: true, mode: 0o700 });
}

/** Opens the group that Gnus would show, and prints the headers of its articles. */
const READ_WITH_GNUS = `
(require 'gnus-start)
(setq gnus-home-directory "~/" gnus-init-file "~/.gnus.el")
(load gnus-init-file)
(require 'nnimap)
(setq nntp-server-buffer (get-buffer-create " *server*"))
(or (gnus-open-server gnus-select-method) (error "not opened: %s" (nnheader-get-report 'nnimap)))
(or (gnus-request-group "INBOX" nil gnus-select-method) (error "no group"))
(nnimap-retrieve-headers (number-sequence 1 ${MESSAGE_COUNT}) "INBOX" "work")
(princ (with-current-buffer nntp-server-buffer (buffer-string)))
`;

const CLIENTS: readonly {
  readonly program: string;
  readonly examples: readonly string[];
  read(desk: Desk, t: Scope): Promise<void>;
}[] = [
  {
    program: 'alpine',
    examples: ['pinerc'],
    read: async (desk, t) => {
      const names = { [INSTALLED]: desk.build.rshPath, 'user=pat': `user=${desk.host.user}` };
      await assertIndex(await openPinerc(desk, t, readExample('pinerc', names)));
    },
  },
  { program: 'mutt', examples: ['muttrc'], read: (desk, t) => readWithMutt(desk, t, 'mutt') },
  { program: 'neomutt', examples: ['muttrc'], read: (desk, t) => readWithMutt(desk, t, 'neomutt') },
  {
    program: 'mbsync',
    examples: ['mbsyncrc'],
    read: async (desk) => {
      await readWithMbsync(desk);
      await run(desk, programPath('mbsync'), ['work']);
      assert.deepEqual(readSubjects(join(desk.home.dir, 'Mail', 'work')), SUBJECTS);
    },
  },
  {
    program: 'fetchmail',
    examples: ['fetchmailrc'],
    read: async (desk) => {
      const names = {
        [INSTALLED]: desk.build.rshPath,
        '"pat"': `"${desk.host.user}"`,
        '"patricia"': `"${userInfo().username}"`,
        '/home/patricia': desk.home.dir,
      };
      desk.home.writeFile('.fetchmailrc', readExample('fetchmailrc', names), 0o600);
      for (const folder of ['tmp', 'new', 'cur'])
        mkdirSync(join(desk.home.dir, 'Maildir', folder), { recursive: true });
      await run(desk, programPath('fetchmail'), ['--nodetach', '--pidfile', join(desk.home.dir, 'pid')]);
      assert.deepEqual(readSubjects(join(desk.home.dir, 'Maildir')), SUBJECTS);
    },
  },
  {
    program: 'offlineimap',
    examples: ['offlineimaprc'],
    read: async (desk) => {
      const text = readExample('offlineimaprc', { [INSTALLED]: desk.build.rshPath });
      desk.home.writeFile('.offlineimaprc', text);
      mkdirSync(join(desk.home.dir, 'Mail'), { mode: 0o700 });
      await run(desk, programPath('offlineimap'), ['-o', '-u', 'basic']);
      assert.deepEqual(readSubjects(join(desk.home.dir, 'Mail', 'work', 'INBOX')), SUBJECTS);
    },
  },
  {
    program: 'python3',
    examples: ['unread.py'],
    read: async (desk) => {
      const text = readExample('unread.py', { [INSTALLED]: desk.build.rshPath });
      const script = desk.home.writeFile('unread.py', text);
      const { stdout } = await run(desk, programPath('python3'), [script, 'work']);
      assert.deepEqual(stdout.toString().trimEnd().split('\n'), SUBJECTS);
    },
  },
  {
    program: 'emacs',
    examples: ['gnus.el'],
    read: async (desk) => {
      desk.home.writeFile('.gnus.el', readExample('gnus.el', { [INSTALLED]: desk.build.rshPath }));
      const script = desk.home.writeFile('read.el', READ_WITH_GNUS);
      const { stdout } = await run(desk, programPath('emacs'), ['--batch', '--load', script]);
      assert.deepEqual(stdout.toString().match(/message \d\d/g), SUBJECTS, stdout.toString());
    },
  },
];

const HOST_PROGRAMS = requirePrograms('sshd', 'imap');

/** Examples that a test here uses, by their path below examples/. */
const used = new Set<string>(['README.md']);
const use = (...paths: string[]): void => {
  for (const path of paths) used.add(path);
};

describe('Mail clients with the file in examples/', { skip: HOST_PROGRAMS, concurrency: 2 }, () => {
  for (const { program, examples, read } of CLIENTS) {
    use(...examples, 'hosts/plain.env');
    for (const build of BUILDS) {
      for (const way of WAYS) {
        test(`${program} reads ${MESSAGE_COUNT} messages, ${way.way} (${build.name})`, {
          skip: build.skip || requirePrograms(program, 'tmux'),
        }, async (t) => {
          const desk = openWork(t, await openMailHost(t), build, way);
          await read(desk, t);
          assert.equal(findProcesses(desk.home.dir).some(isBroker), way === SHARED);
        });
      }
    }
  }
});

describe('Alias files in examples/', { skip: HOST_PROGRAMS, concurrency: 2 }, () => {
  use('hosts/inside.env', 'hosts/gate.env');
  test('a host behind a gateway', async (t) => {
    const [host, gate] = [await openMailHost(t), await openRealSshd(t)];
    const desk = openDesk(t, host);
    writeHost(desk, 'inside', 'inside', { 'mail.inside.example.org': '127.0.0.1' });
    const gateway = readExample('hosts/gate.env', {
      'gate.example.org': '127.0.0.1',
      'PORT=22': `PORT=${gate.port}`,
      'USER=pat': `USER=${gate.user}`,
    });
    desk.home.writeFile('.config/pine-rsh/hosts/gate.env', gateway);
    appendFileSync(gate.authorizedKeysFile, readFileSync(`${host.identityFile}.pub`));
    appendFileSync(join(desk.home.dir, '.ssh', 'known_hosts'), readFileSync(gate.knownHostsFile));
    assert.deepEqual(
      await readMailbox(desk, t, ['inside', '-l', host.user, 'exec', '/etc/rimapd']),
      SUBJECTS,
    );
    assert.match(gate.log(), /Accepted publickey/);
  });

  use('hosts/pat.env', 'hosts/info.env');
  test('several accounts on one host, each with its own key', async (t) => {
    const host = await openMailHost(t);
    const desk = openDesk(t, host);
    for (const name of ['pat', 'info']) {
      const names = name === 'pat' ? {} : { 'USER=info': `USER=${host.user}` };
      const text = readExample(`hosts/${name}.env`, {
        'HOSTNAME=mail.example.org': 'HOSTNAME=127.0.0.1',
        'PORT=22': `PORT=${host.port}`,
        [IMAPD]: host.rimapd,
        ...(name === 'pat' ? { 'USER=pat': `USER=${host.user}` } : names),
      });
      desk.home.writeFile(`.config/pine-rsh/hosts/${name}.env`, text);
      const key = makeKeyFile(join(desk.home.dir, '.ssh'), `id_${name}`, { type: 'ed25519' });
      appendFileSync(host.authorizedKeysFile, readFileSync(`${key}.pub`));
      // Pine's own login name, as for a folder without /user=.
      const words = [name, '-l', userInfo().username, 'exec', '/etc/rimapd'];
      assert.deepEqual(await readMailbox(desk, t, words), SUBJECTS);
      assert.ok(host.log().includes(`Accepted publickey for ${host.user}`));
      assert.ok(host.log().includes(fingerprintOf(key)), host.log());
    }
  });

  use('hosts/router.env', 'hosts/home.env');
  test('behind a router with dropbear', { skip: requireDropbear() }, async (t) => {
    const host = await openMailHost(t);
    const desk = openDesk(t, host);
    const key = join(desk.home.dir, '.ssh', 'id_ed25519');
    const dropbear = await openDropbear(t, [key]);
    const router = readExample('hosts/router.env', {
      'router.example.org': '127.0.0.1',
      'PORT=22': `PORT=${dropbear['PORT']}`,
    });
    desk.home.writeFile('.config/pine-rsh/hosts/router.env', router);
    appendFileSync(join(desk.home.dir, '.ssh', 'known_hosts'), readFileSync(String(dropbear['KNOWN_HOSTS'])));
    writeHost(desk, 'home', 'home', { '192.168.1.2': '127.0.0.1' });
    assert.deepEqual(await readMailbox(desk, t, ['home', '-l', host.user, 'exec', '/etc/rimapd']), SUBJECTS);
    assert.match(host.log(), /Accepted publickey/);
  });

  use('hosts/office.env', 'ssh_config');
  test('what ~/.ssh/config says already', { skip: requirePrograms('ssh') }, async (t) => {
    const host = await openMailHost(t);
    const desk = openDesk(t, host);
    const config = readExample('ssh_config', {
      'mail.office.example.org': '127.0.0.1',
      'Port 22': `Port ${host.port}`,
      'User pat': `User ${host.user}`,
      // ssh takes ~ from the password database.
      '~': desk.home.dir,
    });
    desk.home.writeFile('.ssh/config', config);
    desk.home.writeFile(
      '.config/pine-rsh/hosts/office.env',
      readExample('hosts/office.env', { [IMAPD]: host.rimapd }),
    );
    assert.deepEqual(await readMailbox(desk, t, ['office']), SUBJECTS);
  });
});

use('authorized_keys');
test('the key of examples/authorized_keys reads mail and does nothing else', {
  skip: HOST_PROGRAMS || requirePrograms('sftp', 'scp'),
}, async (t) => {
  const host = await openMailHost(t);
  const desk = openWork(t, host);
  const [, blob = ''] = readFileSync(`${host.identityFile}.pub`, 'utf8').split(' ');
  const placeholder = /ssh-ed25519 (\S+)/.exec(readExample('authorized_keys'))?.[1] ?? '';
  const line = `"${IMAPD}" ssh-ed25519`;
  writeFileSync(
    host.authorizedKeysFile,
    readExample('authorized_keys', { [line]: `"${host.rimapd}" ssh-ed25519`, [placeholder]: blob }),
  );
  assert.deepEqual(await readMailbox(desk, t, ['work', '-l', host.user, 'exec', '/etc/rimapd']), SUBJECTS);

  const attempt = async (program: string, words: readonly string[]): Promise<RunResult> =>
    await runProgram(program, words, { env: desk.home.env, cwd: desk.home.dir, input: 'a LOGOUT\r\n' });
  const { rshPath } = desk.build;
  // Any other command is an imapd, too.
  const shell = await attempt(rshPath, ['work', 'touch', join(host.home, 'gotcha')]);
  assert.match(shell.stdout.toString(), /^\* PREAUTH /);
  const forward = await attempt(rshPath, ['-W', `127.0.0.1:${host.port}`, 'work']);
  assert.equal(forward.code, 255);
  assert.doesNotMatch(forward.stdout.toString(), /SSH-/);
  assert.notEqual((await attempt('sftp', ['-S', rshPath, '-b', '/dev/null', 'work'])).code, 0);
  const copied = await attempt('scp', [
    '-O',
    '-S',
    rshPath,
    join(desk.home.dir, '.ssh', 'id_ed25519'),
    'work:gotcha',
  ]);
  assert.notEqual(copied.code, 0);
  assert.ok(!readdirSync(host.home).includes('gotcha'));
});

use('systemd/mbsync.service', 'systemd/mbsync.timer');
test('systemd takes the units, and what the service runs fetches mail', {
  skip: HOST_PROGRAMS || requirePrograms('systemd-analyze', 'mbsync'),
}, async (t) => {
  const desk = openWork(t, await openMailHost(t));
  const units = ['mbsync.service', 'mbsync.timer'].map((name) =>
    desk.home.writeFile(`.config/systemd/user/${name}`, readExample(`systemd/${name}`)),
  );
  const env = { ...desk.home.env, XDG_RUNTIME_DIR: desk.home.runtimeDir };
  const words = ['--user', '--man=no', 'verify', ...units];
  const verified = spawnSync(programPath('systemd-analyze'), words, { env, encoding: 'utf8' });
  assert.deepEqual([verified.status, verified.stderr], [0, '']);
  // There need not be a systemd that runs here: the command line is run as it would, without a shell.
  const [program = '', ...args] =
    /^ExecStart=(.*)$/m.exec(readExample('systemd/mbsync.service'))?.[1]?.split(' ') ?? [];
  await readWithMbsync(desk);
  const { stdout } = await run(desk, program, args);
  assert.equal(stdout.toString(), '');
  assert.deepEqual(readSubjects(join(desk.home.dir, 'Mail', 'work')), SUBJECTS);
});

use('pinerc-tls');
test('a folder with /ssl never comes to pine-rsh, even with the same .pinerc', {
  skip: HOST_PROGRAMS || requirePrograms('alpine', 'tmux', 'openssl'),
}, async (t) => {
  const desk = openDesk(t, await openMailHost(t));
  const port = await openTlsServer(t, desk);
  const text = readExample('pinerc-tls', {
    '{cyrus.example.org:993': `{localhost:${port}`,
    [INSTALLED]: desk.home.writeScript('rsh', `echo called >>${desk.home.dir}/called; exit 1`),
  });
  desk.home.writeFile('.pinerc', text);
  const env = { ...desk.home.env, SSL_CERT_FILE: join(desk.home.dir, 'cert.pem') };
  const screen = openScreen(t, programPath('alpine'), ['-i'], { env });
  await screen.waitFor('GREETING TEXT');
  screen.type('e');
  // Over TLS, and its certificate was found good: not `(INSECURE)`.
  const prompt = await screen.waitFor('ENTER PASSWORD');
  assert.doesNotMatch(prompt, /INSECURE/);
  assert.ok(!readdirSync(desk.home.dir).includes('called'));
});

/** A server that wants TLS and a password, with a certificate for localhost that stands in `cert.pem`. */
async function openTlsServer(t: Scope, { home }: Desk): Promise<number> {
  const [key, cert] = [join(home.dir, 'key.pem'), join(home.dir, 'cert.pem')];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2'];
  const made = spawnSync(programPath('openssl'), [...request, ...subject, '-keyout', key, '-out', cert]);
  assert.equal(made.status, 0, String(made.stderr));
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (line) => {
    line.on('error', () => {});
    line.on('data', (data) => {
      line.write(`* CAPABILITY IMAP4rev1\r\n${data.toString().split(' ')[0]} OK done\r\n`);
    });
    line.write('* OK IMAP4rev1 ready\r\n');
    defer(t, () => line.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  defer(t, () => server.close());
  return (server.address() as AddressInfo).port;
}

/** Some examples are run by the tests of what they belong to. */
function isUsedElsewhere(path: string): boolean {
  const tests = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  return tests
    .filter((name) => name.endsWith('.ts') && !name.endsWith('/examples.test.ts'))
    .some((name) => readFileSync(join(ROOT, 'test', name), 'utf8').includes(`'${path}'`));
}

after(() => {
  const files = readdirSync(join(ROOT, 'examples'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.path, entry.name).slice(join(ROOT, 'examples').length + 1));
  assert.deepEqual(
    files.filter((path) => !used.has(path) && !isUsedElsewhere(path)),
    [],
    'every example is run by a test; add one here',
  );
});
