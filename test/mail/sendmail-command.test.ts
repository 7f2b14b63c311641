/** What goes to the mail host before a message, and what comes back. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FATES } from '../../src/mail/flush.ts';
import { formatPreamble, MarkReader, SENDMAIL_WRAPPER } from '../../src/mail/sendmail-command.ts';
import { looksLikeSendmail, sendmailArguments } from '../../src/mail/sendmail-words.ts';
import { ROOT } from '../helpers/builds.ts';

test('sendmail is asked for by the first word alone', () => {
  for (const [words, args] of [
    [
      ['sendmail', '-oi', '-t'],
      ['-oi', '-t'],
    ],
    [['sendmail'], []],
    [['sendmail -oi  -t'], ['-oi', '-t']],
    [['sendmail', 'a b'], ['a b']],
    [['/usr/sbin/sendmail', '-t'], undefined],
    [['echo', 'sendmail'], undefined],
    [['sendmailx'], undefined],
    [[], undefined],
  ] as const) {
    assert.deepEqual(sendmailArguments(words), args, words.join('|'));
    if (args !== undefined) assert.ok(looksLikeSendmail(['work', ...words]));
  }
});

test('The command line is one that every login shell can start', () => {
  assert.doesNotMatch(SENDMAIL_WRAPPER, /[!\\\n]/);
  assert.equal(SENDMAIL_WRAPPER.split("'").length, 3);
});

test('Arguments reach the command as they are', () => {
  const args = ["o'hara", '$HOME', '`id`', 'a  b', '', '*', '"', '\\', '--'];
  const preamble = formatPreamble('/usr/bin/printf %s\\\\n', args, 7, 'mark');
  const [size, mark, command = '', rest] = preamble.split('\n');
  assert.deepEqual([size, mark, rest], ['7', 'mark', '']);
  const { stdout } = spawnSync('/bin/sh', ['-c', command], { encoding: 'utf8' });
  assert.equal(stdout, args.map((arg) => `${arg}\n`).join(''));
});

test('The mark is found wherever the bytes are split, and what stands around it is kept apart', () => {
  const bytes = Buffer.from('motd\nstored-x\nstored-m1\nsendmail says\nstored-m1\n');
  for (let at = 0; at <= bytes.length; at++) {
    const reader = new MarkReader('m1', 200);
    const output = Buffer.concat([reader.push(bytes.subarray(0, at)), reader.push(bytes.subarray(at))]);
    assert.deepEqual(
      [reader.found, output.toString()],
      [true, 'sendmail says\nstored-m1\n'],
      `split at ${at}`,
    );
    assert.equal(reader.noise.toString(), 'motd\nstored-x\n');
  }
});

test('Endless noise costs bounded memory, and hides no mark', () => {
  const reader = new MarkReader('m1', 64);
  for (let line = 0; line < 1_000; line++) reader.push(Buffer.from('noise noise noise\nstored-'));
  assert.deepEqual([reader.found, reader.noise.length], [false, 64]);
  reader.push(Buffer.from('m1\n'));
  assert.ok(reader.found);
});

test('docs/sending-mail.md says what happens to a message in the queue', () => {
  const text = readFileSync(join(ROOT, 'docs', 'sending-mail.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| [a-z, ]+ \| ([a-z]+) \|$/gm)];
  assert.deepEqual(Object.fromEntries(rows.map(([, kind, fate]) => [kind, fate])), FATES);
});
