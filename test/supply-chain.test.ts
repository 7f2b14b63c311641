/** What the program is made of, and whether anybody who makes it gets the same: the lock file, licences, the build. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './helpers/builds.ts';
import { makeTempDir } from './helpers/temp-dir.ts';

interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly link?: boolean;
}

const read = (name: string) => JSON.parse(readFileSync(join(ROOT, name), 'utf8'));
const locked = Object.entries<LockedPackage>(read('package-lock.json').packages).filter(([path]) =>
  path.includes('node_modules/'),
);

/** All that may be in node_modules; what is in the program is listed with its licence by scripts/package.mjs. */
const LICENCES = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'MIT OR Apache-2.0',
  'Unlicense',
];

/** MIT, all three; their package.json says so in npm's old way, which the lock file does not take over. */
const LICENCE_ELSEWHERE = ['buildcheck', 'cpu-features', 'ssh2'].map((name) => `node_modules/${name}`);

test('every package is locked by its content', () => {
  const loose = locked.filter(([, { link, integrity }]) => !link && !/^sha512-/.test(integrity ?? ''));
  assert.deepEqual(loose, []);
});

test('every package asked for is asked for in one version', () => {
  for (const manifest of ['package.json', 'standalone/package.json']) {
    const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = read(manifest);
    const asked = { ...dependencies, ...devDependencies, ...optionalDependencies };
    for (const [name, version] of Object.entries<string>(asked)) {
      assert.match(version, /^(?:\d+\.\d+\.\d+|file:standalone)$/, name);
    }
  }
  assert.equal(read('package.json').dependencies, undefined, 'the package installs nothing beside itself');
});

test('the program comes with the licence texts of what is in it', () => {
  const text = readFileSync(join(ROOT, 'dist', 'LICENSES'), 'utf8');
  for (const [path, { version }] of locked) {
    const name = path.slice('node_modules/'.length);
    if (['ssh2', 'yargs', 'dotenv', 'bcrypt-pbkdf', 'asn1', 'tweetnacl'].includes(name)) {
      const [, own = ''] = text.split(`\n${name} ${version}\n`);
      assert.match(own.split('-'.repeat(78))[0] ?? '', /permi(?:t|ssion)|public domain/i, name);
    }
  }
});

test('every package has a licence that allows what is done with it', () => {
  const others = locked.filter(
    ([path, { link, license }]) =>
      !link && !LICENCE_ELSEWHERE.includes(path) && !LICENCES.includes(license ?? 'none'),
  );
  assert.deepEqual(
    others.map(([path, { license }]) => [path, license]),
    [],
  );
});

test('an installation runs no script of a package', () => {
  for (const file of ['.ci/run', 'scripts/setup.mjs']) {
    assert.match(readFileSync(join(ROOT, file), 'utf8'), /--ignore-scripts/, file);
  }
});

test('a build is the same in every folder', (t) => {
  const hashes = ['a', 'another-folder'].map((name) => {
    const dir = join(makeTempDir(t, 'build'), name);
    for (const part of ['src', 'scripts', 'standalone', 'package.json', 'package-lock.json', 'tsconfig.json'])
      cpSync(join(ROOT, part), join(dir, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
    const built = spawnSync(process.execPath, [join(dir, 'scripts', 'build.mjs')], { encoding: 'utf8' });
    assert.equal(built.status, 0, built.stderr);
    return ['pine-rsh.mjs', 'pine-rshctl.mjs', 'pine-rsh']
      .filter((each) => existsSync(join(dir, 'dist', each)))
      .map((each) => {
        const bytes = readFileSync(join(dir, 'dist', each));
        assert.ok(!bytes.includes(dir), `${each} tells where it was built`);
        return [each, createHash('sha256').update(bytes).digest('hex')];
      });
  });
  assert.ok((hashes[0]?.length ?? 0) >= 2);
  assert.deepEqual(hashes[1], hashes[0]);
});
