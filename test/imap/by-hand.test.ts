/** The command in a hint does by hand what pine-rsh did, and a shell takes it as it stands. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { parseArgv } from '../../src/argv.ts';
import { imapdByHand } from '../../src/imap/by-hand.ts';
import { classifySession } from '../../src/imap/mail-stream.ts';
import { REFUSAL_HINT_MAX } from '../../src/limits.ts';

const ALIAS = { name: 'work', user: 'pat' };

const IMAPDS: readonly string[] = [
  '/etc/rimapd',
  'exec /usr/lib/dovecot/imap',
  'sleep 100',
  `. /etc/profile; MAIL="$HOME/it's mine" exec imapd 2>/dev/null`,
];

/** The words that a shell makes of a line. */
function wordsOf(line: string): string[] {
  const { stdout } = spawnSync('/bin/sh', ['-c', `printf '%s\\n' ${line}`], { encoding: 'utf8' });
  return stdout.trimEnd().split('\n');
}

for (const imapd of IMAPDS) {
  test(`${imapd} can be run by hand, as plain exec`, () => {
    const line = imapdByHand(ALIAS, imapd) ?? '';
    const [program, ...words] = wordsOf(line);
    assert.deepEqual([program, ...words], ['pine-rsh', '-l', 'pat', 'work', `${imapd}; true`]);
    const parsed = parseArgv(words);
    assert.ok(parsed.kind === 'session');
    assert.deepEqual(classifySession(parsed.invocation, words, { likeCClient: false }, imapd), {
      kind: 'exec',
      command: `${imapd}; true`,
    });
  });
}

test('a command that an alert would cut or break is not shown', () => {
  assert.equal(imapdByHand(ALIAS, 'x '.repeat(REFUSAL_HINT_MAX / 2)), undefined);
  assert.equal(imapdByHand(ALIAS, `/${'x'.repeat(80)}/imapd`), undefined);
  assert.equal(imapdByHand(ALIAS, '/opt/caf\u00e9/imapd'), undefined);
});
