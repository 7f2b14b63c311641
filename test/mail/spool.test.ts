/** Keeping a message on disk: what is refused, what is forgotten, and what a person is shown of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { MAIL_HEAD_MAX, MAIL_STALE_MS } from '../../src/limits.ts';
import { summarizeMail } from '../../src/mail/message-summary.ts';
import { settleOrphans } from '../../src/mail/orphans.ts';
import { type MailEntry, QueueFolder } from '../../src/mail/queue-folder.ts';
import { openMail, spoolMail } from '../../src/mail/spool.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { ENVELOPE, keepMail } from './stored-mail.ts';

const UID = process.getuid?.() ?? 0;
const NEVER = new AbortController().signal;

function openFolder(t: TestContext): QueueFolder {
  const folder = new QueueFolder({ stateDir: makeTempDir(t, 'spool'), uid: UID });
  folder.make();
  return folder;
}

const spool = (folder: QueueFolder, input: Readable, signal = NEVER, args = ENVELOPE.args) =>
  spoolMail(input, { folder, envelope: { ...ENVELOPE, args }, keepFor: 'work', signal });

test('A message whose caller goes away or is ended is not kept', async (t) => {
  const folder = openFolder(t);
  const broken = new PassThrough();
  broken.destroy(new Error('the pipe broke'));
  await assert.rejects(spool(folder, broken), { code: 'mail-unread', message: /the pipe broke/ });
  const reset = new PassThrough();
  reset.destroy(Object.assign(new Error('x'), { code: 'ECONNRESET' }));
  await assert.rejects(spool(folder, reset), { code: 'mail-unread', message: /ECONNRESET/ });
  await assert.rejects(spool(folder, new PassThrough(), AbortSignal.abort('SIGTERM')), {
    code: 'mail-unread',
    message: /SIGTERM/,
  });
  const later = new AbortController();
  const waiting = spool(folder, new PassThrough(), later.signal);
  later.abort('SIGHUP');
  await assert.rejects(waiting, { code: 'mail-unread', message: /SIGHUP/ });
  assert.deepEqual(readdirSync(folder.path), []);
});

test('A message for too many at once is refused, and nothing of it stays', async (t) => {
  const folder = openFolder(t);
  const everybody = ['x'.repeat(MAIL_HEAD_MAX)];
  await assert.rejects(spool(folder, Readable.from([Buffer.from('x')]), NEVER, everybody), {
    code: 'usage',
    message: /too many recipients/,
  });
  assert.deepEqual(readdirSync(folder.path), []);
});

test('A message that was removed while it was read is not called kept', async (t) => {
  const folder = openFolder(t);
  const mail = await spool(folder, Readable.from([Buffer.from('x')]));
  for (const name of readdirSync(folder.path)) rmSync(join(folder.path, name));
  assert.throws(() => mail.keep(''), { code: 'mail-not-kept', message: /removed meanwhile/ });
  mail.close();
});

test('What a killed process left half written is removed a day later', async (t) => {
  const folder = openFolder(t);
  const entry = { state: 'new', machine: undefined, alias: 'work' } as const;
  const stale: MailEntry = { ...entry, time: Date.now() - MAIL_STALE_MS - 60_000, id: '00000a' };
  const fresh: MailEntry = { ...entry, time: Date.now(), id: '00000b' };
  for (const each of [stale, fresh]) writeFileSync(folder.file(each), '');
  assert.deepEqual(settleOrphans(folder), []);
  assert.deepEqual(folder.list(), [{ ...fresh, pid: undefined }]);
  assert.match(summarizeMail(folder, fresh)?.note ?? '', /none of it was sent/);
  assert.equal(folder.remove(stale), false);
  assert.equal(folder.remove(fresh), true);
});

test('What a killed process left whole is held, and never while it may still be sent', async (t) => {
  const folder = openFolder(t);
  const mail = await spool(folder, Readable.from([Buffer.from('x')]));
  const [sending] = folder.list();
  assert.ok(sending);
  assert.deepEqual([sending.state, sending.pid], ['new', process.pid]);
  const { pid } = spawnSync('true');
  const day = Date.now() - MAIL_STALE_MS - 60_000;
  const settle = (change: Partial<MailEntry>): string[] => {
    const entry = { ...sending, ...change };
    renameSync(folder.file(sending), folder.file(entry));
    const held = settleOrphans(folder);
    if (held.length === 0) renameSync(folder.file(entry), folder.file(sending));
    return held;
  };
  for (const change of [{}, { pid: undefined }, { machine: '00000000', pid }])
    assert.deepEqual(settle(change), [], JSON.stringify(change));
  for (const change of [
    { pid },
    { machine: '00000000', time: day },
    { machine: undefined, pid: undefined, time: day },
  ]) {
    assert.deepEqual(settle(change), [sending.id], JSON.stringify(change));
    const [held] = folder.list();
    assert.ok(held);
    assert.deepEqual(
      [held.state, held.pid, summarizeMail(folder, held)?.note],
      ['unknown', undefined, 'its sender died'],
    );
    renameSync(folder.file(held), folder.file(sending));
  }
  mail.close();
  assert.deepEqual(folder.list(), []);
});

test('A folder that others can enter, or that is none, keeps no mail', async (t) => {
  const stateDir = makeTempDir(t, 'spool');
  const folder = new QueueFolder({ stateDir, uid: UID });
  assert.deepEqual(folder.list(), []);
  mkdirSync(folder.path);
  chmodSync(folder.path, 0o755);
  assert.throws(() => folder.make(), { code: 'mail-not-kept', message: /others can enter it/ });
  rmSync(folder.path, { recursive: true });
  writeFileSync(folder.path, '');
  await assert.rejects(spool(folder, Readable.from([Buffer.from('x')])), {
    code: 'mail-not-kept',
    message: /EEXIST/,
  });
  assert.throws(() => folder.list(), { code: 'queue-unusable', message: /ENOTDIR/ });
  const entry: MailEntry = { state: 'wait', machine: undefined, time: 1, id: '000001', alias: 'work' };
  assert.throws(() => folder.remove(entry), { code: 'queue-unusable' });
  assert.match(folder.explain(new Error('x')).message, /unknown/);
});

test('Messages of one time are in an order that stays', (t) => {
  const folder = openFolder(t);
  for (const id of ['00000c', '00000a', '00000b'])
    writeFileSync(folder.file({ state: 'wait', machine: undefined, time: 7, id, alias: 'work' }), '');
  assert.deepEqual(
    folder.list().map(({ id }) => id),
    ['00000a', '00000b', '00000c'],
  );
});

test('A message that was cut is damaged, and a link is not followed', async (t) => {
  const folder = openFolder(t);
  const entry = await keepMail(folder, 'Subject: whole\n\nwhole\n');
  truncateSync(folder.file(entry), 300_000);
  assert.throws(() => openMail(folder, entry), { code: 'mail-damaged' });
  const summary = summarizeMail(folder, entry);
  assert.equal(summary?.size, undefined);
  assert.match(summary?.note ?? '', /damaged/);
  rmSync(folder.file(entry));
  symlinkSync('/etc/passwd', folder.file(entry));
  assert.throws(() => openMail(folder, entry), { code: 'mail-unreadable' });
  assert.match(summarizeMail(folder, entry)?.note ?? '', /cannot be read \(ELOOP\)/);
  rmSync(folder.file(entry));
  assert.equal(summarizeMail(folder, entry), undefined);
});

test('A message is known by the first To and Subject of its header, unfolded', async (t) => {
  const folder = openFolder(t);
  const shown = async (text: string) => {
    const summary = summarizeMail(folder, await keepMail(folder, text));
    return [summary?.to, summary?.subject];
  };
  assert.deepEqual(
    await shown('no field\r\nTO: a@x,\r\n\tb@x\r\nSubject:  one \r\nSubject: two\r\n\r\nTo: c@x\r\n'),
    ['a@x, b@x', 'one'],
  );
  assert.deepEqual(await shown('Subject: alone'), ['', 'alone']);
  assert.deepEqual(await shown(''), ['', '']);
});
