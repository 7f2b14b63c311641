/** The kernel's table of sockets: whom a forward lets in. */
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { it } from 'node:test';
import fc from 'fast-check';
import { findSocketOwner } from '../../src/forward/socket-table.ts';
import { caseCount } from '../helpers/cases.ts';

const skip = endianness() === 'LE' ? false : 'the samples are of a little-endian machine';

interface Row {
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly uid: number;
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

/** 127.0.0.N, as the kernel prints it. */
const word = (n: number): string => `${hex(n, 2)}00007F`;
const PORTS = [25, 2025, 50_000, 50_001];
const end = fc
  .tuple(fc.integer({ min: 1, max: 2 }), fc.constantFrom(...PORTS))
  .map(([n, port]) => ({ address: `127.0.0.${n}`, port, text: `${word(n)}:${hex(port, 4)}` }));
const rows = fc.array(
  fc.record<Row>({
    local: end.map(({ text }) => text),
    remote: end.map(({ text }) => text),
    state: fc.constantFrom('01', '01', '01', '06', '0A'),
    uid: fc.constantFrom(0, 7, 1000, 1001, 4_294_967_295),
  }),
  { maxLength: 6 },
);

function format({ local, remote, state, uid }: Row, index: number): string {
  return `${String(index).padStart(4)}: ${local} ${remote} ${state} 00000000:00000000 02:000A8C8D 00000000 ${String(uid).padStart(5)}        0 7455513 2 0000000005a2407a 20 4 30 10 -1\n`;
}

it('an owner is the one that all rows of these two ends agree on', { skip }, () => {
  fc.assert(
    fc.property(rows, end, end, (table, client, server) => {
      const owners = new Set(
        table
          .filter((row) => row.local === client.text && row.remote === server.text && row.state === '01')
          .map(({ uid }) => uid),
      );
      const expected = owners.size === 1 ? [...owners][0] : undefined;
      assert.equal(findSocketOwner(table.map(format).join(''), client, server), expected);
    }),
    { numRuns: caseCount(1_000) },
  );
});

it('a table that is cut or damaged names nobody that it did not name before', { skip }, () => {
  const client = { address: '127.0.0.1', port: 50_000 };
  const server = { address: '127.0.0.1', port: 2025 };
  const row = format({ local: `${word(1)}:C350`, remote: `${word(1)}:07E9`, state: '01', uid: 1000 }, 1);
  fc.assert(
    fc.property(fc.nat(row.length), (length) => {
      const uid = findSocketOwner(row.slice(0, length), client, server);
      assert.ok(uid === undefined || uid === 1000, `${uid} of ${length} bytes`);
    }),
    { numRuns: caseCount(300) },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (rest) => {
      const uid = findSocketOwner(`: ${word(1)}:C350 ${word(1)}:07E9 01 ${rest}`, client, server);
      assert.ok(uid === undefined || (Number.isSafeInteger(uid) && uid >= 0), String(uid));
    }),
    { numRuns: caseCount(500), examples: [['a b c -1 x'], ['a b c 1e3 x'], ['a b c 0x10 x']] },
  );
});
