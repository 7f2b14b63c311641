/** Whose socket it is, by the kernel's own tables. */
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { describe, test } from 'node:test';
import { findSocketOwner } from '../../src/forward/socket-table.ts';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                     ';

/** A row as the kernel prints it (tcp4_seq_show and tcp6_seq_show). */
function row(local: string, remote: string, state: string, uid: number): string {
  return `  12: ${local} ${remote} ${state} 00000000:00000000 02:000A8C8D 00000000 ${String(uid).padStart(5)}        0 7455513 2 0000000005a2407a 20 4 30 10 -1`;
}

/** 127.0.0.1, 127.0.0.2, ::1 and ::ffff:127.0.0.1 on a little-endian machine. */
const V4 = '0100007F';
const V4_OTHER = '0200007F';
const V6 = '00000000000000000000000001000000';
const MAPPED = `0000000000000000FFFF0000${V4}`;

const CLIENT = { address: '127.0.0.1', port: 0xd431 };
const SERVER = { address: '127.0.0.1', port: 0x07e9 };

function find(rows: readonly string[], client = CLIENT, server = SERVER): number | undefined {
  return findSocketOwner([HEAD, ...rows, ''].join('\n'), client, server);
}

describe('the owner of a connection', {
  skip: endianness() === 'LE' ? false : 'the samples are of a little-endian machine',
}, () => {
  test('is that of the established row with exactly its four values', () => {
    assert.equal(find([row(`${V4}:D431`, `${V4}:07E9`, '01', 1000)]), 1000);
    assert.equal(find([row(`${V4}:D431`, `${V4}:07E9`, '01', 0)]), 0);
    assert.equal(find([row(`${V4}:D431`, `${V4}:07E9`, '01', 123_456_789)]), 123_456_789);
  });

  test('is found over IPv6, and where a client speaks IPv6 to an IPv4 address', () => {
    const ends = [
      { ...CLIENT, address: '::1' },
      { ...SERVER, address: '::1' },
    ] as const;
    assert.equal(find([row(`${V6}:D431`, `${V6}:07E9`, '01', 1000)], ...ends), 1000);
    assert.equal(find([row(`${MAPPED}:D431`, `${MAPPED}:07E9`, '01', 1001)]), 1001);
  });

  test('is nobody where anything differs', () => {
    for (const other of [
      row(`${V4}:07E9`, `${V4}:D431`, '01', 1000),
      row(`${V4}:D432`, `${V4}:07E9`, '01', 1000),
      row(`${V4}:D431`, `${V4}:07EA`, '01', 1000),
      row(`${V4_OTHER}:D431`, `${V4}:07E9`, '01', 1000),
      row(`${V4}:D431`, `${V4_OTHER}:07E9`, '01', 1000),
      row(`${V6}:D431`, `${V6}:07E9`, '01', 1000),
      row(`0${V4}:D431`, `${V4}:07E9`, '01', 1000),
      // FIN_WAIT2, TIME_WAIT, LISTEN: the client has let go of it, or never had it.
      row(`${V4}:D431`, `${V4}:07E9`, '05', 1000),
      row(`${V4}:D431`, `${V4}:07E9`, '06', 0),
      row(`${V4}:D431`, '00000000:0000', '0A', 1000),
    ]) {
      assert.equal(find([other]), undefined, other);
    }
    assert.equal(find([]), undefined);
  });

  test('is nobody where two rows do not agree, or one is cut', () => {
    const [one, two] = [1000, 1001].map((uid) => row(`${V4}:D431`, `${V4}:07E9`, '01', uid));
    assert.equal(find([one ?? '', two ?? '']), undefined);
    assert.equal(find([one?.slice(0, 60) ?? '']), undefined);
  });

  test('is nobody for an address that is not loopback', () => {
    const client = { address: '10.0.0.127', port: CLIENT.port };
    assert.equal(find([row('7F00000A:D431', `${V4}:07E9`, '01', 1000)], client), undefined);
    assert.equal(
      find([row(`${V4}:D431`, `${V4}:07E9`, '01', 1000)], { ...client, address: 'fe80::1%lo' }),
      undefined,
    );
  });
});
