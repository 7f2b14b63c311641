/** The command line: names of parts, `--rtt 0,50`, `--runs 15`, `--help`; nothing means everything. */
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

/** What is wrong with the command line. */
export class Misuse extends Error {}

export function formatUsage(known: readonly string[]): string {
  return `npm run bench -- [PART...] [--rtt MS,...] [--runs N]

Without words all is measured, and written into README.md and bench/.

  PART    ${known.join(' ')}
  --rtt   round trips in milliseconds (${ROUND_TRIPS.join(',')})
  --runs  how often each is measured (${RUNS}); what takes milliseconds six times as often
`;
}

/** Undefined: --help. @throws {Misuse} on an unknown part, option or number */
export function parseOptions(words: readonly string[], known: readonly string[]): Options | undefined {
  const { values, positionals } = parseWords(words);
  if (values.help === true) return undefined;
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Misuse(`no part ${unknown}; there are: ${known.join(' ')}`);
  const roundTrips = values.rtt?.flatMap((list) => list.split(',').map((each) => parseCount(each, 0)));
  return {
    parts: positionals.length === 0 ? known : known.filter((name) => positionals.includes(name)),
    roundTrips: roundTrips ?? ROUND_TRIPS,
    runs: values.runs === undefined ? RUNS : parseCount(values.runs, 1),
    whole: positionals.length === 0 && roundTrips === undefined,
  };
}

function parseWords(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        rtt: { type: 'string', multiple: true },
        runs: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    // Its first sentence says which option; the rest explains positional arguments.
    const [said = ''] = (error instanceof Error ? error.message : String(error)).split('. ');
    throw new Misuse(said.charAt(0).toLowerCase() + said.slice(1));
  }
}

function parseCount(text: string, least: number): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < least) throw new Misuse(`not a number from ${least} on: ${text}`);
  return count;
}
