/**
 * Every failure in the real Alpine, where nothing but pine-rsh stands between the person and a login in the clear: the
 * folder's host resolves, to a machine that listens on port 143, and the folder has no /secure. Alpine must show the
 * reason, ask for no password and connect to nothing; after the repair the same Alpine opens the mailbox.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Alpine, NO_SUCH_HOST_ENV, openAlpine } from '../helpers/alpine.ts';
import { type CleartextTrap, openCleartextTrap } from '../helpers/cleartext-trap.ts';
import { openBlackHole } from '../helpers/faulty-host.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { assertLog } from '../helpers/pine-caller.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import type { AliasKeys, TempHome } from '../helpers/temp-home.ts';
import { openTrialHome, TRIALS, type Trial } from '../helpers/trials.ts';

const NEEDS = requirePrograms('alpine', 'tmux', 'sshd', 'imap');

/** Most of the time Alpine shows messages. */
const AT_ONCE = 8;

/** A name that every machine resolves, to itself. */
const HOST = 'localhost';

/** Takes all descriptors at the moment when pine-rsh begins to work; before, the runtime itself would not start. */
const EXHAUST = `
  import { openSync } from 'node:fs';
  process.on('newListener', (name) => {
    if (name !== 'SIGTERM') return;
    try { for (;;) openSync('/dev/null', 'r'); } catch {}
  });`;

/** What a failure may change before Alpine starts. */
interface World {
  readonly t: TestContext;
  readonly home: TempHome;
  readonly host: MailHost;
  readonly aliasFile: string;
  /** Writes the alias with some keys changed. */
  change(keys: AliasKeys): void;
  /** A script in the place of imapd. */
  imapd(lines: string): void;
}

interface Case {
  readonly title: string;
  readonly reason: RegExp;
  readonly breakIt: (world: World) => void | Promise<void>;
  /** Runs inside pine-rsh before its own code. */
  readonly preload?: string;
  /** The person's repair, beside writing the alias anew. */
  readonly repair?: (world: World) => void;
  /** Neither the log nor argv could be read yet. */
  readonly beforeAnything?: boolean;
}

const isRoot = process.getuid?.() === 0;

