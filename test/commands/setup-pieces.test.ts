/** The pieces of setup that need no host: lines of a .pinerc, the script on the mail host, names and places. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { listFolders, parsePinerc } from '../../src/commands/pinerc-file.ts';
import { dialectOf, formatKeyOptions } from '../../src/commands/setup/authorized-key.ts';
import {
  formatAliasFile,
  parsePlace,
  proposeName,
  whyNoAliasName,
} from '../../src/commands/setup/host-plan.ts';
import { editPinerc } from '../../src/commands/setup/pinerc-edit.ts';
import { formatServerCommands } from '../../src/commands/setup/server-commands.ts';
import { ROOT } from '../helpers/builds.ts';

const EXAMPLE = join(ROOT, 'examples', 'pine-rsh-commands');
const CHANGE = {
  programPath: '/opt/bin/pine-rsh',
  folder: { label: 'work', host: 'work', user: 'pat' },
  sendmail: true,
};

test('examples/pine-rsh-commands is what setup installs', () => {
  const text = formatServerCommands('/usr/lib/dovecot/imap', '/usr/sbin/sendmail');
  if (process.env['UPDATE_EXAMPLES'] === 'yes') writeFileSync(EXAMPLE, text, { mode: 0o755 });
  assert.equal(readFileSync(EXAMPLE, 'utf8'), text, 'run this test with UPDATE_EXAMPLES=yes');
});

test('a .pinerc that is not there gets all lines', () => {
  assert.equal(
    editPinerc('', CHANGE),
    [
      'rsh-path=/opt/bin/pine-rsh',
      'rsh-open-timeout=15',
      'ssh-path=',
      'inbox-path={work/secure/user=pat}INBOX',
      'folder-collections="work" {work/secure/user=pat}[]',
      'sendmail-path=/opt/bin/pine-rsh work sendmail -oi -t',
      '',
    ].join('\n'),
  );
});

test('only lines of ours change, and what the person has stays', () => {
  const before = [
    '# Updated by Alpine',
    'personal-name=Pat',
    'inbox-path={imap.example.org/ssl/user=pat}INBOX',
    'incoming-folders=a {x}a,',
    '\tb {y}b',
    'folder-collections="Mail" mail/[],',
    '\t"News" {news/nntp}[]',
    '# rsh-path: a comment',
    'rsh-path=/usr/bin/rsh',
    'rsh-open-timeout=30',
    'ssh-path=""',
    'sendmail-path=/usr/sbin/sendmail -oi -t',
    'last-version-used=6.26',
    '',
  ];
  const after = editPinerc(before.join('\n'), CHANGE);
  assert.deepEqual(after.split('\n'), [
    ...before.slice(0, 5),
    'folder-collections="Mail" mail/[], "News" {news/nntp}[],',
    '\t"work" {work/secure/user=pat}[]',
    before[7],
    'rsh-path=/opt/bin/pine-rsh',
    'rsh-open-timeout=30',
    'ssh-path=',
    ...before.slice(11),
  ]);
  assert.equal(editPinerc(after, CHANGE), after, 'a second time changes nothing');
});

test('a file without a last newline keeps its last line', () => {
  assert.match(
    editPinerc('personal-name=Pat', { ...CHANGE, sendmail: false }),
    /^personal-name=Pat\nrsh-path=/,
  );
});

test('folders of a .pinerc are found wherever they are named', () => {
  const text =
    'inbox-path={[::1]:143/Secure/USER=pat}INBOX\n# {no}\nfolder-collections="a" {work}[],\n  {b/user="x y"}[]\n';
  const folders = listFolders(parsePinerc(text)).map(({ host, port, flags, entry }) => [
    host,
    port,
    flags,
    entry.line,
  ]);
  assert.deepEqual(folders, [
    ['::1', '143', ['secure', 'user=pat'], 1],
    ['work', undefined, [], 3],
    ['b', undefined, ['user="x y"'], 3],
  ]);
});

test('a key gets its rights, and no more, in words that its server knows', () => {
  const mail = { command: 'exec /etc/rimapd', forwards: [] };
  const onwards = { command: undefined, forwards: ['mail:25', '[::1]:119'] };
  const long = 'no-agent-forwarding,no-port-forwarding,no-pty,no-X11-forwarding';
  const some = 'no-agent-forwarding,no-pty,no-X11-forwarding';
  const opens = 'permitopen="mail:25",permitopen="[::1]:119"';
  const command = 'command="exec /etc/rimapd"';
  for (const [software, forMail, forOnwards] of [
    ['OpenSSH_9.2p1', `restrict,${command}`, `restrict,port-forwarding,${opens},permitlisten="localhost:1"`],
    [
      'OpenSSH_for_Windows_8.1',
      `restrict,${command}`,
      `restrict,port-forwarding,${opens},permitlisten="localhost:1"`,
    ],
    ['OpenSSH_10.0', `restrict,${command}`, `restrict,port-forwarding,${opens},permitlisten="localhost:1"`],
    ['somebody', `restrict,${command}`, `restrict,port-forwarding,${opens},permitlisten="localhost:1"`],
    ['OpenSSH_7.8', `restrict,${command}`, `restrict,port-forwarding,${opens},permitlisten="localhost:1"`],
    ['OpenSSH_7.7p1', `restrict,${command}`, `restrict,port-forwarding,${opens}`],
    ['OpenSSH_7.2p2', `restrict,${command}`, `restrict,port-forwarding,${opens}`],
    ['OpenSSH_7.1', `${long},no-user-rc,${command}`, `${some},no-user-rc,${opens}`],
    ['OpenSSH_5.3', `${long},no-user-rc,${command}`, `${some},no-user-rc,${opens}`],
    ['dropbear_2022.83', `${long},${command}`, `${some},${opens}`],
    ['Sun_SSH_1.1.5', `${long},${command}`, `${some},${opens}`],
  ] as const) {
    const dialect = dialectOf(software);
    assert.equal(formatKeyOptions(mail, dialect), forMail, software);
    assert.equal(formatKeyOptions(onwards, dialect), `${forOnwards},command="exit 1"`, software);
  }
  for (const wrong of ['a "b"', 'a\\b', 'a\nb'])
    assert.throws(() => formatKeyOptions({ command: wrong, forwards: [] }, dialectOf('')), { code: 'usage' });
});

test('places, names and alias files', () => {
  assert.deepEqual(parsePlace('pat@mail.example.org:2222'), {
    host: 'mail.example.org',
    user: 'pat',
    port: 2222,
  });
  assert.deepEqual(parsePlace('pat@[::1]'), { host: '::1', user: 'pat', port: undefined });
  for (const wrong of ['', 'pat@', '@x', 'a b@x', 'pat@x:0', '-o@x', 'pat@-x'])
    assert.ok('wrong' in parsePlace(wrong), wrong);
  assert.equal(proposeName('gate.example.org'), 'gate');
  assert.equal(proposeName('127.0.0.1'), 'gateway');
  assert.equal(proposeName('\u00fc.example.org'), 'gateway');
  for (const wrong of ['', 'Work', 'a b', '-a', '../a', 'a@b', '.a'])
    assert.ok(whyNoAliasName(wrong) !== undefined, wrong);
  assert.equal(
    formatAliasFile('x', { HOSTNAME: 'h', PORT: undefined, IMAPD: "a 'b' #c", SENDMAIL: 'a b' }),
    "# x\nHOSTNAME=h\nIMAPD=\"a 'b' #c\"\nSENDMAIL='a b'\n",
  );
});
