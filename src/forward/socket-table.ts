/**
 * Linux's tables of TCP sockets (proc_net_tcp(5)): which user holds the other end of a connection of this machine.
 * Pure but for `readSocketTables`.
 */
import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';

/** One end of a connection: 127.0.0.0/8 or ::1, as `net.Socket` writes them. */
export interface SocketEnd {
  readonly address: string;
  readonly port: number;
}

/** A client that speaks IPv6 to an IPv4 address (`::ffff:127.0.0.1`) stands in the second one. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

/** TCP_ESTABLISHED of the kernel's tcp_states.h. */
const ESTABLISHED = '01';

/** Both tables in one text; '' where this machine has none. */
export async function readSocketTables(): Promise<string> {
  const texts = await Promise.all(TABLES.map((table) => readFile(table, 'latin1').catch(() => '')));
  return texts.join('\n');
}

/**
 * The user whose socket leads from `client` to `server` and is established; undefined if there is none, or if two rows
 * do not agree.
 */
export function findSocketOwner(tables: string, client: SocketEnd, server: SocketEnd): number | undefined {
  const uids = new Set<number>();
  const from = encodeEnd(client);
  const to = encodeEnd(server);
  for (const [index, end] of from.entries()) {
    const row = `: ${end} ${to[index]} ${ESTABLISHED} `;
    for (let at = tables.indexOf(row); at !== -1; at = tables.indexOf(row, at + 1)) {
      // tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout: without the last one the uid may be cut
      const columns = tables.slice(at + row.length, at + row.length + ROW_REST).trim();
      const [, , , uid = '', timeout] = columns.split('\n', 1)[0]?.split(/ +/) ?? [];
      uids.add(timeout !== undefined && /^\d+$/.test(uid) ? Number(uid) : Number.NaN);
    }
  }
  const [uid] = uids;
  return uids.size === 1 && Number.isInteger(uid) ? uid : undefined;
}

/** Longer than the columns up to the one behind the uid ever are. */
const ROW_REST = 80;

/** `ADDRESS:PORT` as the tables write it, in each of the forms that an address may have there. */
function encodeEnd({ address, port }: SocketEnd): readonly string[] {
  const digits = port.toString(16).toUpperCase().padStart(4, '0');
  const words = encodeAddress(address);
  return words.map((word) => `${word}:${digits}`);
}

function encodeAddress(address: string): readonly string[] {
  if (address === '::1') return [`${encodeWord([0, 0, 0, 0]).repeat(3)}${encodeWord([0, 0, 0, 1])}`];
  const bytes = address
    .replace(/^::ffff:/i, '')
    .split('.')
    .map(Number);
  if (bytes.length !== 4 || bytes[0] !== 127) return [];
  const word = encodeWord(bytes);
  return [word, `${encodeWord([0, 0, 0, 0]).repeat(2)}${encodeWord([0, 0, 0xff, 0xff])}${word}`];
}

/** Four bytes of the network as the kernel prints them: one number of its own byte order. */
function encodeWord(bytes: readonly number[]): string {
  const ordered = endianness() === 'LE' ? bytes.toReversed() : bytes;
  return ordered.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('');
}