const CASES: readonly Case[] = [
  {
    title: 'a mistake in the alias file',
    reason: /localhost\.env: ?2: .*HOSTNAME/,
    breakIt: ({ aliasFile }) => writeFileSync(aliasFile, '# mail\nHOSTNAME 127.0.0.1\n'),
  },
  {
    title: 'an unknown key in the alias file',
    reason: /localhost\.env: ?\d+: .*HOSTNAM\b.*HOSTNAME/,
    breakIt: ({ change }) => change({ HOSTNAM: '127.0.0.1' }),
  },
  {
    title: 'a folder in the place of the alias file',
    reason: /localhost\.env: is not a regular file; move it away/,
    breakIt: ({ aliasFile }) => {
      rmSync(aliasFile);
      mkdirSync(aliasFile);
    },
  },
  {
    title: 'an alias file that is a link to nowhere',
    reason: /localhost\.env: .*link/,
    breakIt: ({ aliasFile }) => {
      rmSync(aliasFile);
      symlinkSync('nowhere', aliasFile);
    },
  },
  // Root reads whatever it likes.
  ...(isRoot
    ? []
    : [
        {
          title: 'an alias file that cannot be read',
          reason: /localhost\.env: .*make it readable: chmod u\+r/,
          breakIt: ({ aliasFile }: World) => chmodSync(aliasFile, 0),
        },
      ]),
  {
    title: 'an alias file that others can write to',
    reason: /localhost\.env: .*run: chmod /,
    breakIt: ({ aliasFile }) => chmodSync(aliasFile, 0o666),
  },
  {
    title: 'a name that is no alias any more, with UNMANAGED=deny',
    reason: /localhost is no alias and UNMANAGED=deny; create .*localhost\.env or remove/,
    breakIt: ({ aliasFile, home }) => {
      rmSync(aliasFile);
      home.writeDefaults({ UNMANAGED: 'deny' });
    },
  },
  {
    title: 'a host that DNS does not know',
    reason: /no address found for does-not-exist\.invalid .*check the name \(HOSTNAME\)/,
    breakIt: ({ change }) => change({ HOSTNAME: 'does-not-exist.invalid' }),
  },
  {
    title: 'a refused connection',
    reason: /127\.0\.0\.1:\d+ refused the connection/,
    breakIt: async ({ change }) => change({ PORT: await findFreePort() }),
  },
  {
    title: 'a host that does not answer',
    reason: /no answer from 127\.0\.0\.1:\d+ within 3 s \(connecting\)/,
    breakIt: async ({ t, change }) => change({ PORT: (await openBlackHole(t)).port, CONNECT_TIMEOUT: 3 }),
  },
  {
    title: 'an unknown host key',
    reason: /host key of .* is not known: .*SHA256:.*; run: pine-rshctl trust localhost/,
    breakIt: ({ home, change }) => change({ KNOWN_HOSTS: home.writeFile('known_hosts', '') }),
  },
  {
    title: 'a changed host key',
    reason:
      /host key of .* changed: it sent .*SHA256:.*known_hosts:1 holds another; if that is expected run: pine-rshctl trust/,
    breakIt: ({ home, host, change }) => {
      const other = join(home.dir, 'other');
      makeKey('ed25519', other);
      const [type, key] = readFileSync(`${other}.pub`, 'utf8').split(' ');
      change({ KNOWN_HOSTS: home.writeFile('known_hosts', `[127.0.0.1]:${host.port} ${type} ${key}\n`) });
    },
  },
  {
    title: 'a key that is not accepted',
    reason: /accepted no key for .*; tried ~?\/?id; it wants publickey; add the public key to/,
    breakIt: ({ home, change }) => {
      makeKey('ed25519', join(home.dir, 'id'));
      change({ IDENTITY_FILE: join(home.dir, 'id') });
    },
  },
  {
    title: 'an encrypted key and no agent',
    reason: /key .*\/id needs a passphrase; load it with ssh-add/,
    breakIt: ({ home, host, change }) => {
      const IDENTITY_FILE = join(home.dir, 'id');
      copyFileSync(host.identityFile, IDENTITY_FILE);
      const words = ['-q', '-p', '-P', '', '-N', 'a secret', '-f', IDENTITY_FILE];
      assert.equal(spawnSync('ssh-keygen', words).status, 0);
      change({ IDENTITY_FILE });
    },
  },
  {
    title: 'a server without a common algorithm',
    reason:
      /no common key exchange algorithm with \S+: it offers sntrup761x25519-sha512@openssh\.com, we offer curve25519.*; TRANSPORT=openssh uses/,
    breakIt: async ({ t, change }) => {
      const server = await openRealSshd(t, { config: ['KexAlgorithms sntrup761x25519-sha512@openssh.com'] });
      change(server.aliasKeys);
    },
  },
  {
    title: 'no imapd',
    reason: /no imapd found on 127\.0\.0\.1 \(\/no\/such\/imapd\); set IMAPD/,
    breakIt: ({ change }) => change({ IMAPD: '/no/such/imapd' }),
  },
  {
    title: 'a reason with a word longer than a line',
    reason: /no imapd found on .*imapd\); set IMAPD to the path/,
    breakIt: ({ change }) => change({ IMAPD: `/no/such${'/long/path'.repeat(12)}/imapd` }),
  },
  {
    title: 'an imapd that wants a login',
    reason: /wants a login \(it said \* OK IMAP4rev1 ready\); set IMAPD/,
    breakIt: ({ imapd }) => imapd(`printf '* OK IMAP4rev1 ready\\r\\n'\nexec cat`),
  },
  {
    title: 'an imapd that refuses',
    reason: /refused: \* BYE too many connections; ask its administrator/,
    breakIt: ({ imapd }) => imapd(`printf '* BYE too many connections\\r\\n'`),
  },
  {
    title: 'noise without end',
    reason: /65536 bytes and no IMAP greeting from .*; first: y; silence the login scripts/,
    breakIt: ({ imapd }) => imapd('exec yes'),
  },
  {
    title: 'an imapd that ends before its greeting',
    reason: /ended before its greeting \(status 1\): no such mailbox; see what it says: pine-rsh/,
    breakIt: ({ imapd }) => imapd('echo no such mailbox >&2\nexit 1'),
  },
  {
    title: 'an imapd that ends 4 s later',
    reason: /ended before its greeting \(status 1\)/,
    breakIt: ({ imapd }) => imapd('sleep 4\nexit 1'),
  },
  {
    title: 'an exception that nobody expects',
    reason: /internal error: thrown by a test; pine-rshctl log has the details/,
    preload: `setTimeout(() => { throw new Error('thrown by a test'); }, 500);\n`,
    breakIt: async ({ t, change }) => change({ PORT: (await openBlackHole(t)).port }),
  },
  {
    title: 'a rejected promise that nobody awaits',
    reason: /internal error: rejected by a test; pine-rshctl log has the details/,
    preload: `setTimeout(() => { Promise.reject(new Error('rejected by a test')); }, 500);\n`,
    breakIt: async ({ t, change }) => change({ PORT: (await openBlackHole(t)).port }),
  },
  {
    title: 'no file descriptor left',
    reason: /this machine is out of file descriptors \(EMFILE\); close programs|internal error: .*EMFILE/,
    preload: EXHAUST,
    breakIt: () => {},
    beforeAnything: true,
  },
];

