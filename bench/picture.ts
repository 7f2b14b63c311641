/** The picture for README: time to the greeting against the length of the line. Plain SVG, for light and dark pages. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Measure } from './measure.ts';

const FILE = fileURLToPath(new URL('results.svg', import.meta.url));

const WIDTH = 720;
const HEIGHT = 400;
const PLOT = { left: 60, top: 30, right: 470, bottom: 350 };
const LABEL_HEIGHT = 17;

/** Colours that stand out on white and on black alike. */
const SERIES = [
  { part: 'cold', who: 'ssh', name: 'ssh, first folder', colour: '#9a6700' },
  { part: 'cold', who: 'pine-rsh', name: 'pine-rsh, first folder', colour: '#2f81f7' },
  { part: 'shared', who: 'ssh ControlMaster', name: 'ssh ControlMaster, next', colour: '#cf5a2e' },
  { part: 'shared', who: 'pine-rsh', name: 'pine-rsh, next, WARM=0', colour: '#8957e5' },
  { part: 'warm', who: 'pine-rsh', name: 'pine-rsh, next folder', colour: '#2da44e' },
] as const;

interface Point {
  readonly x: number;
  readonly y: number;
  readonly ms: number;
}

export function readPicture(): string {
  return readFileSync(FILE, 'utf8');
}

export function writePicture(picture: string): void {
  writeFileSync(FILE, picture);
}

/** @throws when there is nothing to draw */
export function drawPicture(measures: readonly Measure[]): string {
  const lines = SERIES.map((series) => ({ ...series, values: valuesOf(measures, series) }));
  const all = lines.flatMap(({ values }) => values);
  const most = Math.max(...all.map(({ ms }) => ms));
  const longest = Math.max(...all.map(({ roundTrip }) => roundTrip), 1);
  const step = stepFor(most);
  const top = Math.ceil(most / step) * step;
  const xOf = (roundTrip: number) => PLOT.left + (roundTrip / longest) * (PLOT.right - PLOT.left);
  const yOf = (ms: number) => PLOT.bottom - (ms / top) * (PLOT.bottom - PLOT.top);
  const drawn = lines.map(({ values, ...series }) => ({
    ...series,
    points: values.map(({ roundTrip, ms }): Point => ({ x: xOf(roundTrip), y: yOf(ms), ms })),
  }));
  const labels = placeLabels(drawn.map(({ points }) => points.at(-1)?.y ?? PLOT.bottom));
  const ticks = Array.from({ length: top / step + 1 }, (_, index) => index * step);
  const trips = [...new Set(all.map(({ roundTrip }) => roundTrip))];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    '<title>Time to the greeting of an imapd over lines of several lengths</title>',
    '<style>text{fill:#1f2328}.grid{stroke:#8b949e;stroke-opacity:.35}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>',
    `<text x="${PLOT.left}" y="16">ms from the start of the program to the greeting</text>`,
    ...ticks.map((ms) => drawTick(ms, yOf(ms))),
    ...trips.map((trip) => `<text x="${show(xOf(trip))}" y="370" text-anchor="middle">${trip} ms</text>`),
    `<text x="${(PLOT.left + PLOT.right) / 2}" y="390" text-anchor="middle">round trip of the line</text>`,
    ...drawn.flatMap(({ name, colour, points }, index) => [
      `<polyline fill="none" stroke="${colour}" stroke-width="2.5" points="${points.map(({ x, y }) => `${show(x)},${show(y)}`).join(' ')}"/>`,
      ...points.map(({ x, y }) => `<circle cx="${show(x)}" cy="${show(y)}" r="3.5" fill="${colour}"/>`),
      `<rect x="${PLOT.right + 14}" y="${show((labels[index] ?? 0) - 5)}" width="10" height="10" fill="${colour}"/>`,
      `<text x="${PLOT.right + 30}" y="${show((labels[index] ?? 0) + 5)}">${name}: ${points.at(-1)?.ms.toFixed(0)}</text>`,
    ]),
    '</svg>',
    '',
  ].join('\n');
}

function valuesOf(
  measures: readonly Measure[],
  { part, who }: { readonly part: string; readonly who: string },
): { roundTrip: number; ms: number }[] {
  return measures
    .filter((measure) => measure.part === part)
    .flatMap(({ figures, roundTrip = 0 }) =>
      figures.filter((figure) => figure.who === who).map(({ median }) => ({ roundTrip, ms: median })),
    );
}

function drawTick(ms: number, y: number): string {
  const line = `<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${show(y)}" y2="${show(y)}"/>`;
  return `${line}<text x="${PLOT.left - 8}" y="${show(y + 4)}" text-anchor="end">${ms}</text>`;
}

/** Beside the ends of the lines, and never on top of each other. */
function placeLabels(wanted: readonly number[]): number[] {
  const order = wanted.map((y, index) => ({ y, index })).sort((a, b) => b.y - a.y);
  const placed: number[] = [];
  let limit = PLOT.bottom;
  for (const { y, index } of order) {
    const at = Math.min(y, limit);
    placed[index] = at;
    limit = at - LABEL_HEIGHT;
  }
  return placed;
}

/** 1, 2 or 5 times a power of ten, so that there are four to ten of them. */
function stepFor(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  return [5, 2, 1].map((times) => times * power).find((step) => step <= most / 4) ?? power;
}

function show(value: number): string {
  return value.toFixed(1);
}
