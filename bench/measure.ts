/** What one comparison gave: figures of pine-rsh and of its peers, taken in turns. */

export type Unit = 'ms' | 'MiB' | 'MiB/s';

export interface Figure {
  /** `pine-rsh`, `ssh`, ... */
  readonly who: string;
  readonly median: number;
  /** The least; for a rate too. */
  readonly min: number;
  readonly runs: number;
}

export interface Measure {
  readonly part: string;
  /** `first folder`, `warm`, ... */
  readonly what: string;
  /** Milliseconds there and back; undefined where no line is used. */
  readonly roundTrip?: number;
  readonly unit: Unit;
  /** The first is what the measure is about. */
  readonly figures: readonly Figure[];
  /** Whose figure counts as 1. */
  readonly base: string;
  readonly note?: string;
}

/** Something whose cost is measured. */
export interface Subject {
  readonly who: string;
  /** One figure, in the measure's unit. Whatever must be quiet before the next one is awaited inside. */
  readonly sample: () => Promise<number>;
}

/**
 * How much more often is measured what takes milliseconds: so little is changed by whatever else the machine does at that
 * moment that five samples tell nothing.
 */
export const QUICK_RUNS = 6;

/** One uncounted sample of each, then `runs` of each in turns, beginning with another one each time. */
export async function compare(subjects: readonly Subject[], runs: number): Promise<Figure[]> {
  const samples = new Map(subjects.map(({ who }) => [who, [] as number[]]));
  for (let run = -1; run < runs; run += 1) {
    for (let turn = 0; turn < subjects.length; turn += 1) {
      const subject = subjects[(turn + Math.max(run, 0)) % subjects.length];
      if (subject === undefined) continue;
      const value = await subject.sample();
      if (run >= 0) samples.get(subject.who)?.push(value);
    }
  }
  return subjects.map(({ who }) => summarize(who, samples.get(who) ?? []));
}

export function summarize(who: string, samples: readonly number[]): Figure {
  return { who, median: round(median(samples)), min: round(Math.min(...samples)), runs: samples.length };
}

/** How many times the base a figure is; undefined where the base was not measured. */
export function ratioOf({ figures, base }: Measure, figure: Figure): number | undefined {
  const one = figures.find(({ who }) => who === base);
  return one === undefined || one.median === 0 ? undefined : figure.median / one.median;
}

/** The other programs that did better than the measure's first figure. */
export function listFaster({ figures, unit }: Measure): string[] {
  const [ours, ...others] = figures;
  if (ours === undefined || isPeer(ours.who)) return [];
  const better = (a: number, b: number) => (unit === 'MiB/s' ? a > b : a < b);
  return others
    .filter(({ who, median: theirs }) => isPeer(who) && better(theirs, ours.median))
    .map(({ who }) => who);
}

function isPeer(who: string): boolean {
  return !who.startsWith('pine-rsh') && !who.startsWith('/');
}

function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[sorted.length % 2 === 0 ? half - 1 : half], sorted[half]];
  return ((low ?? 0) + (high ?? 0)) / 2;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
