/** The part of README that a run rewrites: between two markers, all of it made from the results. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatTable } from './markdown.ts';
import type { Results } from './results.ts';

const FILE = fileURLToPath(new URL('../README.md', import.meta.url));
const BEGIN = '<!-- made by npm run bench: begin -->';
const END = '<!-- made by npm run bench: end -->';

/** The picture shows them all. */
const SHOWN_TRIPS: readonly (number | undefined)[] = [undefined, 0, 50];

/** What stands between the markers now. */
export function readBlock(): string {
  const [begin, end, text] = findBlock();
  return text.slice(begin, end);
}

export function writeBlock(block: string): void {
  const [begin, end, text] = findBlock();
  writeFileSync(FILE, text.slice(0, begin) + block + text.slice(end));
}

export function formatBlock({ date, machine, versions, measures }: Results): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `
![Time to the greeting of an imapd over lines of several lengths](bench/results.svg)

${date.slice(0, 10)}, ${machine}; ${programs.join(', ')}. Medians; a ratio below 1 is a shorter time or less memory, for
MiB/s a ratio above 1 is faster.

${formatTable(measures.filter(({ roundTrip }) => SHOWN_TRIPS.includes(roundTrip)))}
`;
}

function findBlock(): [begin: number, end: number, text: string] {
  const text = readFileSync(FILE, 'utf8');
  const begin = text.indexOf(BEGIN) + BEGIN.length;
  const end = text.indexOf(END);
  if (begin < BEGIN.length || end < begin) throw new Error(`README.md has no ${BEGIN} ... ${END}`);
  return [begin, end, text];
}
