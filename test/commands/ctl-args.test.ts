/** The arguments of pine-rshctl: help, versions, mistakes, and that nothing of the environment changes them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { runCtl } from '../../src/ctl-args.ts';
import { readSettings } from '../../src/settings.ts';
import { displayWidth } from '../../src/terminal-columns.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { type Captured, captureOutput } from './capture.ts';

const PROGRAM = { path: '/opt/bin/pine-rsh', version: '1.2.3' };

async function runWords(
  t: TestContext,
  words: readonly string[],
  columns = 80,
): Promise<{ status: number; output: Captured }> {
  const home = openTempHome(t);
  home.writeAlias('work', { USER: 'pat' });
  const output = captureOutput({ columns });
  const status = await runCtl(words, readSettings(home.env), PROGRAM, output);
  return { status, output };
}

test('--version prints the version alone', async (t) => {
  const { status, output } = await runWords(t, ['--version']);
  assert.deepEqual([status, output.text(), output.errors()], [0, '1.2.3\n', '']);
});

for (const words of [
  ['--help'],
  ['-h'],
  ['show', '--help'],
  ['setup', '--help'],
  ['doctor', '-h'],
  ['trust', '-h'],
  ['connect', '-h'],
  ['forward', '--help'],
  ['status', '--help'],
  ['stop', '--help'],
  ['queue', '--help'],
  ['log', '-h'],
  ['demo', '--help'],
]) {
  for (const columns of [40, 80, 200]) {
    test(`${words.join(' ')} explains with examples and keeps to ${columns} columns`, async (t) => {
      const { status, output } = await runWords(t, words, columns);
      assert.equal(status, 0);
      assert.match(output.text(), /^pine-rshctl /);
      assert.match(output.text(), /^Examples:$/m);
      assert.doesNotMatch(output.text(), /\[(boolean|string|required)\]|\n\n\n/);
      assert.deepEqual(
        output
          .text()
          .split('\n')
          .filter((line) => displayWidth(line) > columns),
        [],
      );
    });
  }
}

test('an operand that is called like a command asks for no other help', async (t) => {
  const { output } = await runWords(t, ['queue', '--help']);
  for (const words of [
    ['queue', 'list', '--help'],
    ['queue', 'show', '-h'],
    ['--help', 'queue', 'list'],
  ])
    assert.equal((await runWords(t, words)).output.text(), output.text(), words.join(' '));
});

test('a bug is told in one line, with status 70, and its stack is in the log', async (t) => {
  const home = openTempHome(t);
  const output = captureOutput();
  const broken = {
    ...output,
    stdout: {
      write: (): never => {
        throw new TypeError('boom');
      },
    },
  };
  assert.equal(await runCtl(['status'], readSettings(home.env), PROGRAM, broken), 70);
  assert.equal(
    output.errors(),
    'pine-rshctl: internal error: boom\n  hint: pine-rshctl log has the details\n',
  );
  assert.match(
    home.log(),
    /^\S+ \d+ failure command=status code=internal text=.*boom.* stack=".*TypeError.* at /,
  );
});

test('the help lists every command', async (t) => {
  const { output } = await runWords(t, ['--help']);
  for (const name of [
    'list',
    'show <alias>',
    'pinerc [alias]',
    'trust <alias>',
    'connect <alias>',
    'forward <alias> <forward..>',
    'status',
    'stop [alias]',
    'queue <action> [what]',
    'log',
    'demo',
  ]) {
    assert.ok(output.text().includes(`\n  ${name}`), name);
  }
});

test('the language of the environment changes nothing', async (t) => {
  const { output } = await runWords(t, ['--help']);
  const before = process.env['LC_ALL'];
  process.env['LC_ALL'] = 'de_DE.UTF-8';
  t.after(() => {
    if (before === undefined) delete process.env['LC_ALL'];
    else process.env['LC_ALL'] = before;
  });
  assert.equal((await runWords(t, ['--help'])).output.text(), output.text());
});

for (const [words, problem] of [
  [[], 'a command is missing'],
  [['lst'], 'unknown command lst; did you mean list?'],
  [['xyzzy'], 'unknown command xyzzy'],
  [['\x1b[2Jlist'], 'unknown command \\x1b[2Jlist; did you mean list?'],
  [['list', '--jsno'], 'unknown option --jsno; did you mean --json?'],
  [['list', '--no-json'], 'unknown option --no-json; did you mean --json?'],
  [['--verbose'], 'unknown option --verbose'],
  [['list', 'extra'], 'unknown argument extra'],
  [['list', '--', 'extra'], 'unknown argument extra'],
  [['show'], 'show needs <alias>'],
  [['show', 'a', 'b'], 'unknown argument b'],
  [['trust'], 'trust needs <alias>'],
  [['trust', 'work', '--yes'], 'unknown option --yes'],
  [['trust', 'work'], 'trust asks on a terminal; without one it needs --fingerprint'],
  [
    ['trust', 'work', '--fingerprint', `SHA256:${'A'.repeat(42)}B`],
    '--fingerprint has 43 characters that are no base64 of 32 bytes',
  ],
  [['forward', 'work'], 'forward needs <alias> <forward..>'],
  [['stop'], 'stop needs <alias> or --all'],
  [['log', '-n', 'many'], '--lines is a whole number'],
  [['log', '-n'], 'not enough arguments following: n'],
  [['log', '-n', '-3'], '--lines is a whole number'],
] as const) {
  test(`a usage error: ${JSON.stringify(words)}`, async (t) => {
    const { status, output } = await runWords(t, words);
    assert.equal(status, 64);
    assert.equal(output.text(), '');
    const [first, hint] = output.errors().split('\n');
    assert.equal(first, `pine-rshctl: ${problem}`);
    assert.match(hint ?? '', /^ {2}hint: see pine-rshctl (\w+ )?--help$/);
  });
}

test('a mistyped alias is a problem of its own, with status 1', async (t) => {
  const { status, output } = await runWords(t, ['show', 'wokr']);
  assert.equal(status, 1);
  assert.equal(output.errors(), 'pine-rshctl: no alias wokr\n  hint: did you mean work?\n');
});

test('options may stand before and after the alias, values behind a blank or =', async (t) => {
  for (const words of [
    ['show', '--json', 'work'],
    ['show', 'work', '--json'],
  ]) {
    const { status, output } = await runWords(t, words);
    assert.equal(status, 0);
    assert.equal(JSON.parse(output.text()).name, 'work');
  }
  for (const words of [
    ['log', '-n3'],
    ['log', '-n', '3'],
    ['log', '--lines=3'],
    ['log', '-n', 'many', '-n', '3'],
  ]) {
    assert.equal((await runWords(t, words)).status, 0);
  }
});
