/**
 * Makes what people install, into dist/packages/ or the folder named:
 *
 *     node scripts/package.mjs [--fast] [FOLDER]
 *
 * - pine-rsh_VERSION_ARCH.deb: the standalone executable, needs nothing else;
 * - pine-rsh-node_VERSION_all.deb: the Node bundle, for Debian's nodejs;
 * - pine-rsh-VERSION-linux-ARCH.tar.gz: the standalone in a folder to be put anywhere;
 * - pine-rsh-VERSION.tgz: for npm;
 * - pine-rsh-VERSION.cdx.json: what is inside (CycloneDX), and SHA256SUMS over all of them.
 *
 * --fast compresses little, for tests. Needs what `npm run build` made, npm and dpkg-deb.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ensureReady, ROOT } from './setup.mjs';

const words = process.argv.slice(2);
const FAST = words.includes('--fast');
const OUT = resolve(words.find((word) => !word.startsWith('-')) ?? join(ROOT, 'dist', 'packages'));
const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const VERSION = MANIFEST.version;
const MAINTAINER = 'the pine-rsh authors <pine-rsh@packages.invalid>';
/** Debian's names of what Node calls x64 and arm64. */
const DEB_ARCH = { x64: 'amd64', arm64: 'arm64' }[process.arch];

/** Seconds since 1970: the same sources give the same packages (reproducible-builds.org). */
const DATE = Number(
  process.env.SOURCE_DATE_EPOCH ??
    execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' }),
);

function run(program, args, options = {}) {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(DATE) };
  return execFileSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  });
}

function write(file, data, mode = 0o644) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, data, { mode });
  chmodSync(file, mode);
}

function copy(from, to, mode = 0o644) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, mode);
}

/** The program itself: launchers in bin/, and what they start in dist/. */
function writeProgram(dir, kind) {
  for (const name of ['pine-rsh', 'pine-rshctl'])
    copy(join(ROOT, 'bin', name), join(dir, 'bin', name), 0o755);
  if (kind === 'standalone') {
    copy(join(ROOT, 'dist', 'pine-rsh'), join(dir, 'dist', 'pine-rsh'), 0o755);
    symlinkSync('pine-rsh', join(dir, 'dist', 'pine-rshctl'));
  } else {
    for (const name of ['pine-rsh.mjs', 'pine-rshctl.mjs'])
      copy(join(ROOT, 'dist', name), join(dir, 'dist', name), 0o755);
  }
}

function writeDocs(dir) {
  for (const name of ['README.md', 'docs', 'examples'])
    cpSync(join(ROOT, name), join(dir, name), { recursive: true });
  normalise(dir);
}

/** Modes as packages have them, whatever umask the checkout was made with. */
function normalise(dir) {
  chmodSync(dir, 0o755);
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) normalise(path);
    else if (entry.isFile()) chmodSync(path, statSync(path).mode & 0o100 ? 0o755 : 0o644);
  }
}

const completions = (shell) =>
  run(process.execPath, [join(ROOT, 'dist', 'pine-rshctl.mjs'), 'completion', shell]);

/** Man pages and completions below a prefix, where every distribution looks for them. */
function writeShared(share, zsh) {
  for (const name of readdirSync(join(ROOT, 'man'))) {
    const file = join(share, 'man', `man${name.at(-1)}`, `${name}.gz`);
    write(file, gzipSync(readFileSync(join(ROOT, 'man', name)), { level: 9 }));
  }
  write(join(share, 'bash-completion', 'completions', 'pine-rshctl'), completions('bash'));
  symlinkSync('pine-rshctl', join(share, 'bash-completion', 'completions', 'pine-rsh'));
  write(join(share, 'zsh', zsh, '_pine-rshctl'), completions('zsh'));
  write(join(share, 'fish', 'vendor_completions.d', 'pine-rshctl.fish'), completions('fish'));
  symlinkSync('pine-rshctl.fish', join(share, 'fish', 'vendor_completions.d', 'pine-rsh.fish'));
}

/** Debian Policy 12.5: the licence of everything inside. */
function formatCopyright() {
  const [own, others] = ['LICENSE', 'dist/LICENSES'].map((name) => readFileSync(join(ROOT, name), 'utf8'));
  return `pine-rsh\n\n${own.trimEnd()}\n\n${others}`;
}

