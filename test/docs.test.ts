/** README and docs/ against the code: the commands they list, the files they name. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { COMMANDS } from '../src/ctl-args.ts';
import { ROOT } from './helpers/builds.ts';

const README = join(ROOT, 'README.md');

test('the README lists every command of pine-rshctl in the words of its help', () => {
  const text = readFileSync(README, 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z]+)` \| (.*) \|$/gm)].map((row) => [row[1], row[2]]);
  assert.deepEqual(
    rows,
    COMMANDS.map(({ name, summary }) => [name, summary]),
    'add "| `NAME` | SUMMARY |" to the table of commands in README.md, in the order of COMMANDS',
  );
});

for (const file of [
  README,
  join(ROOT, 'CONTRIBUTING.md'),
  ...readdirSync(join(ROOT, 'docs')).map((name) => join(ROOT, 'docs', name)),
]) {
  test(`what ${file.slice(ROOT.length)} links to is there`, () => {
    const text = readFileSync(file, 'utf8');
    const links = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map((link) => link[1] as string);
    const missing = links.filter((link) => !/^https?:/.test(link) && !existsSync(join(dirname(file), link)));
    assert.deepEqual(missing, []);
  });
}

test('the README names every page of docs/', () => {
  const text = readFileSync(README, 'utf8');
  const unnamed = readdirSync(join(ROOT, 'docs')).filter((name) => !text.includes(`(docs/${name})`));
  assert.deepEqual(unnamed, [], 'add a line to Documentation in README.md');
});

test('the threat model names tests that exist', () => {
  const text = readFileSync(join(ROOT, 'docs', 'threat-model.md'), 'utf8');
  const rows = text.split('\n').filter((line) => /^\| (?!who |---)/.test(line));
  assert.ok(rows.length > 15);
  const sources = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && name !== 'docs.test.ts')
    .map((name) => readFileSync(join(ROOT, 'test', name), 'utf8'))
    .join('\n');
  for (const row of rows) {
    const shownBy = row.split(' | ').at(-1) ?? '';
    const titles = [...shownBy.matchAll(/`([^`]+)`/g)].map((title) => title[1] as string);
    assert.ok(titles.length > 0, `no test is named in: ${row}`);
    for (const title of titles) assert.ok(sources.includes(title), `no test is called: ${title}`);
  }
});
