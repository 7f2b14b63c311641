/**
 * Times and numbers in the way of ssh(1), from `-o` and ssh_config(5), made fit for the keys that they become. ssh sets
 * no bounds to them, and takes 0 and, as a time, `none` for no limit. Without one a mail client would wait without end:
 * where the key allows no 0 it counts as unset. Pure.
 */
import { BOUNDS } from './keys.ts';
import { readTime } from './value.ts';

/** The text as an alias file would have it, brought within the bounds of the key; undefined: it counts as unset. */
export function fitSshValue(key: string, text: string): string | undefined {
  if (!isBounded(key)) return text;
  const [least, most] = BOUNDS[key];
  const read = typeof least === 'number' ? readNumber : readSshTime;
  const value = read(text);
  const min = read(String(least));
  if (value === 0) return min === 0 ? '0' : undefined;
  if (value > read(String(most))) return String(most);
  // What is no number is left to the parser of the key, which says so.
  return value < min ? String(least) : text;
}

function isBounded(key: string): key is keyof typeof BOUNDS {
  return Object.hasOwn(BOUNDS, key);
}

function readNumber(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

function readSshTime(text: string): number {
  return text === 'none' ? 0 : readTime(text);
}
