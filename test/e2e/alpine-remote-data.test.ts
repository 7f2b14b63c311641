/** What Alpine can keep on the mail host beside mail: its address book and its configuration. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runAlpine, writePinerc } from '../helpers/alpine.ts';
import { type AlpineDesk, DESK_NEEDS, openAlpineDesk, SHARED, WAYS } from '../helpers/alpine-desk.ts';
import { findOwnAddress, openCleartextTrap } from '../helpers/cleartext-trap.ts';
import type { MailHost } from '../helpers/mail-host.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';

const INDEX = /MESSAGE INDEX .*Folder: INBOX .*of 20/;

/** The newest message of a folder: Alpine keeps older states of its data before it. */
function readNewest(host: MailHost, folder: string): string {
  const files = host.listMessages(folder).map(({ file }) => file);
  const at = (file: string) => readFileSync(file, 'latin1');
  // Dovecot names files by the time they came.
  const name = (file: string) => file.slice(file.lastIndexOf('/'));
  return at(files.sort((a, b) => name(a).localeCompare(name(b), 'en', { numeric: true })).at(-1) ?? '');
}

/** Whether a program can be shown another /etc: in a mount namespace of its own. */
function requireOtherEtc(): string | false {
  const missing = requirePrograms('unshare');
  if (missing !== false) return missing;
  return spawnSync(programPath('unshare'), ['-m', 'true']).status === 0 ? false : 'unshare needs root here';
}

/** A command line that runs `words` where /etc/c-client.cf names an rsh. */
function withSystemRsh({ home }: AlpineDesk, rsh: string, words: readonly string[]): string[] {
  const script = [
    'etc=$1 && rsh=$2 && shift 2',
    'cp -a /etc "$etc" && echo "set rsh-path $rsh" >"$etc/c-client.cf" && mount --bind "$etc" /etc',
    'exec "$@"',
  ].join('\n');
  const etc = join(home.dir, 'etc');
  return [programPath('unshare'), '-m', 'sh', '-c', script, 'sh', etc, rsh, ...words];
}

describe('What Alpine keeps on the mail host', { skip: DESK_NEEDS, concurrency: 3 }, () => {
  for (const way of WAYS) {
    test(`An address book on the mail host takes an entry and has it the next time (${way.name})`, async (t) => {
      const desk = await openAlpineDesk(t, way);
      const [work] = desk.places;
      assert.ok(work);
      const pinerc = [`address-book=Work ${work.mailbox}remote_addrbook`];
      const openBook = async () => {
        const alpine = await desk.open({ pinerc });
        alpine.type('m');
        await alpine.waitFor('MAIN MENU');
        alpine.type('a');
        await alpine.waitFor(/ADDRESS BOOK/);
        return alpine;
      };
      const first = await openBook();
      await first.waitFor('[ Empty ]');
      first.type('@');
      await first.waitFor(/ADDRESS BOOK \(Add\).*Nickname/s);
      first.type('ada');
      first.keys('Down');
      first.type('Lovelace, Ada');
      first.keys('Down', 'Down', 'Down');
      first.type('ada@example.org');
      await first.waitFor(/Addresses : ada@example\.org/);
      first.keys('C-x');
      await first.waitFor('Exit and save changes');
      first.type('y');
      await first.waitFor(/ada +Lovelace, Ada +ada@example\.org/);
      await desk.leave(first);
      assert.match(readNewest(work.host, 'remote_addrbook'), /^ada\tLovelace, Ada\tada@example\.org/m);

      // The new .pinerc knows nothing of the copy that the first Alpine may have left here.
      const second = await openBook();
      await second.waitFor(/ada +Lovelace, Ada +ada@example\.org/);
      await desk.leave(second);
    });
  }

  test('A .pinerc on the mail host is copied there, read from there and changed there', {
    skip: requireOtherEtc(),
  }, async (t) => {
    const desk = await openAlpineDesk(t, SHARED);
    const [work] = desk.places;
    assert.ok(work);
    const options = desk.options();
    const local = writePinerc(desk.home, options);
    const remote = `${work.mailbox}remote_pinerc`;
    const copied = runAlpine(t, desk.home, [programPath('alpine'), '-copy_pinerc', local, remote]);
    assert.equal(await copied.waitForExit(), 0);
    assert.match(readNewest(work.host, 'remote_pinerc'), /^personal-name=Pat$/m);
    rmSync(local);

    const words = withSystemRsh(desk, options.rshPath, [programPath('alpine'), '-i', '-p', remote]);
    const alpine = runAlpine(t, desk.home, words);
    await alpine.waitFor(INDEX);
    alpine.type('m');
    await alpine.waitFor('MAIN MENU');
    alpine.type('s');
    await alpine.waitFor('Setup');
    alpine.type('c');
    await alpine.waitFor(/Personal Name += Pat$/m);
    alpine.type('c');
    await alpine.waitFor(/personal.*name.*: Pat/i);
    alpine.type('ricia');
    alpine.keys('Enter');
    await alpine.waitFor(/Personal Name += Patricia/);
    alpine.type('e');
    await alpine.waitFor('Commit changes');
    alpine.type('y');
    await alpine.waitFor('MAIN MENU');
    await desk.leave(alpine);
    assert.match(readNewest(work.host, 'remote_pinerc'), /^personal-name=Patricia$/m);
    assert.ok(!existsSync(local));
  });

  // What docs/faq.md warns of.
  test('Without /etc/c-client.cf Alpine knows no rsh-path yet when it looks for a .pinerc on the mail host', {
    skip: ['/usr/bin/rsh', '/etc/c-client.cf'].some(existsSync) && 'this machine has an rsh',
  }, async (t) => {
    const desk = await openAlpineDesk(t, SHARED);
    const address = findOwnAddress();
    const trap = await openCleartextTrap(t, [address]);
    if (trap === undefined) {
      t.skip('port 143 cannot be bound here');
      return;
    }
    const system = desk.home.writeFile('pine.conf', `rsh-path=${desk.options().rshPath}\n`);
    const words = ['-P', system, '-p', `{${address}/user=pat}remote_pinerc`];
    const alpine = runAlpine(t, desk.home, [programPath('alpine'), ...words]);
    await alpine.waitFor('ENTER PASSWORD');
    assert.notEqual(trap.connections(), 0);
    assert.equal(desk.home.log(), '');
  });
});
