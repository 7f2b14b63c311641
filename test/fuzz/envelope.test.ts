/** Files in the queue: damaged by a disk, cut by a crash, put there by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Envelope,
  formatFirstLine,
  formatHead,
  formatNote,
  NOTE_OFFSET,
  parseHead,
} from '../../src/mail/envelope.ts';
import { formatName, parseName } from '../../src/mail/queue-folder.ts';
import { caseCount } from '../helpers/cases.ts';

const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((each) => each.isWellFormed());
const envelopes: fc.Arbitrary<Envelope> = fc.record(
  {
    host: text,
    user: text,
    port: fc.integer({ min: 1, max: 65_535 }),
    family: fc.constantFrom(0 as const, 4 as const, 6 as const),
    overrides: fc.dictionary(fc.constantFrom('SHARE', 'CONNECT_TIMEOUT'), text, { noNullPrototype: true }),
    args: fc.array(text, { maxLength: 4 }),
    written: fc.nat(),
  },
  { noNullPrototype: true },
);

function isEnvelope({ host, user, port, family, overrides, args, written }: Envelope): boolean {
  return (
    typeof host === 'string' &&
    (user === undefined || typeof user === 'string') &&
    (port === undefined || (Number.isInteger(port) && port >= 1 && port <= 65_535)) &&
    (family === 0 || family === 4 || family === 6) &&
    Object.values(overrides).every((value) => typeof value === 'string') &&
    Array.isArray(args) &&
    args.every((arg) => typeof arg === 'string') &&
    Number.isFinite(written)
  );
}

describe('the head of a kept message', () => {
  it('is read as it was written, with any note', () => {
    fc.assert(
      fc.property(
        envelopes,
        fc.string({ unit: 'binary', maxLength: 600 }),
        fc.nat(),
        (envelope, note, size) => {
          const bytes = formatHead(envelope);
          bytes.write(formatFirstLine(size), 0);
          bytes.write(formatNote(note), NOTE_OFFSET);
          const head = parseHead(bytes);
          assert.deepEqual(head?.envelope, envelope);
          assert.deepEqual([head?.size, head?.offset], [size, bytes.length]);
          assert.match(head?.note ?? '\n', /^[\x20-\x7e]*$/);
        },
      ),
      { numRuns: caseCount(500) },
    );
  });

  it('that is damaged is none, or whole in all its parts', () => {
    const json = fc.oneof(
      fc.json(),
      fc
        .record(
          {
            host: fc.anything({ maxDepth: 1 }),
            user: fc.anything({ maxDepth: 1 }),
            port: fc.anything({ maxDepth: 1 }),
            family: fc.anything({ maxDepth: 1 }),
            overrides: fc.anything({ maxDepth: 1 }),
            args: fc.anything({ maxDepth: 1 }),
            written: fc.anything({ maxDepth: 1 }),
          },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify(value)),
      envelopes.map((value) => JSON.stringify(value)),
    );
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
    const size = fc.oneof(fc.constant('0'.repeat(15)), fc.string({ minLength: 15, maxLength: 15 }));
    fc.assert(
      fc.property(size, json, damage, (digits, body, places) => {
        const bytes = Buffer.from(`pine-rsh message 1 ${digits}\n${formatNote('x')}${body}\n`);
        for (const [at, value] of places) bytes[at % bytes.length] = value;
        const head = parseHead(bytes);
        if (head === undefined) return;
        assert.ok(isEnvelope(head.envelope), JSON.stringify(head.envelope));
        assert.ok(Number.isSafeInteger(head.size) && head.size >= 0);
        assert.equal(typeof head.note, 'string');
      }),
      { numRuns: caseCount(1_000), examples: DAMAGED },
    );
  });
});

/** What was once taken for a head. */
const DAMAGED: [string, string, [number, number][]][] = [
  ['0'.repeat(15), 'null', []],
  ['0'.repeat(15), '{}', []],
  ['0'.repeat(15), '{"host":"work","family":0,"overrides":{},"args":"-t","written":1}', []],
  ['000000000000x10', '{"host":"work","family":0,"overrides":{},"args":[],"written":1}', []],
  ['0.0000000000001', '{"host":"work","family":0,"overrides":{},"args":[],"written":1}', []],
  ['-00000000000001', '{"host":"work","family":0,"overrides":{},"args":[],"written":1}', []],
];

describe('the name of a kept message', () => {
  it('is read as it was written', () => {
    const entry = fc
      .record({
        state: fc.constantFrom(
          'new' as const,
          'wait' as const,
          'send' as const,
          'last' as const,
          'unknown' as const,
          'refused' as const,
        ),
        time: fc.nat(),
        id: fc.stringMatching(/^[0-9a-f]{6}$/),
        alias: fc.stringMatching(/^[A-Za-z0-9_+:%][A-Za-z0-9._+:%@-]{0,10}$/),
        host: fc.stringMatching(/^[0-9a-f]{8}$/),
        process: fc.integer({ min: 1, max: 4_194_304 }),
      })
      .map(({ host, process, ...rest }) => ({
        ...rest,
        machine: rest.state === 'new' || rest.state === 'send' || rest.state === 'last' ? host : undefined,
        pid: rest.state === 'new' ? process : undefined,
      }));
    fc.assert(
      fc.property(entry, (each) => assert.deepEqual(parseName(formatName(each)), each)),
      { numRuns: caseCount(500) },
    );
  });

  it('is none, or names the very same file', () => {
    const piece = fc.constantFrom(
      'new',
      'wait',
      'send',
      'last',
      '.',
      '-',
      '0'.repeat(14),
      '1',
      'ab12cd',
      '01234567',
      'work',
      '/',
      '..',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const name = pieces.join('');
        const entry = parseName(name);
        if (entry !== undefined) assert.equal(formatName(entry), name);
      }),
      { numRuns: caseCount(1_000), examples: [[['wait', '-', '1', '-', 'ab12cd', '-', 'work']]] },
    );
  });
});
