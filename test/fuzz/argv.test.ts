/** Command lines, and above all those that a hostile folder name makes of c-client's (tcp_unix.c, tcp_aopen). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseArgv } from '../../src/argv.ts';
import { Failure } from '../../src/errors.ts';
import { classifySession } from '../../src/imap/mail-stream.ts';
import { C_CLIENT_MAX_WORDS, NAME_MAX } from '../../src/limits.ts';
import { caseCount } from '../helpers/cases.ts';

const CODES = new Set(['usage', 'host-name-refused', 'user-name-refused', 'mail-stream-words']);

const WORDS = [
  ...[
    '-',
    '--',
    '-l',
    '-lpat',
    '-p',
    '-p22',
    '-t',
    '-t5',
    '-tt',
    '-n',
    '-4',
    '-6',
    '-s',
    '-G',
    '-x',
    '-vv',
    '-nl',
  ],
  ...[
    '-o',
    '-oPort=1',
    '-oUser=x',
    '-oProxyCommand=evil',
    '-o Share no',
    '-W',
    '-Wh:1',
    '-W[::1]:2',
    '--help',
    '--version',
    '-V',
  ],
  ...[
    'work',
    'pat@work',
    'a@b@c',
    '',
    ' ',
    '.',
    '..',
    '/etc',
    '%h',
    '-oX',
    '22',
    '65536',
    'exec',
    'rm',
    '-rf',
    ';',
  ],
  ...[
    'imapd',
    'rimapd',
    '/etc/rimapd',
    '/tmp/x/imapd',
    '/usr/lib/dovecot/imap',
    'exec /etc/rimapd',
    'a b',
    '\n',
  ],
];

const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...WORDS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('-l', '-o', '-p', '-W', '-n'), fc.string())
      .map((all) => all.join('')),
  },
);

/** What comes out, or the code of the failure; any other error is thrown on. */
function read(args: readonly string[]) {
  try {
    const parsed = parseArgv(args);
    if (parsed.kind !== 'session') return parsed.kind;
    const hints = { likeCClient: true };
    return { ...parsed, session: classifySession(parsed.invocation, args, hints, 'auto') };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    assert.ok(CODES.has(error.code), error.code);
    // A word of the command is shown by who knows where to: as IMAP, or on a terminal.
    if (error.code !== 'mail-stream-words') assert.match(error.message, /^[\x20-\x7e]*$/);
    return 'refused';
  }
}

describe('a command line of any words', () => {
  it('is refused with a reason, or names a host and a user that may be file names', () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), (args) => {
        const got = read(args);
        if (typeof got === 'string') return;
        const { host, user, port, words, forward } = got.invocation;
        for (const name of [host, ...(user === undefined ? [] : [user])]) {
          assert.match(name, /^[A-Za-z0-9_+:%][A-Za-z0-9._+:%-]*$/);
          assert.ok(name.length <= NAME_MAX);
        }
        for (const each of [port, forward?.port])
          assert.ok(each === undefined || (each >= 1 && each <= 65_535));
        // COMMAND is the end of argv, word for word.
        assert.deepEqual(args.slice(args.length - words.length), words);
      }),
      { numRuns: caseCount(1_500) },
    );
  });

  it('has nothing but one -l between the host and the command of a mail stream', () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (between) => {
        const args = ['work', ...between, 'exec', '/etc/rimapd'];
        const got = read(args);
        if (typeof got === 'string' || got.session.kind !== 'mail') return;
        const options = args.slice(1, args.length - got.invocation.words.length).join(' ');
        assert.match(options, /^(?:-l ?[^ ]+)?$/);
      }),
      { numRuns: caseCount(1_000) },
    );
  });
});

/** The words of c-client for `{HOST/user=USER}`: joined, split at blanks, cut. */
function cClientWords(host: string, user: string): string[] {
  return `${host} -l ${user} exec /etc/rimapd`
    .split(' ')
    .filter((each) => each !== '')
    .slice(0, C_CLIENT_MAX_WORDS);
}

/** Folder names that once ran a command of their own. */
const FOLDERS: [string, string][] = [
  ['work sh -c evil 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19', 'pat'],
  ['-n work sh -c evil 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19', 'pat'],
  ['work -p 22 sh -c evil 6 7 8 9 10 11 12 13 14 15 16 17 18', 'pat'],
  // These made us print something else than IMAP, and Alpine asked for a password in the clear.
  ['work', 'x -G'],
  ['work', 'x -nG'],
  ['work', `x${' -G'.repeat(16)}`],
  ['--help', 'pat'],
  ['--version', 'pat'],
];

describe('a folder name with blanks', () => {
  it('never runs anything but the imapd', () => {
    const piece = word.filter((each) => !/[\0\n]/.test(each));
    const name = fc.array(piece, { minLength: 1, maxLength: 22 }).map((words) => words.join(' '));
    fc.assert(
      fc.property(fc.oneof(fc.constant('work'), name), fc.oneof(fc.constant('pat'), name), (host, user) => {
        const got = read(cClientWords(host, user));
        if (got === 'refused') return;
        assert.equal(typeof got === 'string' ? got : got.session.kind, 'mail');
      }),
      { numRuns: caseCount(2_000), examples: FOLDERS },
    );
  });
});