const CHANGELOG = `pine-rsh (${VERSION}) unstable; urgency=medium

  * See CHANGELOG.md of this version.

 -- ${MAINTAINER}  ${new Date(DATE * 1000).toUTCString().replace('GMT', '+0000')}
`;

const DESCRIPTION = `open remote mailboxes over SSH for Alpine and its like
 Pine and Alpine read a remote mailbox without an IMAP password by running an
 rsh that starts an imapd there. pine-rsh is that rsh, over SSH: hosts and keys
 stand in small alias files, folders open over a shared connection, and when
 something is wrong the mail client shows the reason instead of sending a
 password in the clear. mutt, mbsync, fetchmail, rsync and git can use it, too.`;

const DEBS = {
  standalone: {
    name: 'pine-rsh',
    arch: DEB_ARCH,
    // The C library and what it brings; the rest is inside.
    fields: ['Depends: libc6 (>= 2.28)', 'Suggests: alpine, openssh-client', 'Conflicts: pine-rsh-node'],
    note: ' .\n This package contains its own runtime.',
    scripts: {
      // A program that does not start would be a login in the clear in Alpine: better no package than that one.
      postinst: `#!/bin/sh
set -e
if [ "$1" = configure ] && ! pine-rsh --version >/dev/null; then
  echo "pine-rsh does not run on this machine; install pine-rsh-node instead" >&2
  exit 1
fi
`,
    },
    overrides: [
      [
        'unstripped-binary-or-object',
        'The program stands behind the runtime in the same file; strip would cut it off.',
        '[usr/lib/pine-rsh/dist/pine-rsh]',
      ],
      [
        'embedded-library',
        'The runtime has its libraries inside; they are renewed with it.',
        'libjpeg [usr/lib/pine-rsh/dist/pine-rsh]',
      ],
      [
        'hardening-no-pie',
        'The runtime is taken as its makers build it.',
        '[usr/lib/pine-rsh/dist/pine-rsh]',
      ],
      ['hardening-no-relro', 'The same.', '[usr/lib/pine-rsh/dist/pine-rsh]'],
    ],
  },
  node: {
    name: 'pine-rsh-node',
    arch: 'all',
    fields: [
      'Depends: nodejs (>= 20)',
      'Suggests: alpine, openssh-client',
      'Provides: pine-rsh',
      'Conflicts: pine-rsh',
    ],
    note: ' .\n This package runs on nodejs.',
    scripts: {},
    overrides: [],
  },
};

function buildDeb(kind, scratch) {
  const { name, arch, fields, note, scripts, overrides } = DEBS[kind];
  const root = join(scratch, name);
  const share = join(root, 'usr', 'share');
  const doc = join(share, 'doc', name);
  writeProgram(join(root, 'usr', 'lib', 'pine-rsh'), kind);
  mkdirSync(join(root, 'usr', 'bin'), { recursive: true });
  for (const program of ['pine-rsh', 'pine-rshctl'])
    symlinkSync(`../lib/pine-rsh/bin/${program}`, join(root, 'usr', 'bin', program));
  writeShared(share, 'vendor-completions');
  mkdirSync(doc, { recursive: true });
  writeDocs(doc);
  write(join(doc, 'copyright'), formatCopyright());
  write(join(doc, 'changelog.gz'), gzipSync(CHANGELOG, { level: 9 }));
  if (overrides.length > 0) {
    const lines = overrides.map(([tag, reason, context]) => `# ${reason}\n${name}: ${tag} ${context}\n`);
    write(join(share, 'lintian', 'overrides', name), lines.join(''));
  }
  normalise(root);
  const size = Number(run('du', ['-sk', root]).split('\t')[0]);
  const control = [
    `Package: ${name}`,
    `Version: ${VERSION}`,
    `Architecture: ${arch}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${size}`,
    ...fields,
    'Section: mail',
    'Priority: optional',
    `Description: ${DESCRIPTION}\n${note}`,
    '',
  ].join('\n');
  write(join(root, 'DEBIAN', 'control'), control);
  for (const [script, text] of Object.entries(scripts)) write(join(root, 'DEBIAN', script), text, 0o755);
  write(join(root, 'DEBIAN', 'md5sums'), formatMd5(root));
  const file = join(OUT, `${name}_${VERSION}_${arch}.deb`);
  run('dpkg-deb', [
    '--root-owner-group',
    FAST ? '-Zgzip' : '-Zxz',
    FAST ? '-z1' : '-z6',
    '--build',
    root,
    file,
  ]);
}

