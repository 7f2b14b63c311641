/** A person's session in the real Alpine over pine-rsh, real sshd and real Dovecot: what the screen shows, what the disk holds. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Alpine, NO_SUCH_HOST_ENV, openAlpine } from '../helpers/alpine.ts';
import { BUILDS } from '../helpers/builds.ts';
import { assertNoCleartext, openCleartextTrap } from '../helpers/cleartext-trap.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { bodyLineOf, MESSAGE_COUNT, subjectOf } from '../helpers/mail-messages.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('alpine', 'tmux', 'sshd', 'imap');
const [READ, SAVED, FLAGGED, DELETED] = [3, 2, 5, 9];

for (const build of BUILDS) {
  test(`Alpine reads, files, flags and deletes mail over pine-rsh (${build.name})`, {
    skip: NEEDS || build.skip,
  }, async (t) => {
    const host = await openMailHost(t);
    const home = openTempHome(t, NO_SUCH_HOST_ENV);
    home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, SHARE: 'no' });
    const trap = await openCleartextTrap(t);

    const alpine = openAlpine(t, home, {
      mailbox: `{work/secure/user=${host.user}}`,
      rshPath: build.rshPath,
    });
    await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*of 20/);
    await showsAllSubjects(alpine);

    await alpine.jumpTo(READ);
    alpine.keys('Enter');
    await alpine.waitFor(bodyLineOf(READ));
    alpine.type('<');
    await alpine.waitFor('MESSAGE INDEX');

    await alpine.jumpTo(SAVED);
    alpine.type('s');
    await alpine.answer('to folder [saved-messages] :', 'Work');
    await alpine.waitFor(indexLine(' *D', SAVED));

    await alpine.jumpTo(FLAGGED);
    alpine.type('*');
    await alpine.waitFor('Flag New, Deleted');
    alpine.keys('Enter');
    await alpine.waitFor(indexLine('\\*', FLAGGED));

    await alpine.jumpTo(DELETED);
    alpine.type('d');
    await alpine.waitFor(indexLine(' *D', DELETED));

    await alpine.goTo('Work');
    const work = await alpine.waitFor(/MESSAGE INDEX .*Folder: Work .*of 1\b/);
    assert.match(work, new RegExp(subjectOf(SAVED)));

    await alpine.goTo('INBOX');
    await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*of 20/);
    alpine.type('x');
    await alpine.waitFor('Expunge 2 messages from INBOX?');
    alpine.type('y');
    await alpine.waitFor(/Folder: INBOX .*of 18/);

    assert.equal(await alpine.quit(), 0);
    await waitForNoProcess(home.dir);
    await waitUntil('the remote imapds end', () => host.remoteProcesses().length === 0);
    assertFiled(host);
    assertNoCleartext(t, trap);
  });
}

for (const build of BUILDS) {
  test(`Alpine shows why a mail host cannot be reached and asks for no password (${build.name})`, {
    skip: NEEDS || build.skip,
  }, async (t) => {
    const trap = await openCleartextTrap(t);
    const home = openTempHome(t, NO_SUCH_HOST_ENV);
    const IDENTITY_FILE = join(home.dir, 'id');
    makeKey('ed25519', IDENTITY_FILE);
    const KNOWN_HOSTS = home.writeFile('known_hosts', '');
    // A name that resolves and a folder without /secure: nothing but the refusal stands between Pine and port 143.
    const PORT = await findFreePort();
    home.writeAlias('localhost', { HOSTNAME: '127.0.0.1', PORT, IDENTITY_FILE, KNOWN_HOSTS, SHARE: 'no' });

    const alpine = openAlpine(t, home, { mailbox: '{localhost/user=pat}', rshPath: build.rshPath });
    const shown = await alpine.waitFor(/Alert received while accessing/);
    assert.match(shown, /pine-rsh: localhost: /);
    assert.ok(shown.includes(String(PORT)), shown);
    alpine.keys('Enter');
    await alpine.waitFor('MAIN MENU');
    assert.equal(await alpine.quit(), 0);
    await waitForNoProcess(home.dir);
    assertNoCleartext(t, trap);
  });
}

test('The cleartext trap sees the fallback that pine-rsh prevents', { skip: NEEDS }, async (t) => {
  const trap = await openCleartextTrap(t);
  if (trap === undefined) {
    t.skip('port 143 cannot be bound here');
    return;
  }
  const home = openTempHome(t, NO_SUCH_HOST_ENV);
  const rshPath = home.writeScript('rsh', 'exit 1');
  const alpine = openAlpine(t, home, { mailbox: '{localhost/user=pat}', rshPath });
  await alpine.waitFor('ENTER PASSWORD');
  assert.ok(trap.connections() > 0);
});

/** A line of the index: marks as a pattern, then the message. */
function indexLine(marks: string, number: number): RegExp {
  return new RegExp(`^${marks} .*${subjectOf(number)}`, 'm');
}

/** The index is one line too long for the screen. */
async function showsAllSubjects(alpine: Alpine): Promise<void> {
  const first = await alpine.waitFor(subjectOf(MESSAGE_COUNT - 1));
  for (let number = 1; number < MESSAGE_COUNT; number++) assert.match(first, new RegExp(subjectOf(number)));
  alpine.keys('Space');
  await alpine.waitFor(subjectOf(MESSAGE_COUNT));
}

function assertFiled(host: MailHost): void {
  const flagsOf: Record<number, string> = { [READ]: 'S', [FLAGGED]: 'F' };
  const expected = Array.from({ length: MESSAGE_COUNT }, (_, index) => index + 1)
    .filter((number) => number !== SAVED && number !== DELETED)
    .map((number) => `${subjectOf(number)} ${flagsOf[number] ?? ''}`);
  const list = (folder: string) =>
    host.listMessages(folder).map(({ subject, flags }) => `${subject} ${flags}`);
  assert.deepEqual(list('INBOX'), expected);
  assert.deepEqual(list('Work'), [`${subjectOf(SAVED)} `]);
  assert.deepEqual(host.listFolders(), ['INBOX', 'Work']);
}
