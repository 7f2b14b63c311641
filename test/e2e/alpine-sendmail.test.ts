/** A person writes mail in the real Alpine, and mutt sends some; pine-rsh is the sendmail-path. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Alpine, NO_SUCH_HOST_ENV, openAlpine } from '../helpers/alpine.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { readExample } from '../helpers/example.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type MailDrop, openMailDrop } from '../helpers/mail-drop.ts';
import { openMailHost } from '../helpers/mail-host.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { AliasKeys, TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('alpine', 'tmux', 'sshd', 'imap');

interface Desk {
  readonly alpine: Alpine;
  readonly drop: MailDrop;
  readonly home: TempHome;
  /** Makes the alias that mail goes out by. */
  writeOut(keys: AliasKeys): void;
}

/** The composer is left; when sending took a while, Alpine's last word on it is the progress it made. */
const SENT = /MESSAGE INDEX[\s\S]*(?:Message sent|Sending mail .*100%)/;

/** Alpine with INBOX open; mail goes out by an alias of its own, so that it alone can be away. */
async function openDesk(
  t: TestContext,
  build: Build,
  sendmailPath: (home: TempHome) => string,
): Promise<Desk> {
  const host = await openMailHost(t);
  const drop = openMailDrop(host);
  const home = openTrialHome(t, NO_SUCH_HOST_ENV);
  home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd });
  const writeOut = (keys: AliasKeys): void => {
    home.writeAlias('out', { ...host.aliasKeys, SENDMAIL: drop.program, ...keys });
  };
  writeOut({});
  const alpine = openAlpine(t, home, {
    mailbox: `{work/secure/user=${host.user}}`,
    rshPath: build.rshPath,
    pinerc: [`sendmail-path=${sendmailPath(home)}`],
  });
  await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*of 20/);
  return { alpine, drop, home, writeOut };
}

/** The value of sendmail-path in the example. */
function exampleLine({ rshPath }: Build): string {
  const text = readExample('sendmail.pinerc', { '/usr/local/bin/pine-rsh': rshPath, ' work ': ' out ' });
  return /^sendmail-path=(.*)$/m.exec(text)?.[1] ?? '';
}

async function compose(alpine: Alpine, subject: string, lines: readonly string[]): Promise<void> {
  alpine.type('c');
  await alpine.waitFor('COMPOSE MESSAGE');
  alpine.type('you@example.org');
  alpine.keys('Enter', 'Enter', 'Enter');
  alpine.type(subject);
  await alpine.waitFor(new RegExp(`^Subject *: ${subject}`, 'm'));
  alpine.keys('Enter');
  for (const line of lines) {
    alpine.type(line);
    alpine.keys('Enter');
  }
  await alpine.waitFor(lines.at(-1) ?? '');
}

async function send(alpine: Alpine): Promise<void> {
  alpine.keys('C-x');
  await alpine.waitFor(/Send message/);
  alpine.type('y');
}

for (const build of BUILDS) {
  const skip = NEEDS || build.skip;

  test(`What Alpine sends arrives byte for byte (${build.name})`, { skip }, async (t) => {
    const { alpine, drop, home } = await openDesk(t, build, ({ writeScript }) =>
      writeScript('send', `tee "$HOME/posted" | ${build.rshPath} out sendmail "$@"`).concat(' -oi -t'),
    );
    await compose(alpine, 'Dots', ['.', '..', 'gr\u00fc\u00dfe', 'From me', 'the end']);
    await send(alpine);
    await alpine.waitFor(SENT);
    const [mail] = drop.messages();
    assert.ok(mail?.bytes.equals(readFileSync(join(home.dir, 'posted'))));
    assert.match(mail?.bytes.toString('latin1') ?? '', /^Subject: Dots$/m);
    assert.deepEqual(mail?.args, ['-oi', '-t']);
    assert.equal(await alpine.quit(), 0);
  });

  test(`Alpine shows why a message was not taken and keeps its text; with QUEUE=yes it waits (${build.name})`, {
    skip,
  }, async (t) => {
    const { alpine, drop, home, writeOut } = await openDesk(t, build, () => exampleLine(build));
    drop.behave('echo "550 5.1.1 nobody of that name here" >&2; exit 67');
    await compose(alpine, 'First', ['a text that must not be lost']);
    await send(alpine);
    await alpine.waitFor('POSTING ERRORS');
    await alpine.waitFor('550 5.1.1 nobody of that name here');
    alpine.type('e');
    await alpine.waitFor(/COMPOSE MESSAGE[\s\S]*a text that must not be lost/);

    const PORT = await findFreePort();
    writeOut({ PORT });
    await send(alpine);
    await alpine.waitFor('POSTING ERRORS');
    await alpine.waitFor(/refused the connection/);
    alpine.type('e');
    await alpine.waitFor(/COMPOSE MESSAGE[\s\S]*a text that must not be lost/);
    assert.deepEqual(drop.messages(), []);

    drop.behave(undefined);
    writeOut({ PORT, QUEUE: 'yes' });
    await send(alpine);
    await alpine.waitFor(SENT);
    assert.deepEqual(drop.messages(), []);
    writeOut({ QUEUE: 'yes' });
    assert.equal((await runProgram(build.rshPath, ['out', 'true'], { env: home.env })).code, 0);
    await waitUntil('the message arrives', () => drop.messages().length > 0, { detail: () => home.log() });
    const listed = async () => {
      const { stdout } = await runProgram(build.ctlPath, ['queue', 'list'], { env: home.env });
      return stdout.toString() === 'no mail waits\n';
    };
    await waitUntil('the queue is empty', listed);
    assert.equal(drop.messages().length, 1);
    assert.match(drop.messages()[0]?.bytes.toString() ?? '', /a text that must not be lost/);
    assert.equal(await alpine.quit(), 0);
  });

  for (const mutt of ['mutt', 'neomutt']) {
    test(`${mutt} sends with the line of the example (${build.name})`, {
      skip: skip || requirePrograms(mutt),
    }, async (t) => {
      const host = await openMailHost(t);
      const drop = openMailDrop(host);
      const home = openTrialHome(t);
      home.writeAlias('work', { ...host.aliasKeys, SENDMAIL: drop.program });
      const example = readExample('sendmail.muttrc', { '/usr/local/bin/pine-rsh': build.rshPath });
      const rc = home.writeFile('muttrc', example);
      const words = [
        '-n',
        '-F',
        rc,
        '-e',
        'set copy=no',
        '-s',
        'Hello',
        '--',
        'you@example.org',
        "o'hara@example.org",
      ];
      const sent = await runProgram(programPath(mutt), words, { env: home.env, input: '.\nfrom mutt' });
      assert.equal(sent.code, 0, `${sent.stdout}${sent.stderr}`);
      const [mail] = drop.messages();
      assert.match(mail?.bytes.toString() ?? '', /^Subject: Hello$[\s\S]*^\.\nfrom mutt/m);
      assert.deepEqual(mail?.args.slice(-3), ['--', 'you@example.org', "o'hara@example.org"]);
    });
  }
}
