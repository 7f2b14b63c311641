/**
 * The launcher where something is missing: it starts whatever is left, and what it cannot start it passes over without
 * a word, because its caller takes each one for IMAP.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../helpers/builds.ts';
import { programPath } from '../helpers/requirements.ts';
import { runAsPine } from '../helpers/run-as-pine.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

interface Tree {
  /** The lines of a shell script in the standalone's place. */
  readonly standalone?: string;
  /** Has the build seen it run here? */
  readonly seen?: boolean;
  readonly bundle?: boolean;
  readonly node?: boolean;
  readonly readlink?: boolean;
}

const RUNS = 'echo "standalone $*"';

/** A checkout or a package, and a PATH with nothing but what the case has. */
function makeTree(scope: Scope, { standalone, seen, bundle, node, readlink = true }: Tree) {
  const dir = makeTempDir(scope, 'launcher');
  const [bin, dist, path] = ['bin', 'dist', 'path'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  cpSync(join(ROOT, 'bin'), bin, { recursive: true });
  for (const each of [dist, path]) mkdirSync(each);
  const write = (file: string, lines: string): void => {
    writeFileSync(file, lines);
    chmodSync(file, 0o755);
  };
  const script = (lines: string): string => `#!/bin/sh\n${lines}\n`;
  if (standalone !== undefined) {
    write(join(dist, 'pine-rsh'), standalone === 'ELF' ? '\x7fELF\x02(' : script(standalone));
    if (seen !== true) writeFileSync(join(dist, 'pine-rsh.ok'), 'another machine\n');
    else copyFileSync(join(ROOT, 'dist', 'pine-rsh.ok'), join(dist, 'pine-rsh.ok'));
    symlinkSync('pine-rsh', join(dist, 'pine-rshctl'));
  }
  if (bundle === true) for (const name of ['pine-rsh', 'pine-rshctl']) write(join(dist, `${name}.mjs`), '');
  if (node === true) write(join(path, 'node'), script('echo "node $*"'));
  if (readlink) symlinkSync(programPath('readlink'), join(path, 'readlink'));
  symlinkSync(programPath('dirname'), join(path, 'dirname'));
  symlinkSync(join(bin, 'pine-rsh'), join(dir, 'link'));
  return { dir, env: { PATH: path } };
}

const CASES: readonly (readonly [what: string, tree: Tree, output: RegExp, code?: number])[] = [
  ['all of it', { standalone: RUNS, seen: true, bundle: true, node: true }, /^standalone work\n$/],
  [
    'a standalone of another machine',
    { standalone: RUNS, bundle: true, node: true },
    /^node .*\.mjs work\n$/,
  ],
  ['that, and no node', { standalone: RUNS, bundle: true }, /^standalone work\n$/],
  ['no bundle', { standalone: RUNS, node: true }, /^standalone work\n$/],
  ['no standalone', { bundle: true, node: true }, /^node .*\.mjs work\n$/],
  [
    'a standalone that does not start, and no node',
    { standalone: 'echo no; exit 1', bundle: true },
    /^$/,
    127,
  ],
  ['one that crashes', { standalone: 'kill -ILL $$', bundle: true }, /^$/, 127],
  ['one for other processors', { standalone: 'ELF', bundle: true }, /^$/, 127],
  ['no standalone and no node', { bundle: true }, /^$/, 127],
  ['no bundle and no standalone', { node: true }, /^$/, 127],
];

for (const [what, tree, output, code = 0] of CASES) {
  for (const name of ['bin/pine-rsh', 'link']) {
    test(`The launcher has ${what} (${name})`, async (t) => {
      const { dir, env } = makeTree(t, tree);
      const done = await runAsPine(t, join(dir, name), ['work'], { env }).finish();
      assert.match(done.output.toString(), output);
      assert.equal(done.code, code);
    });
  }
}

test('The launcher behind a link has no readlink', async (t) => {
  const { dir, env } = makeTree(t, { standalone: RUNS, seen: true, bundle: true, readlink: false });
  const done = await runAsPine(t, join(dir, 'link'), ['work'], { env }).finish();
  assert.deepEqual([done.output.toString(), done.code], ['', 127]);
});

test('The launcher of pine-rshctl says that nothing runs', async (t) => {
  const { dir, env } = makeTree(t, { bundle: true });
  const { stderr, code } = await runProgram(join(dir, 'bin', 'pine-rshctl'), ['list'], { env });
  assert.match(stderr.toString(), /^pine-rshctl: nothing in .* runs on this machine: it has no node in PATH/);
  assert.equal(code, 127);
});