for (const trial of TRIALS) {
  test(`Failures in Alpine (${trial.name})`, {
    skip: NEEDS || trial.build.skip,
    concurrency: AT_ONCE,
  }, async (t) => {
    const trap = await openCleartextTrap(t);
    const host = await openMailHost(t);
    if (trap === undefined) {
      t.diagnostic('port 143 cannot be bound here: cleartext connections are not watched');
    } else {
      await t.test('The trap sees an rsh that fails without a word', async (scope) => {
        await showFallback(scope, host, trap);
      });
    }
    const before = trap?.connections();
    const cases = CASES.filter(
      ({ preload }) => preload === undefined || trial.build.executable !== undefined,
    );
    await Promise.all(
      cases.map((each) =>
        t.test(`Alpine shows ${each.title}, and opens the mailbox after the repair`, async (scope) => {
          await showFailure(scope, trial, host, each);
          assert.equal(trap?.connections(), before, 'connections to port 143');
        }),
      ),
    );
    await Promise.all(
      HOSTILE_USERS.map((user) =>
        t.test(`Alpine shows that a folder is refused whose user is ${user}`, async (scope) => {
          await showRefusal(scope, trial, host, user);
          assert.equal(trap?.connections(), before, 'connections to port 143');
        }),
      ),
    );
  });
}

/** Somebody else's folder names: what they make of the call must not be answered with anything but IMAP. */
const HOSTILE_USERS: readonly string[] = [
  'x -G',
  'x -nG',
  `x${' -G'.repeat(16)}`,
  'x ls',
  'x -oProxyCommand=id',
];

let scripts = 0;

async function showRefusal(t: TestContext, trial: Trial, host: MailHost, user: string): Promise<void> {
  const home = openTrialHome(t, NO_SUCH_HOST_ENV);
  home.writeAlias(HOST, { ...host.aliasKeys, IMAPD: host.rimapd, ...trial.keys });
  const mailbox = `{${HOST}/user="${user}"}`;
  const alpine = openAlpine(t, home, { mailbox, rshPath: trial.build.rshPath });
  const shown = await alpine.waitFor(/Alert received while accessing .*Ret Finished/s);
  assert.match(shown.replace(/\s+/g, ' '), /pine-rsh: localhost: unexpected word /);
  assertNoPrompt(shown);
}

async function showFailure(t: TestContext, trial: Trial, host: MailHost, each: Case): Promise<void> {
  const home = openTrialHome(t, NO_SUCH_HOST_ENV);
  const good = { ...host.aliasKeys, IMAPD: host.rimapd, ...trial.keys };
  const change = (keys: AliasKeys): string => home.writeAlias(HOST, { ...good, ...keys });
  const world: World = {
    t,
    home,
    host,
    aliasFile: change({}),
    change,
    imapd: (lines) => change({ IMAPD: host.writeProgram(`imapd-${++scripts}`, lines) }),
  };
  await each.breakIt(world);
  const rshPath =
    each.preload === undefined ? trial.build.rshPath : writePreloading(world, trial, each.preload);

  const mailbox = `{${HOST}/user=${host.user}}`;
  // Alpine would show each of two messages for three seconds before it takes the next key.
  const alpine = openAlpine(t, home, { mailbox, rshPath, pinerc: ['status-message-delay=-3'] });
  const shown = await alpine.waitFor(/Alert received while accessing "\{localhost.*Ret Finished/s);
  const text = shown.replace(/\s+/g, ' ');
  if (each.beforeAnything !== true) assert.match(text, /pine-rsh: localhost: /);
  assert.match(text, each.reason);
  assertNoPrompt(shown);
  alpine.keys('Enter');
  assertNoPrompt(await alpine.waitFor(/^ +ALPINE .* MAIN MENU/m));
  if (each.beforeAnything !== true) assertLog(home, ['failure']);

  rmSync(world.aliasFile, { force: true, recursive: true });
  change({});
  if (each.preload !== undefined) writePreload(home, '');
  await alpine.goTo('INBOX');
  assertNoPrompt(await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*of 20/));
}

function assertNoPrompt(screen: string): void {
  assert.doesNotMatch(screen, /PASSWORD/);
}

/** What every failure would lead to: proves that the watch sees it. */
async function showFallback(t: TestContext, host: MailHost, trap: CleartextTrap): Promise<void> {
  const home = openTrialHome(t, NO_SUCH_HOST_ENV);
  const rshPath = home.writeScript('rsh', 'exit 1');
  const alpine: Alpine = openAlpine(t, home, { mailbox: `{${HOST}/user=${host.user}}`, rshPath });
  await alpine.waitFor('ENTER PASSWORD');
  assert.notEqual(trap.connections(), 0);
}

function writePreload(home: TempHome, code: string): string {
  return home.writeFile('preload.mjs', code);
}

/**
 * An rsh that runs code of ours inside pine-rsh: Node and Bun each have a variable for that. The launcher takes them away,
 * as it must, so the program is started without it.
 */
function writePreloading({ home }: World, { build }: Trial, code: string): string {
  const file = writePreload(home, code);
  const bundle = join(dirname(dirname(build.rshPath)), 'dist', 'pine-rsh.mjs');
  const direct = build.name === 'standalone' ? `'${build.executable}'` : `node '${bundle}'`;
  return home.writeScript(
    'rsh',
    [
      'ulimit -n 64',
      `export NODE_OPTIONS='--import ${file}' BUN_OPTIONS='--preload ${file}'`,
      `exec ${direct} "$@"`,
    ].join('\n'),
  );
}
