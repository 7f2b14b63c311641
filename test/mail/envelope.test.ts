/** The head of a kept message and the name of its file. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Envelope,
  formatFirstLine,
  formatHead,
  formatNote,
  NOTE_OFFSET,
  parseHead,
} from '../../src/mail/envelope.ts';
import { type MailState, QueueFolder } from '../../src/mail/queue-folder.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

const ENVELOPE: Envelope = {
  host: 'work',
  user: 'pat',
  port: 2222,
  family: 4,
  overrides: { CONNECT_TIMEOUT: '3' },
  args: ['-oi', '-t', 'm\u00fcller@example.org', '"'],
  written: 1_800_000_000_000,
};

test('A head is read as it was written, with any note', () => {
  for (const note of [
    '',
    'plain',
    'with "quotes" and \\',
    'gr\u00fc\u00dfe \u{1f600}',
    'x'.repeat(5_000),
    'a\nb\0c',
  ]) {
    const bytes = formatHead(ENVELOPE);
    bytes.write(formatFirstLine(1234), 0);
    const line = formatNote(note);
    assert.equal(Buffer.byteLength(line), Buffer.byteLength(formatNote('')));
    bytes.write(line, NOTE_OFFSET);
    const head = parseHead(Buffer.concat([bytes, Buffer.from('Subject: x\n')]));
    assert.deepEqual(head?.envelope, ENVELOPE);
    assert.deepEqual([head?.size, head?.offset], [1234, bytes.length]);
    if (note === 'plain') assert.equal(head?.note, note);
  }
});

test('A head that is cut anywhere is none', () => {
  const bytes = formatHead(ENVELOPE);
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(parseHead(bytes.subarray(0, length)), undefined, `${length} bytes`);
  }
});

test('A head whose note or envelope is something else is none', () => {
  const head = (note: string, envelope: string): Buffer =>
    Buffer.from(`${formatFirstLine(0)}${note.padEnd(formatNote('').length - 1)}\n${envelope}\n`);
  const good = JSON.stringify(ENVELOPE);
  assert.deepEqual(parseHead(head('"x"', good))?.envelope, ENVELOPE);
  assert.equal(parseHead(head('1', good)), undefined);
  for (const wrong of [
    null,
    'text',
    { ...ENVELOPE, host: 1 },
    { ...ENVELOPE, user: null },
    { ...ENVELOPE, port: 0 },
    { ...ENVELOPE, family: 5 },
    { ...ENVELOPE, overrides: 'x' },
    { ...ENVELOPE, overrides: null },
    { ...ENVELOPE, overrides: { A: 1 } },
    { ...ENVELOPE, args: [1] },
    { ...ENVELOPE, args: 'x' },
    { ...ENVELOPE, written: null },
  ])
    assert.equal(parseHead(head('"x"', JSON.stringify(wrong))), undefined, JSON.stringify(wrong));
});

test('The names of files say all that decides, and other files are left alone', (t) => {
  const stateDir = makeTempDir(t, 'queue');
  const folder = new QueueFolder({ stateDir, uid: process.getuid?.() ?? 0 });
  folder.make();
  const alias = 'pat@mail-1.example.org';
  for (const [time, state] of [
    [3, 'wait'],
    [1, 'refused'],
    [2, 'send'],
  ] as const) {
    const machine = state === 'send' ? '0123abcd' : undefined;
    writeFileSync(folder.file({ state, machine, time, id: `aaaaa${time}`, alias }), '');
  }
  writeFileSync(join(folder.path, 'lock.0123abcd.01234567'), '');
  mkdirSync(join(folder.path, 'wait'));
  const list = folder.list();
  assert.deepEqual(
    list.map(({ state, id }): [MailState, string] => [state, id]),
    [
      ['refused', 'aaaaa1'],
      ['send', 'aaaaa2'],
      ['wait', 'aaaaa3'],
    ],
  );
  assert.ok(list.every((entry) => entry.alias === alias));
  assert.ok(folder.isBusy(alias));
  assert.equal(folder.isBusy('work'), false);
  const [first] = list;
  assert.ok(first);
  assert.equal(folder.move(first, 'wait')?.state, 'wait');
  assert.equal(folder.move(first, 'wait'), undefined, 'somebody else did before');
  assert.equal(readdirSync(folder.path).filter((name) => name.startsWith('wait-')).length, 2);
});
