import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Invocation, parseArgv } from '../../src/argv.ts';
import { Failure } from '../../src/errors.ts';
import { IMAPD_PLACES, imapdCommand } from '../../src/imap/imapd-command.ts';
import { classifySession, isMailStream, looksLikeMailStream } from '../../src/imap/mail-stream.ts';

function classify(args: string[], imapd = 'auto', likeCClient = true): ReturnType<typeof classifySession> {
  const parsed = parseArgv(args) as { invocation: Invocation };
  return classifySession(parsed.invocation, args, { likeCClient }, imapd);
}

describe('a mail stream', () => {
  for (const [command, replaced] of [
    ['', true],
    ['exec /etc/rimapd', true],
    ['/etc/rimapd', true],
    ['rimapd', true],
    ['imapd', true],
    ['exec /usr/sbin/imapd', false],
    ['exec /opt/mail/rimapd', false],
    ['/usr/lib/dovecot/imap', false],
    ['exec /usr/local/libexec/dovecot/imap', false],
  ] as const) {
    it(`is ${command === '' ? 'a call without COMMAND' : command}`, () => {
      const words = command.split(' ').filter(Boolean);
      const session = classify(['work', '-l', 'pat', ...words]);
      assert.deepEqual(session, { kind: 'mail', command: replaced ? undefined : command });
    });
  }

  it('is what equals IMAPD', () => {
    assert.equal(isMailStream(['exec', 'my-imap', '--preauth'], 'exec my-imap --preauth'), true);
    assert.deepEqual(classify(['work', 'my-imap', '--preauth'], 'exec my-imap --preauth').kind, 'mail');
  });

  for (const command of [
    'ls',
    'imapd-stats',
    'exec cat',
    '/bin/imap',
    'rimapd; rm -rf x',
    'imapd 2>/dev/null',
  ]) {
    it(`is not ${command}`, () => {
      assert.equal(classify(['work', ...command.split(' ')]).kind, 'exec');
    });
  }

  for (const [title, args] of [
    ['words of a user name with blanks', ['work', '-l', 'a', 'b', 'exec', '/etc/rimapd']],
    ['an option from a user name', ['work', '-l', 'a', '-oProxyCommand=evil', 'exec', '/etc/rimapd']],
    ['a second user', ['work', '-l', 'a', '-l', 'root', 'exec', '/etc/rimapd']],
    ['a port from a user name', ['work', '-l', 'a', '-p', '23', 'exec', '/etc/rimapd']],
    ['a command before rimapd', ['work', '-l', 'a', 'rm', '-rf', 'x', ';', 'exec', '/etc/rimapd']],
    ['a second rimapd', ['work', '-l', 'a', '/tmp/rimapd', 'exec', '/etc/rimapd']],
    ['-s', ['-s', 'work', 'exec', '/etc/rimapd']],
    ['-W', ['-W', 'x:1', 'work', 'exec', '/etc/rimapd']],
    ['-G', ['-G', 'work', 'exec', '/etc/rimapd']],
    ['-G from a user name', ['work', '-l', 'a', '-G', 'exec', '/etc/rimapd']],
    ['-G in a bundle', ['work', '-l', 'a', '-nG', 'exec', '/etc/rimapd']],
    [
      '-G so often that the rimapd fell off the end',
      ['work', '-l', 'a', ...Array.from({ length: 16 }, () => '-G')],
    ],
    ['-- after HOST', ['work', '--', 'exec', '/etc/rimapd']],
    [
      'a command whose rimapd fell off the end of the 19 words of c-client',
      ['work', '-l', 'a', 'sh', '-c', 'evil', ...Array.from({ length: 13 }, () => ':')],
    ],
    [
      'a command whose -l fell off, too, behind a host name of many words',
      ['work', 'sh', '-c', 'evil', ...Array.from({ length: 15 }, () => ':')],
    ],
  ] as const) {
    it(`refuses ${title}`, () => {
      assert.throws(
        () => classify([...args]),
        (error) => error instanceof Failure && error.code === 'mail-stream-words',
      );
    });
  }

  it('lets everyone else run 19 words, and words that end in the name of an imapd', () => {
    for (const words of [Array.from({ length: 16 }, () => 'x'), ['ls', '/etc/rimapd'], ['pgrep', 'imapd']]) {
      assert.equal(classify(['work', '-l', 'a', ...words], 'auto', false).kind, 'exec');
      assert.equal(looksLikeMailStream(['work', '-l', 'a', ...words], { likeCClient: false }), false);
    }
  });

  it('has nothing to do with -G and -W without a command', () => {
    for (const likeCClient of [true, false]) {
      assert.equal(classify(['work', '-G', '-l', 'a'], 'auto', likeCClient).kind, 'print');
      assert.equal(classify(['-G', 'work', 'ls'], 'auto', likeCClient).kind, 'print');
      assert.equal(classify(['-W', 'x:1', 'work'], 'auto', likeCClient).kind, 'forward');
    }
  });

  it('is recognised by its end while argv is still unread', () => {
    for (const likeCClient of [true, false]) {
      const looks = (...args: string[]) => looksLikeMailStream(args, { likeCClient });
      assert.equal(looks('-oX', '-l', 'a b', 'exec', '/etc/rimapd'), true);
      assert.equal(looks('work', 'exec', '/usr/lib/dovecot/imap'), true);
      assert.equal(looks('work', 'x', '/usr/sbin/imapd'), likeCClient);
      assert.equal(looks('work', ...Array.from({ length: 18 }, () => '-G')), likeCClient);
      assert.equal(looks('work', 'ls'), false);
      assert.equal(looks(), false);
    }
  });
});

describe('the command that starts imapd', () => {
  it('is exec and the path for a plain IMAPD, the text itself for a command line', () => {
    assert.equal(imapdCommand('/usr/lib/dovecot/imap'), 'exec /usr/lib/dovecot/imap');
    assert.equal(imapdCommand('exec env A=b imapd'), 'exec env A=b imapd');
  });

  it('needs no more than what every login shell takes literally inside single quotes', () => {
    const script = /^exec \/bin\/sh -c '([^']*)'$/.exec(imapdCommand('auto'))?.[1];
    assert.ok(script);
    // csh expands `!`, fish the backslash, and neither takes a newline.
    assert.doesNotMatch(script, /[!\\\n]/);
    for (const place of IMAPD_PLACES) assert.ok(script.includes(place));
  });
});
