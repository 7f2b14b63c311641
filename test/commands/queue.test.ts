/** `queue` without a host: what it shows, what it refuses, and what it leaves alone. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { examineQueue } from '../../src/commands/doctor/queue.ts';
import { findAlias } from '../../src/commands/find-alias.ts';
import { runQueue } from '../../src/commands/queue.ts';
import { describeMail } from '../../src/commands/waiting-mail.ts';
import { flushQueue } from '../../src/mail/flush.ts';
import { MACHINE, type MailEntry, type MailState, QueueFolder } from '../../src/mail/queue-folder.ts';
import { lockQueue } from '../../src/mail/queue-lock.ts';
import { readSettings } from '../../src/settings.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { keepMail } from '../mail/stored-mail.ts';
import { captureOutput } from './capture.ts';

const MESSAGE = 'To: pat@example.org\nSubject: gr\u00fc\u00dfe\n\n\u00e4\x1b[2Jlast';

function openQueue(t: TestContext) {
  const home = openTempHome(t);
  const settings = readSettings(home.env);
  const folder = new QueueFolder(settings);
  folder.make();
  const queue = async (
    action: string,
    what?: string,
    { output = captureOutput(), json = false } = {},
  ): Promise<{ status: number; text: string }> => {
    const status = await runQueue(settings, { action, what, json, raw: false }, output);
    return { status, text: output.text() };
  };
  return { home, settings, folder, queue };
}

test('a wrong action is refused, and the one that was meant is named', async (t) => {
  const { queue } = openQueue(t);
  await assert.rejects(queue('flsh'), { code: 'usage', message: /queue has no flsh; did you mean flush\?/ });
  await assert.rejects(queue('toString'), { code: 'usage', message: /queue has no toString$/ });
  for (const action of ['show', 'remove']) {
    await assert.rejects(queue(action), { code: 'usage', message: /needs a message/ });
    await assert.rejects(queue(action, 'abcdef'), { code: 'mail-missing' });
  }
});

test('a list names each message by what it says, in the words of its state', async (t) => {
  const { queue, folder } = openQueue(t);
  assert.equal((await queue('list')).text, 'no mail waits\n');
  const refused = await keepMail(folder, 'x', { state: 'refused', note: 'status 67: no such user' });
  const unknown = await keepMail(folder, MESSAGE, { state: 'unknown', alias: 'other' });
  const damaged = await keepMail(folder, MESSAGE);
  truncateSync(folder.file(damaged), 3);
  assert.deepEqual((await queue('list')).text.replace(/\d+ s old/g, 'N s old').split('\n'), [
    `${refused.id}  work, held, refused, N s old, 1 B`,
    '  -oi -t',
    '  status 67: no such user',
    `${unknown.id}  other, held, may have been sent, N s old, 48 B`,
    '  to pat@example.org',
    '  gr\u00fc\u00dfe',
    `${damaged.id}  work, waiting, N s old`,
    `  message ${damaged.id} is damaged`,
    '',
  ]);
  const painted = await queue('list', 'other', { output: captureOutput({ color: true }) });
  assert.ok(painted.text.includes('\x1b[35mheld, may have been sent\x1b[0m'), painted.text);
  assert.ok(!(await queue('list', 'WORK')).text.includes(unknown.id));
  const narrow = await queue('list', 'other', { output: captureOutput({ columns: 30 }) });
  assert.match(narrow.text, new RegExp(`^${unknown.id}\n  other, held, may have been\n  sent, `));
  const json = JSON.parse((await queue('list', undefined, { json: true })).text);
  assert.deepEqual(
    json.messages.map(({ state, size }: { state: string; size: number | null }) => [state, size]),
    [
      ['refused', 1],
      ['unknown', 48],
      ['waiting', null],
    ],
  );
  await assert.rejects(queue('list', 'nobody'), { code: 'alias-missing' });
});

test('a message is shown whole, and nothing in it is obeyed by the terminal', async (t) => {
  const { queue, folder } = openQueue(t);
  const { id } = await keepMail(folder, MESSAGE);
  const { text } = await queue('show', id.toUpperCase());
  assert.match(text, /\nsendmail -oi -t\n\nTo: pat@example\.org\n/);
  assert.ok(text.endsWith('\n\n\u00e4\\x1b[2Jlast\n'), JSON.stringify(text));
  const ended = await keepMail(folder, 'a\r\nb\n');
  assert.ok((await queue('show', ended.id)).text.endsWith('\n\na\nb\n'));
  const json = JSON.parse((await queue('show', id, { json: true })).text);
  assert.deepEqual([json.id, json.state, json.subject], [id, 'waiting', 'gr\u00fc\u00dfe']);
});

test('a message that is being sent is not removed', async (t) => {
  const { queue, folder } = openQueue(t);
  const last = await keepMail(folder, 'x', { state: 'last' });
  await assert.rejects(queue('remove', last.id), { code: 'usage', message: /is being sent/ });
  const waiting = await keepMail(folder, 'x');
  assert.deepEqual(await queue('remove', waiting.id), { status: 0, text: `removed ${waiting.id}\n` });
});

test('a flush of mail that is on its way, or whose sender died on it, says so and sends nothing', async (t) => {
  const { queue, folder, home, settings } = openQueue(t);
  home.writeAlias('work', { USER: 'pat' });
  const { alias } = findAlias(settings, 'work');
  const waiting = await keepMail(folder, 'x');
  const sending: MailEntry = { ...waiting, state: 'new', machine: MACHINE, pid: process.pid };
  renameSync(folder.file(waiting), folder.file(sending));
  const { id } = sending;
  assert.match((await queue('list')).text, /being sent/);
  assert.deepEqual(await queue('flush', id), { status: 1, text: `${id} work: is being sent already\n` });
  assert.deepEqual(examineQueue(alias, settings), []);
  renameSync(folder.file(sending), folder.file({ ...sending, pid: spawnSync('true').pid }));
  const wide = { output: captureOutput({ columns: 200 }) };
  assert.deepEqual(await queue('flush', id, wide), {
    status: 1,
    text: `${id} work: held, may have been sent (its sender died); flush it once more to send it again\n`,
  });
  assert.match((await queue('list')).text, /held, may have been sent.*\n.*\n {2}its sender died\n/);
  assert.match(examineQueue(alias, settings)[0]?.text ?? '', /1 message is held/);
  assert.match((await queue('flush')).text, /no mail waits/);
});

test('a flush tells what still waits, and why', async (t) => {
  const { queue, folder, home } = openQueue(t);
  assert.deepEqual(await queue('flush'), { status: 0, text: 'no mail waits\n' });
  const { id } = await keepMail(folder, 'x', { state: 'refused' });
  assert.deepEqual(
    await queue('flush'),
    { status: 0, text: 'no mail waits\n' },
    'a held one is a person\u2019s',
  );
  const orphan = await queue('flush', id.toUpperCase());
  assert.equal(orphan.status, 1);
  assert.match(orphan.text, new RegExp(`^${id} work: still waits \\(`));
  const refusing = { HOSTNAME: '127.0.0.1', PORT: await findFreePort(), SHARE: 'no', SSH_CONFIG: 'no' };
  home.writeAlias('work', { ...refusing, USER: 'pat' });
  const json = JSON.parse((await queue('flush', undefined, { json: true })).text);
  assert.deepEqual([json.messages[0].outcome, json.busy], ['unreached', []]);
  const gone = captureOutput();
  gone.hangUp();
  const { status, text } = await queue('flush', 'work', { output: gone });
  assert.equal(status, 128 + 13);
  assert.match(text, /still waits \(.*an interrupt/s);
});

test('mail that another process sends is left to it', async (t) => {
  const { settings, folder } = openQueue(t);
  await keepMail(folder, 'x');
  const options = { settings, signal: new AbortController().signal, onMail: () => assert.fail(), waitMs: 0 };
  const release = await lockQueue(folder, 'work', settings.uid, 0);
  assert.ok(release);
  assert.equal(await flushQueue('work', options), false);
  release();
  assert.equal(await flushQueue('none', options), true);
});

test('what a flusher left when it died is sent again only if it is certain that it was not delivered', async (t) => {
  const { folder, queue } = openQueue(t);
  const ids = new Map<MailState, string>();
  for (const state of ['send', 'last'] as const) ids.set(state, (await keepMail(folder, 'x', { state })).id);
  const { text } = await queue('flush');
  assert.match(text, new RegExp(`^${ids.get('send')} work: still waits`));
  assert.deepEqual(
    folder.list().map(({ state, id }) => [state, id]),
    [
      ['wait', ids.get('send')],
      ['unknown', ids.get('last')],
    ],
  );
  assert.match((await queue('list')).text, /pine-rsh was ended while it sent the last bytes/);
});

test('a damaged message is held and told, and the others pass', async (t) => {
  const { folder, queue } = openQueue(t);
  const damaged = await keepMail(folder, 'x');
  truncateSync(folder.file(damaged), 3);
  const { status, text } = await queue('flush');
  assert.equal(status, 1);
  assert.match(text, new RegExp(`^${damaged.id} work: held, refused \\(`));
  assert.deepEqual(
    folder.list().map(({ state }) => state),
    ['refused'],
  );
});

test('mail that waits is counted in words', () => {
  for (const [waiting, held, words] of [
    [0, 0, undefined],
    [1, 0, '1 message waits to be sent'],
    [2, 1, '2 messages wait to be sent, 1 message is held'],
    [0, 2, '2 messages are held'],
  ] as const)
    assert.equal(describeMail({ waiting, held }), words);
});

test('what keeps a queue or a message from being read is told, and no other mail waits for it', async (t) => {
  const { folder, queue, home, settings } = openQueue(t);
  const linked = await keepMail(folder, 'x');
  const file = folder.file(linked);
  renameSync(file, `${home.dir}/x`);
  // What nobody of ours has put there is not followed.
  symlinkSync(`${home.dir}/x`, file);
  const next = await keepMail(folder, 'x');
  const { status, text } = await queue('flush');
  assert.equal(status, 1);
  assert.match(
    text,
    new RegExp(`^${linked.id} work: still waits \\(message .* cannot be read \\(ELOOP\\)\\)\n${next.id} `),
  );
  assert.ok((await queue('list')).text.includes(`message ${linked.id} cannot be read (ELOOP)`));
  await assert.rejects(queue('show', linked.id), { code: 'mail-unreadable' });
  rmSync(folder.path, { recursive: true });
  writeFileSync(folder.path, '');
  const code = 'queue-unusable';
  for (const action of ['list', 'flush']) await assert.rejects(queue(action), { code, message: /ENOTDIR/ });
  home.writeAlias('work', { USER: 'pat' });
  const found = findAlias(settings, 'work');
  assert.match(examineQueue(found.alias, settings)[0]?.text ?? '', /cannot read the queue/);
});
