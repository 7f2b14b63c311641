/** The grammar of the built-in IMAP server, at every split of the stream. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CommandReader,
  formatDateTime,
  parseDateTime,
  parseSet,
  parseTokens,
  quote,
  SyntaxFault,
} from '../../src/commands/demo/imap-syntax.ts';

const STREAM = Buffer.from(
  'a1 NOOP\r\na2 APPEND x (\\Seen) {8}\r\na9 {3}\r\n\r\na3 LOGIN {1+}\r\nu {0}\r\n\r\n\r\na4 DONE\n',
);
const COMMANDS = [
  'a1 NOOP',
  'a2 APPEND x (\\Seen) {8}\r\na9 {3}\r\n',
  'a3 LOGIN {1+}\r\nu {0}\r\n',
  '',
  'a4 DONE',
];

test('commands are the same however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: STREAM.length })), (cuts) => {
      let asked = 0;
      const reader = new CommandReader(() => asked++);
      const ends = [...cuts, STREAM.length].sort((a, b) => a - b);
      const commands = ends.flatMap((end, index) => reader.push(STREAM.subarray(ends[index - 1] ?? 0, end)));
      assert.deepEqual(
        commands.map((command) => command.toString('latin1')),
        COMMANDS,
      );
      // Once for each literal without a plus.
      assert.equal(asked, 2);
    }),
  );
});

test('a command that would not fit into memory is refused', () => {
  const reader = new CommandReader(() => {});
  assert.throws(() => reader.push(Buffer.from('a APPEND x {999999999}\r\n')), SyntaxFault);
});

test('a command becomes atoms, strings and lists', () => {
  const tokens = parseTokens(
    Buffer.from('a UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (A "B")]<0.5>) "q\\"x" {3}\r\n(a)'),
  );
  const shown = JSON.parse(JSON.stringify(tokens, (_key, value) => value)) as unknown[];
  assert.equal(shown.length, 7);
  assert.deepEqual(tokens[4], {
    kind: 'list',
    items: [
      { kind: 'atom', text: 'FLAGS' },
      { kind: 'atom', text: 'BODY.PEEK[HEADER.FIELDS (A "B")]<0.5>' },
    ],
  });
  assert.deepEqual(tokens[5], { kind: 'string', bytes: Buffer.from('q"x') });
  assert.deepEqual(tokens[6], { kind: 'string', bytes: Buffer.from('(a)') });
});

test('what cannot be parsed is a syntax fault and nothing else', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'a1 ()[]{}"\\*:,+\r\n') }), (text) => {
      try {
        parseTokens(Buffer.from(text));
      } catch (thrown) {
        assert.ok(thrown instanceof SyntaxFault);
      }
    }),
  );
  for (const text of ['a (b', 'a b)', 'a "b', 'a {x}'])
    assert.throws(() => parseTokens(Buffer.from(text)), SyntaxFault);
});

test('sequence sets hold what they name, in either order, and * is the last', () => {
  const has = parseSet('2,9:7,12:*', 14);
  const held = Array.from({ length: 16 }, (_, index) => index).filter(has);
  assert.deepEqual(held, [2, 7, 8, 9, 12, 13, 14]);
  for (const text of ['', 'a', '1:', ',1', '1-2']) assert.throws(() => parseSet(text, 9), SyntaxFault);
});

test('strings that cannot be quoted become literals', () => {
  assert.equal(quote(undefined), 'NIL');
  assert.equal(quote('a "b" \\'), '"a \\"b\\" \\\\"');
  assert.equal(quote('\xe9\r\n'), '{3}\r\n\xe9\r\n');
});

test('a date is read as it is written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
      const date = new Date(seconds * 1000);
      assert.equal(parseDateTime(formatDateTime(date)).getTime(), date.getTime());
    }),
  );
  assert.equal(parseDateTime(' 1-Nov-2026 09:05:00 +0100').toISOString(), '2026-11-01T08:05:00.000Z');
  assert.throws(() => parseDateTime('32 Foo'), SyntaxFault);
});
