/** The files of examples/ as a person would use them: unmodified but for names and ports. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './builds.ts';

/** What stands in an example, and what it is here. */
export type Names = Readonly<Record<string, string | number>>;

/** The text of an example with other names; each must be in it, so that none is replaced for nothing. */
export function readExample(path: string, names: Names = {}): string {
  const text = readFileSync(join(ROOT, 'examples', path), 'utf8');
  const unused = Object.keys(names).filter((name) => !text.includes(name));
  assert.deepEqual(unused, [], `examples/${path} has no such names`);
  // At once: what a name was replaced by may hold another.
  const all = Object.keys(names).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return text.replace(new RegExp(all.join('|') || /(?!)/, 'g'), (name) => String(names[name]));
}
