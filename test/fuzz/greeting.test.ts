/** The greeting guard against whatever a login script may print, cut wherever the line cuts it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { GreetingGuard, type GreetingVerdict } from '../../src/imap/greeting.ts';
import { GREETING_LINE_MAX, GREETING_NOISE_MAX } from '../../src/limits.ts';
import { caseCount } from '../helpers/cases.ts';

const PIECES = [
  ...[
    '* PREAUTH',
    '* preauth',
    '* PREAUTHOR',
    '* OK',
    '* ok',
    '* BYE',
    '* ',
    '*',
    ' ',
    '\r',
    '\n',
    '\r\n',
    '\0',
  ],
  ...['[CAPABILITY IMAP4rev1]', '[', ']', 'ready', 'Last login: today', '\x1b[2J', '\xff', 'a1 OK done'],
];

const streams = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...PIECES) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 30 }) },
      { weight: 1, arbitrary: fc.nat(1_200).map((count) => 'x'.repeat(count)) },
    ),
    { maxLength: 20 },
  )
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

function judge(chunks: readonly Buffer[]): { verdict: GreetingVerdict; left: Buffer } {
  const guard = new GreetingGuard();
  for (const [index, chunk] of chunks.entries()) {
    const verdict = guard.push(chunk);
    if (verdict.kind !== 'more') return { verdict, left: Buffer.concat(chunks.slice(index + 1)) };
  }
  return { verdict: { kind: 'more' }, left: Buffer.alloc(0) };
}

function cut(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const at = [0, ...offsets.map((each) => each % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

/** The first line that is a greeting, found in another way: all at once, by lines. */
function findGreeting(bytes: Buffer): { kind: string; before: number; after: number } | undefined {
  let before = 0;
  for (const line of bytes.toString('latin1').split('\n').slice(0, -1)) {
    const after = before + line.length + 1;
    const status = /^\* (?:([Pp][Rr][Ee][Aa][Uu][Tt][Hh])|(OK|BYE))(?: .*)?$/s.exec(line.replace(/\r$/, ''));
    if (status)
      return { kind: status[1] === undefined ? (status[2] ?? '').toLowerCase() : 'preauth', before, after };
    before = after;
  }
  return undefined;
}

it('finds the first greeting and nothing else, wherever the bytes are cut', () => {
  fc.assert(
    fc.property(streams, fc.array(fc.nat(), { maxLength: 8 }), (bytes, offsets) => {
      const expected = findGreeting(bytes);
      const { verdict, left } = judge(cut(bytes, offsets));
      assert.equal(verdict.kind, expected?.kind ?? 'more');
      if (expected === undefined || verdict.kind === 'more') return;
      assert.deepEqual(verdict.noise, bytes.subarray(0, expected.before));
      if (verdict.kind !== 'preauth') return;
      assert.deepEqual(
        Buffer.concat([verdict.kind === 'preauth' ? verdict.rest : left, left]),
        bytes.subarray(expected.after),
      );
      assert.ok(verdict.greeting.length < GREETING_LINE_MAX);
      assert.match(verdict.greeting.toString('latin1'), /^\* PREAUTH(?: [^\r\n\0]*)?\r\n$/i);
    }),
    {
      numRuns: caseCount(2_000),
      examples: [
        [Buffer.from('* PREAUTH\r\n'), [9]],
        [Buffer.from('*\n* OK \r\r\n'), []],
      ],
    },
  );
});

it('gives up on noise without end, and keeps no more of it than twice the bound', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 * GREETING_NOISE_MAX }),
      fc.nat(GREETING_NOISE_MAX),
      fc.constantFrom('x', '\n', 'x\n', '*', '* ', '* P', '* OK ', '* PREAUTH ', '\0', '\r'),
      (step, first, piece) => {
        const guard = new GreetingGuard();
        const noise = Buffer.alloc(step, piece, 'latin1');
        let verdict = guard.push(Buffer.alloc(first, 'y'));
        for (let sent = first; verdict.kind === 'more'; sent += step) {
          assert.ok(sent <= 2 * GREETING_NOISE_MAX + step, `${sent} bytes are still no verdict`);
          verdict = guard.push(noise);
        }
        assert.notEqual(verdict.kind, 'preauth');
        if (verdict.kind === 'noise') assert.ok(verdict.noise.length <= GREETING_NOISE_MAX);
      },
    ),
    // Small steps take long: what matters is their sum.
    { numRuns: Math.min(caseCount(20), 1_000) },
  );
});
