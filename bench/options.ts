/** The command line: names of parts, `--rtt 0,50`, `--runs 15`; nothing means everything. */
import { parseArgs } from 'node:util';

export interface Options {
  readonly parts: readonly string[];
  /** Milliseconds, there and back. */
  readonly roundTrips: readonly number[];
  readonly runs: number;
  /** Every part at every distance: only such a run is written down. */
  readonly whole: boolean;
}

const ROUND_TRIPS = [0, 20, 50, 100];
const RUNS = 12;

/** @throws on an unknown part, option or number */
export function parseOptions(words: readonly string[], known: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: { rtt: { type: 'string', multiple: true }, runs: { type: 'string' } },
  });
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no part ${unknown}; there are: ${known.join(' ')}`);
  const roundTrips = values.rtt?.flatMap((list) => list.split(',').map((each) => parseCount(each, 0)));
  return {
    parts: positionals.length === 0 ? known : known.filter((name) => positionals.includes(name)),
    roundTrips: roundTrips ?? ROUND_TRIPS,
    runs: values.runs === undefined ? RUNS : parseCount(values.runs, 1),
    whole: positionals.length === 0 && roundTrips === undefined,
  };
}

function parseCount(text: string, least: number): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < least) throw new Error(`not a number from ${least} on: ${text}`);
  return count;
}
