/** The built-in IMAP server under real mail programs: mbsync both ways, mutt, Python's imaplib. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { openScreen } from '../helpers/screen.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { openImapTunnel } from './tunnel.ts';

function writeSyncConfig(home: TempHome, command: string, create: string): string {
  mkdirSync(join(home.dir, 'mail'), { mode: 0o700 });
  return home.writeFile(
    'mbsyncrc',
    `IMAPStore remote
Tunnel "${command}"

MaildirStore local
Path ${home.dir}/mail/
Inbox ${home.dir}/mail/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create ${create}
Sync All
Expunge Both
SyncState *
`,
  );
}

test('mbsync pulls all mail, and pushes flags, new mail, a new folder and deletions', {
  skip: requirePrograms('mbsync'),
}, async (t) => {
  const home = openTempHome(t);
  const { store, command } = await openImapTunnel(t);
  const config = writeSyncConfig(home, command, 'Both');
  const sync = async (): Promise<void> => {
    const done = await runProgram(programPath('mbsync'), ['-c', config, 'all'], { env: home.env });
    assert.equal(done.code, 0, done.stderr.toString());
    assert.equal(done.stderr.toString(), '');
  };
  const inbox = store.find('INBOX');
  assert.ok(inbox);
  await sync();
  const folder = join(home.dir, 'mail', 'INBOX', 'new');
  const files = readdirSync(folder).sort();
  assert.equal(files.length, 5);
  const pulled = files.map((name) => readFileSync(join(folder, name), 'latin1')).join();
  for (const { raw } of inbox.messages) {
    const subject = /^Subject: .*$/m.exec(raw.toString('latin1'))?.[0] ?? '';
    assert.ok(pulled.includes(subject), subject);
  }

  const [flagged = '', deleted = ''] = files;
  const read = (name: string, flags: string) =>
    renameSync(join(folder, name), join(folder, '..', 'cur', `${name.replace(/:2,.*$/, '')}:2,${flags}`));
  read(flagged, 'FS');
  read(deleted, 'T');
  for (const part of ['cur', 'new', 'tmp'])
    mkdirSync(join(home.dir, 'mail', 'Archive', part), { recursive: true });
  writeFileSync(
    join(home.dir, 'mail', 'Archive', 'cur', '1.a:2,S'),
    'From: me@example.org\nSubject: kept\n\nbody\n',
  );
  await sync();
  assert.equal(inbox.messages.length, 4);
  assert.equal(inbox.messages.filter(({ flags }) => flags.has('\\Flagged') && flags.has('\\Seen')).length, 1);
  const archived = store.find('Archive')?.messages ?? [];
  assert.equal(archived.length, 1);
  assert.match(
    archived[0]?.raw.toString('latin1') ?? '',
    /^From: me@example\.org\r\n[\s\S]*\r\n\r\nbody\r\n$/,
  );
  assert.ok(archived[0]?.flags.has('\\Seen'));
  await sync();
  rmSync(join(home.dir, 'mail'), { recursive: true });
});

test('mutt opens the mailbox and shows a message', { skip: requirePrograms('mutt', 'tmux') }, async (t) => {
  const home = openTempHome(t);
  const { store, command } = await openImapTunnel(t);
  const config = home.writeFile(
    'muttrc',
    `set tunnel="${command}"\nset folder="imap://pat@demo/"\nset spoolfile="+INBOX"\nset timeout=1\nset quit=yes\n`,
  );
  const screen = openScreen(t, programPath('mutt'), ['-n', '-F', config], { env: home.env });
  await screen.waitFor('Msgs:5');
  await screen.waitFor('Found it: it was a moth');
  screen.keys('Enter');
  await screen.waitFor('Dear Pat,');
  screen.type('q');
  await screen.waitFor('Msgs:5');
  screen.type('$');
  await screen.waitFor(/Msgs:5/);
  screen.type('q');
  assert.equal(await screen.waitForExit(), 0);
  assert.ok(store.find('INBOX')?.messages.some(({ flags }) => flags.has('\\Seen')));
});

const PYTHON = `
import imaplib, sys, time
M = imaplib.IMAP4_stream(sys.argv[1])
def ok(answer): assert answer[0] == 'OK', answer; return answer[1]
assert M.state == 'AUTH'
assert ok(M.select()) == [b'5']
assert len(ok(M.fetch('1:*', '(UID FLAGS ENVELOPE INTERNALDATE RFC822.SIZE BODYSTRUCTURE)'))) == 5
parts = ok(M.fetch('1', '(BODY.PEEK[2] BODY.PEEK[2.MIME] BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[TEXT]<5.10> BODY.PEEK[9])'))
assert parts[0][1].startswith(b'step  operation'), parts
assert parts[1][1].endswith(b'table-g.txt"\\r\\n\\r\\n'), parts
assert parts[2][1] == b'Subject: Notes on the engine\\r\\n\\r\\n', parts
assert len(parts[3][1]) == 10, parts
assert b'BODY[9] NIL' in parts[4], parts
assert ok(M.search(None, 'UNSEEN')) == [b'1 2 3 4 5']
ok(M.fetch('2', '(BODY[])'))
assert ok(M.search(None, 'SEEN')) == [b'2']
assert ok(M.search(None, 'OR', 'FROM', 'grace', 'SUBJECT', '"the office"')) == [b'2 4']
assert ok(M.search(None, 'NOT', 'SINCE', '1-Jan-2001')) == [None] or ok(M.search(None, 'NOT', 'SINCE', '1-Jan-2001')) == [b'']
assert ok(M.uid('SEARCH', 'UID', '3:*')) == [b'3 4 5']
ok(M.create('Archive'))
ok(M.copy('1:2', 'Archive'))
assert M.copy('1', 'Nowhere') == ('NO', [b'[TRYCREATE] no such mailbox'])
assert ok(M.status('Archive', '(MESSAGES UNSEEN UIDNEXT)')) == [b'"Archive" (MESSAGES 2 UNSEEN 1 UIDNEXT 3)']
ok(M.append('Archive', '\\\\Flagged', imaplib.Time2Internaldate(time.time()), b'Subject: lit {3}\\r\\n\\r\\n{5}\\r\\n'))
ok(M.store('3', '+FLAGS.SILENT', '(\\\\Deleted)'))
assert ok(M.expunge()) == [b'3']
assert ok(M.search(None, 'ALL')) == [b'1 2 3 4']
ok(M.rename('Archive', 'Kept'))
assert ok(M.list()) == [b'(\\\\NoInferiors) "/" "INBOX"', b'(\\\\NoInferiors) "/" "Kept"']
assert ok(M.select('Kept', readonly=True)) == [b'3']
assert M.store('1', '+FLAGS', '(\\\\Seen)')[0] == 'NO'
assert b'{5}' in ok(M.uid('FETCH', '3', '(BODY[TEXT])'))[0][1]
ok(M.close()); ok(M.delete('Kept'))
assert M.select('Kept')[0] == 'NO'
assert M.delete('INBOX')[0] == 'NO'
try: M.xatom('FROBNICATE'); assert False
except imaplib.IMAP4.error as error: assert 'unknown command' in str(error)
assert M.logout()[0] == 'BYE'
`;

test("Python's imaplib reads, searches, copies, appends and expunges", {
  skip: requirePrograms('python3'),
}, async (t) => {
  const home = openTempHome(t);
  const { command } = await openImapTunnel(t);
  const script = home.writeFile('client.py', PYTHON);
  const env = { ...home.env, PATH: process.env['PATH'] ?? '' };
  const done = await runProgram(programPath('python3'), [script, command], { env });
  assert.equal(done.code, 0, done.stderr.toString());
});
