/** `npm run bench`: measures pine-rsh beside other SSH clients, on a mail host of its own. */
import { existsSync } from 'node:fs';
import type { Scope } from '../test/helpers/scope.ts';
import { measureDelayLine } from './delay-line.ts';
import type { Measure } from './measure.ts';
import { formatUsage, Misuse, type Options, parseOptions } from './options.ts';
import { PARTS } from './parts.ts';
import { drawPicture, writePicture } from './picture.ts';
import { formatBlock, writeBlock } from './readme.ts';
import { makeResults, writeResults } from './results.ts';
import { openStage, STANDALONE } from './stage.ts';
import { formatMeasure } from './table.ts';

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;

function readOptions(): Options {
  const known = Object.keys(PARTS);
  try {
    const options = parseOptions(process.argv.slice(2), known);
    if (options !== undefined) return options;
    process.stdout.write(formatUsage(known));
    process.exit(0);
  } catch (thrown) {
    if (!(thrown instanceof Misuse)) throw thrown;
    process.stderr.write(`bench: ${thrown.message}\n\n${formatUsage(known)}`);
    process.exit(EXIT_USAGE);
  }
}

async function main(scope: Scope, { parts, roundTrips, runs, whole }: Options): Promise<void> {
  if (!existsSync(STANDALONE)) throw new Error('this platform has no standalone to measure');
  const lines = new Map<number, number>();
  for (const each of roundTrips.filter((trip) => trip > 0)) {
    const found = await measureDelayLine(scope, each);
    lines.set(each, found);
    print(`line of ${each} ms: ${found.toFixed(1)} ms there and back`);
  }
  const stage = await openStage(scope, roundTrips, runs);
  const measures: Measure[] = [];
  for (const part of parts) {
    for await (const measure of PARTS[part]?.(stage) ?? []) {
      measures.push(measure);
      print(formatMeasure(measure));
    }
  }
  if (!whole) return;
  const results = makeResults(measures, lines);
  writeResults(results);
  writePicture(drawPicture(measures));
  writeBlock(formatBlock(results));
  print('written: bench/results.json, bench/results.svg, README.md');
}

const undos: (() => unknown)[] = [];
const undoAll = async () => {
  for (const undo of undos.splice(0)) await undo();
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void undoAll().finally(() => process.exit(1)));
}
try {
  await main({ after: (undo) => void undos.push(undo) }, readOptions());
} finally {
  await undoAll();
}