/** Every file of the package, for `dpkg --verify`. */
function formatMd5(root) {
  return listFiles(join(root, 'usr'))
    .sort()
    .map((file) => `${hashOf('md5', file)}  ${file.slice(root.length + 1)}\n`)
    .join('');
}

function listFiles(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return listFiles(path);
    return entry.isFile() ? [path] : [];
  });
}

const hashOf = (kind, file) => createHash(kind).update(readFileSync(file)).digest('hex');

function buildTarball(scratch) {
  const name = `pine-rsh-${VERSION}-linux-${process.arch}`;
  const root = join(scratch, name);
  writeProgram(root, 'standalone');
  writeDocs(root);
  copy(join(ROOT, 'LICENSE'), join(root, 'LICENSE'));
  copy(join(ROOT, 'dist', 'LICENSES'), join(root, 'LICENSES'));
  writeShared(join(root, 'share'), 'site-functions');
  normalise(root);
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--sort=name', `--mtime=@${DATE}`];
  const gzip = FAST ? 'gzip -n1' : 'gzip -n9';
  run('tar', ['-C', scratch, ...owner, '-I', gzip, '-cf', join(OUT, `${name}.tar.gz`), name]);
}

/** What is bundled into the program; the rest of node_modules only builds and tests it. */
const BUNDLED = ['bcrypt-pbkdf', 'dotenv', 'ssh2', 'yargs'];

/** npm knows the libraries, with what they need; the runtime of the standalone is a tool to it, and is added. */
function makeSbom() {
  const sbom = JSON.parse(
    run('npm', ['sbom', '--sbom-format=cyclonedx'], { stdio: ['ignore', 'pipe', 'ignore'] }),
  );
  const needs = new Map(sbom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn ?? []]));
  const inside = new Set();
  const add = (ref) => {
    if (inside.has(ref)) return;
    inside.add(ref);
    for (const each of needs.get(ref) ?? []) add(each);
  };
  for (const { name, 'bom-ref': ref } of sbom.components) if (BUNDLED.includes(name)) add(ref);
  sbom.components = sbom.components.filter(({ 'bom-ref': ref }) => inside.has(ref));
  sbom.dependencies = sbom.dependencies.filter(({ ref }) => inside.has(ref));
  sbom.metadata.component.name = MANIFEST.name;
  sbom.metadata.timestamp = new Date(DATE * 1000).toISOString();
  // A serial number may be left out, and a random one would make no two builds alike.
  delete sbom.serialNumber;
  const runtime = JSON.parse(readFileSync(join(ROOT, 'standalone', 'package.json'), 'utf8')).dependencies;
  for (const [name, version] of Object.entries(runtime)) {
    sbom.components.push({
      'bom-ref': `${name}@${version}`,
      type: 'framework',
      name,
      version,
      scope: 'required',
      purl: `pkg:npm/${name}@${version}`,
      licenses: [{ license: { id: 'MIT' } }],
    });
  }
  return sbom;
}

await ensureReady();
if (!existsSync(join(ROOT, 'dist', 'pine-rsh.ok'))) {
  console.error('package: there is no standalone that runs on this machine');
  process.exit(1);
}
rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const scratch = mkdtempSync(join(tmpdir(), 'pine-rsh-package-'));
try {
  const sbom = makeSbom();
  write(join(OUT, `pine-rsh-${VERSION}.cdx.json`), `${JSON.stringify(sbom, undefined, 2)}\n`);
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', OUT], { stdio: 'ignore' });
  buildTarball(scratch);
  for (const kind of Object.keys(DEBS)) buildDeb(kind, scratch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const made = readdirSync(OUT).sort();
write(
  join(OUT, 'SHA256SUMS'),
  made.map((name) => `${hashOf('sha256', join(OUT, name))}  ${name}\n`).join(''),
);
for (const name of made) console.log(join(OUT, name));
