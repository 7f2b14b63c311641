/**
 * Failures under other mail programs, which take pine-rsh as a tunnel: the program says that it failed, and the mail
 * that it keeps on this side is what it was, even where it was told to remove here what is gone there. A server that
 * really loses its mail shows that the comparison would see it.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findFreePort } from '../helpers/free-port.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { MESSAGE_COUNT, makeMessages, subjectOf } from '../helpers/mail-messages.ts';
import { assertLog } from '../helpers/pine-caller.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openScreen } from '../helpers/screen.ts';
import type { AliasKeys, TempHome } from '../helpers/temp-home.ts';
import { openTrialHome, TRIALS, type Trial, waitForNoSession } from '../helpers/trials.ts';

interface Failing {
  readonly title: string;
  readonly reason: RegExp;
  readonly keys: (home: TempHome, host: MailHost) => AliasKeys | Promise<AliasKeys>;
}

const FAILURES: readonly Failing[] = [
  {
    title: 'the host is down',
    reason: /refused the connection; check that sshd runs there/,
    keys: async () => ({ PORT: await findFreePort() }),
  },
  {
    title: 'the host key is not known',
    reason: /is not known: \S+ SHA256:\S+; run: pine-rshctl trust work/,
    keys: (home) => ({ KNOWN_HOSTS: home.writeFile('known_hosts', '') }),
  },
  {
    title: 'there is no imapd',
    reason: /no imapd found on .*; set IMAPD/,
    keys: () => ({ IMAPD: '/no/such/imapd' }),
  },
  {
    title: 'the imapd refuses',
    reason: /refused: \* BYE too many connections/,
    keys: (_, host) => ({ IMAPD: host.writeProgram('bye', `printf '* BYE too many connections\\r\\n'`) }),
  },
  {
    title: 'the alias file has a mistake',
    reason: /work\.env: ?\d+: .*PROT/,
    keys: () => ({ PROT: 22 }),
  },
];

/** A mail program that fetches into a folder of the home. */
interface Fetcher {
  readonly program: string;
  readonly configure: (home: TempHome, tunnel: string, host: MailHost) => string;
  readonly words: (config: string) => string[];
  /** Its exit status when it has fetched. */
  readonly success: readonly number[];
}

/** Where they keep the mail. */
const MAIL = 'mail';

const FETCHERS: readonly Fetcher[] = [
  {
    program: 'mbsync',
    words: (config) => ['-c', config, 'work'],
    success: [0],
    configure: (home, tunnel) =>
      home.writeFile(
        'mbsyncrc',
        `IMAPStore remote
Tunnel "${tunnel}"

MaildirStore local
Path ${home.dir}/${MAIL}/
Inbox ${home.dir}/${MAIL}/INBOX

Channel work
Far :remote:
Near :local:
Patterns *
Create Near
Sync All
Expunge Both
Remove Both
SyncState ${home.dir}/state/
`,
      ),
  },
  {
    program: 'offlineimap',
    words: (config) => ['-c', config, '-o', '-u', 'basic'],
    success: [0],
    configure: (home, tunnel) =>
      home.writeFile(
        'offlineimaprc',
        `[general]
accounts = work
metadata = ${home.dir}/state
[Account work]
localrepository = l
remoterepository = r
[Repository l]
type = Maildir
localfolders = ${home.dir}/${MAIL}
[Repository r]
type = IMAP
preauthtunnel = ${tunnel}
`,
      ),
  },
  {
    program: 'fetchmail',
    words: (config) => ['-f', config, '--pidfile', `${config}.pid`, '--nodetach'],
    success: [0],
    configure: (home, tunnel, { user }) =>
      home.writeFile(
        'fetchmailrc',
        `poll work with proto imap auth ssh no dns plugin "${tunnel}"
user "${user}" there is ${userInfo().username} here sslproto "" keep fetchall
mda "cat >> ${home.dir}/${MAIL}/mbox"
`,
      ),
  },
];

/** Every mail file below the folder with its content; a Maildir's flags stand in the names. */
function readMail(home: TempHome): Map<string, string> {
  const dir = join(home.dir, MAIL);
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files
      .map((entry) => join(entry.path, entry.name))
      .filter((file) => /\/(?:cur|new)\/|\/mbox$/.test(file))
      .sort()
      .map((file) => [file, readFileSync(file, 'latin1')]),
  );
}

function countMessages(home: TempHome): number {
  const all = [...readMail(home).values()].join('');
  return Array.from({ length: MESSAGE_COUNT }, (_, index) => subjectOf(index + 1)).filter((subject) =>
    all.includes(`Subject: ${subject}`),
  ).length;
}

