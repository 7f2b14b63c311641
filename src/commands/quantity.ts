/** Counts, sizes and ages as people read them. Pure. */

export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

const BYTE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;
const KIB = 1024;

/** `0 B`, `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < KIB) return `${bytes} B`;
  let value = bytes;
  let unit: string = BYTE_UNITS[0];
  for (const next of BYTE_UNITS) {
    value /= KIB;
    unit = next;
    if (value < KIB) break;
  }
  return `${value.toFixed(1)} ${unit}`;
}

/** The larger units of an age; each holds so many of the one before. */
const AGE_UNITS = [
  ['min', 60],
  ['h', 60],
  ['d', 24],
] as const;

/** `42 s`, `3 min`, `5 h`, `2 d`, always rounded down. */
export function formatAge(seconds: number): string {
  let value = seconds;
  let unit = 's';
  for (const [next, count] of AGE_UNITS) {
    if (value < count) break;
    value = Math.floor(value / count);
    unit = next;
  }
  return `${value} ${unit}`;
}