for (const trial of TRIALS) {
  test(`Mail programs whose tunnel is pine-rsh (${trial.name})`, {
    skip: trial.build.skip || requirePrograms('sshd', 'imap'),
    concurrency: true,
  }, async (t) => {
    const fetchers = FETCHERS.map((fetcher) =>
      t.test(
        `${fetcher.program} keeps its mail and says why it failed`,
        {
          skip: requirePrograms(fetcher.program),
        },
        async (scope) => await keepMail(scope, trial, fetcher),
      ),
    );
    const mutt = t.test(
      'mutt says why it failed, and opens the mailbox after the repair',
      {
        skip: requirePrograms('mutt', 'tmux'),
        concurrency: true,
      },
      async (scope) => {
        const host = await openMailHost(scope);
        await Promise.all(
          FAILURES.map((failing) =>
            scope.test(`When ${failing.title}`, async (each) => await showInMutt(each, trial, host, failing)),
          ),
        );
      },
    );
    await Promise.all([...fetchers, mutt]);
  });
}

async function keepMail(t: TestContext, trial: Trial, fetcher: Fetcher): Promise<void> {
  const host = await openMailHost(t);
  const home = openTrialHome(t);
  for (const dir of [MAIL, 'state']) mkdirSync(join(home.dir, dir), { mode: 0o700 });
  const config = fetcher.configure(home, `${trial.build.rshPath} work`, host);
  const setAlias = (keys: AliasKeys) =>
    home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, ...trial.keys, ...keys });
  const fetch = async (): Promise<RunResult & { text: string }> => {
    const env = { ...home.env, FETCHMAILHOME: home.dir };
    const done = await runProgram(programPath(fetcher.program), fetcher.words(config), { env, input: '' });
    return { ...done, text: `${done.stdout}${done.stderr}` };
  };
  const fetchWell = async () => {
    const { code, text } = await fetch();
    assert.ok(fetcher.success.includes(code ?? -1), `exit status ${code}: ${text}\n${home.log()}`);
  };

  setAlias({});
  await fetchWell();
  assert.equal(countMessages(home), MESSAGE_COUNT);

  for (const { title, reason, keys } of FAILURES) {
    await t.test(`When ${title}`, async () => {
      const before = readMail(home);
      rmSync(home.stateDir, { recursive: true, force: true });
      setAlias(await keys(home, host));
      const { code, text } = await fetch();
      assert.notEqual(code, 0, text);
      assert.ok(!fetcher.success.includes(code ?? -1));
      assert.match(text, reason);
      assertLog(home, ['failure']);
      assert.deepEqual(readMail(home), before);
      await waitForNoSession(home);
    });
  }

  await t.test('The comparison sees mail that the server lost, or got', async () => {
    setAlias({});
    const before = readMail(home);
    if (fetcher.program === 'fetchmail') {
      // It never removes anything here.
      host.makeMailbox('INBOX', makeMessages(MESSAGE_COUNT + 1).slice(MESSAGE_COUNT));
    } else {
      for (const sub of ['cur', 'new']) {
        rmSync(join(host.maildir, sub), { recursive: true });
      }
      host.makeMailbox('INBOX');
    }
    await fetchWell();
    assert.notDeepEqual(readMail(home), before);
    if (fetcher.program !== 'fetchmail') assert.equal(countMessages(home), 0);
  });
}

async function showInMutt(t: TestContext, trial: Trial, host: MailHost, failing: Failing): Promise<void> {
  const home = openTrialHome(t);
  const setAlias = (keys: AliasKeys) =>
    home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, ...trial.keys, ...keys });
  setAlias(await failing.keys(home, host));
  const config = home.writeFile(
    'muttrc',
    [
      `set tunnel="${trial.build.rshPath} work"`,
      'set folder="imap://pat@work/"',
      'set spoolfile="+INBOX"',
      'set quit=yes',
      '',
    ].join('\n'),
  );
  const screen = openScreen(t, programPath('mutt'), ['-n', '-R', '-F', config], { env: home.env });
  await screen.waitFor('pine-rsh: work: ');
  assertLog(home, ['failure']);
  setAlias({});
  screen.type('c');
  await screen.waitFor('Open mailbox');
  screen.type('=INBOX');
  screen.keys('Enter');
  await screen.waitFor(`Msgs:${MESSAGE_COUNT}`);
  screen.type('q');
  // How it ended is not asked: after a mailbox whose server said BYE, mutt 2.2.9 may crash while it closes the next one.
  await screen.waitForExit();
  assert.ok(!existsSync(join(home.dir, 'Mail')));
}
