/**
 * What people install: the packages are made, checked, installed, run against a real mail host and removed. The Debian
 * packages go into a copy of this system that is thrown away (an overlay), or where that cannot be had into the system.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { ROOT } from '../helpers/builds.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { MESSAGE_COUNT } from '../helpers/mail-messages.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';

const { version, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const PATIENCE_MS = 180_000;

/** What src imports that is neither ours nor the runtime's: all of it is bundled, and nothing is installed with us. */
function findLibraries(): string[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => /(?<!\.d)\.ts$/.test(file));
  const imports = sources.flatMap((file) => [
    ...readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(
      /(?:from|require\(|import\() ?'([a-z][^:'/]*)['/]/g,
    ),
  ]);
  return [...new Set(imports.map(([, name = '']) => name))].sort();
}

const NEEDS =
  requirePrograms('dpkg-deb', 'npm', 'sha256sum', 'sshd', 'imap') ||
  (existsSync(join(ROOT, 'dist', 'pine-rsh.ok')) ? false : 'no standalone was built for this machine');

describe('Packages', { skip: NEEDS, concurrency: 3 }, () => {
  // A hook that is registered inside of another runs with that one, not at the end of the suite.
  const undos: (() => void | Promise<void>)[] = [];
  const suite = { after: (undo: () => void | Promise<void>) => void undos.push(undo) };
  after(async () => {
    for (const undo of undos) await undo();
  });
  let dir: string;
  let host: MailHost;
  const find = (pattern: RegExp): string => {
    const name = readdirSync(dir).find((each) => pattern.test(each));
    assert.ok(name, `${pattern} in ${dir}`);
    return join(dir, name);
  };
  before(async () => {
    dir = join(makeTempDir(suite, 'packages'), 'out');
    execFileSync(process.execPath, [join(ROOT, 'scripts', 'package.mjs'), '--fast', dir], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    host = await openMailHost(suite);
  });

  /** A home with the alias `work`, and an environment with npm's cache but without this checkout. */
  function openHome(t: TestContext): TempHome {
    const home = openTempHome(t);
    home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, SHARE: 'no' });
    return home;
  }

  async function run(home: TempHome, program: string, words: readonly string[], input = ''): Promise<string> {
    const done = await runProgram(program, words, {
      env: home.env,
      input,
      timeout: PATIENCE_MS,
      cwd: home.dir,
    });
    assert.equal(done.code, 0, `${program}: ${done.stdout}${done.stderr}`);
    return done.stdout.toString();
  }

  async function readsMail(home: TempHome, program: string): Promise<void> {
    const said = await run(home, program, ['work'], 'a SELECT INBOX\r\nb LOGOUT\r\n');
    assert.match(said, /^\* PREAUTH /);
    assert.ok(said.includes(`* ${MESSAGE_COUNT} EXISTS`), said);
  }

  test('SHA256SUMS covers every file', () => {
    const sums = readFileSync(join(dir, 'SHA256SUMS'), 'utf8');
    for (const name of readdirSync(dir))
      if (name !== 'SHA256SUMS') assert.ok(sums.includes(`  ${name}\n`), name);
    execFileSync(programPath('sha256sum'), ['--check', '--quiet', 'SHA256SUMS'], { cwd: dir });
  });

  test('the bill of materials names every library and the runtime, with its licence', () => {
    const sbom = JSON.parse(readFileSync(find(/\.cdx\.json$/), 'utf8'));
    assert.equal(sbom.bomFormat, 'CycloneDX');
    assert.equal(sbom.metadata.component.name, 'pine-rsh');
    const inside = new Map<string, { version: string; licenses: { license: { id: string } }[] }>(
      sbom.components.map((each: { name: string }) => [each.name, each]),
    );
    const libraries = findLibraries();
    assert.ok(libraries.includes('ssh2'));
    for (const name of libraries) {
      assert.equal(inside.get(name)?.version, devDependencies[name], name);
      assert.ok(inside.get(name)?.licenses[0]?.license.id, name);
    }
    const shown = spawnSync(join(ROOT, 'dist', 'pine-rsh'), ['--version'], { encoding: 'utf8' }).stdout;
    assert.equal(
      shown,
      `pine-rsh ${version} (standalone, bun ${inside.get('bun')?.version}, ssh2 ${inside.get('ssh2')?.version})\n`,
    );
  });

  test('the tarball runs from any folder', async (t) => {
    const home = openHome(t);
    await run(home, programPath('tar'), ['-xf', find(/\.tar\.gz$/)]);
    const root = join(home.dir, `pine-rsh-${version}-linux-${process.arch}`);
    assert.match(await run(home, join(root, 'bin', 'pine-rsh'), ['--version']), /\(standalone, /);
    assert.match(
      await run(home, join(root, 'bin', 'pine-rshctl'), ['--version']),
      /^pine-rshctl .*\(standalone, /,
    );
    await readsMail(home, join(root, 'bin', 'pine-rsh'));
    for (const file of [
      'LICENSE',
      'examples/pinerc',
      'share/man/man1/pine-rsh.1.gz',
      'share/zsh/site-functions/_pine-rshctl',
    ])
      assert.ok(existsSync(join(root, file)), file);
  });

  test('npm installs it, npx runs it, and npm removes it without a trace', async (t) => {
    const home = openHome(t);
    const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim();
    const config = {
      npm_config_cache: cache,
      npm_config_prefer_offline: 'true',
      npm_config_update_notifier: 'false',
    };
    const desk = { ...home, env: { ...home.env, ...config } };
    const tgz = find(/\.tgz$/);
    const prefix = join(home.dir, 'prefix');
    const npm = async (...words: string[]): Promise<string> =>
      await run(desk, programPath('npm'), [...words, '--prefix', prefix]);
    await npm('install', '--global', '--no-audit', '--no-fund', tgz);
    const program = join(prefix, 'bin', 'pine-rsh');
    assert.match(await run(home, program, ['--version']), /\(node bundle, node /);
    assert.match(await run(home, `${program}ctl`, ['list', '--names']), /^work\n$/);
    await readsMail(home, program);
    assert.ok(existsSync(join(prefix, 'share', 'man', 'man1', 'pine-rsh.1')));
    await npm('uninstall', '--global', 'pine-rsh');
    const left = readdirSync(prefix, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.includes('pine-rsh'),
    );
    assert.deepEqual(left, []);

    const shown = await run(desk, programPath('npx'), ['--yes', '--package', tgz, 'pine-rsh', '--version']);
    assert.match(shown, /^pine-rsh \S+ \(node bundle, /);
  });

  for (const kind of ['pine-rsh', 'pine-rsh-node'] as const) {
    test(`lintian finds nothing in ${kind}.deb but what is overridden with a reason`, {
      skip: requirePrograms('lintian'),
    }, async (t) => {
      const words = [
        '--allow-root',
        '--display-info',
        '--fail-on',
        'error,warning',
        find(new RegExp(`^${kind}_`)),
      ];
      const done = await runProgram(programPath('lintian'), words, {
        env: openTempHome(t).env,
        timeout: PATIENCE_MS,
      });
      assert.equal(done.code, 0, `${done.stdout}${done.stderr}`);
      assert.doesNotMatch(done.stdout.toString(), /unused-override|mismatched-override/);
    });

    test(`dpkg installs ${kind}.deb, it runs, and nothing is left of it`, {
      skip:
        requirePrograms('dpkg', 'unshare', 'chroot') ||
        (process.getuid?.() === 0 ? false : 'dpkg needs root'),
    }, async (t) => {
      const home = openHome(t);
      const deb = find(new RegExp(`^${kind}_`));
      const script = home.writeScript('install', INSTALL);
      const [input, list] = ['input', 'list'].map((name) => home.writeFile(name, ''));
      assert.ok(input && list);
      home.writeFile('input', 'a SELECT INBOX\r\nb LOGOUT\r\n');
      // Only the Debian package of nodejs counts for dpkg, and a test machine may have another, newer one.
      const node = kind === 'pine-rsh' ? '/nowhere' : dirname(process.execPath);
      const words = ['--mount', '/bin/sh', script, makeTempDir(t, 'system'), kind, deb, node];
      const said = await run(home, programPath('unshare'), words);
      const runtime = kind === 'pine-rsh' ? 'standalone, bun' : 'node bundle, node';
      assert.ok(said.includes(`pine-rsh ${version} (${runtime}`), said);
      assert.ok(said.includes(`pine-rshctl ${version} (${runtime}`), said);
      assert.match(said, /^rsh-path=\/usr\/bin\/pine-rsh$/m);
      assert.ok(said.includes(`* ${MESSAGE_COUNT} EXISTS`), said);
      assert.match(said, /^removed$/m);
    });
  }
});

/**
 * $1 a folder for the copy of the system, $2 the package's name, $3 its file, $4 where node is. In a mount namespace of
 * its own, so that nothing of it has to be undone.
 */
const INSTALL = `set -e
root=$1 name=$2 deb=$3 home=$(dirname "$0")
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/system"
if mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/system" 2>/dev/null; then
  for dir in /proc /dev /tmp; do mount --rbind "$dir" "$root/system$dir"; done
  enter="chroot $root/system"
else
  enter=
fi
cat >"$home/inside" <<'END'
set -e
name=$1 deb=$2
PATH=$3:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
dpkg --ignore-depends=nodejs --install "$deb" >/dev/null
pine-rsh --version
pine-rshctl --version
pine-rshctl pinerc work
pine-rsh work <input || { echo "pine-rsh ended with $?"; exit 1; }
dpkg --verify "$name" || { echo "dpkg --verify ended with $?"; exit 1; }
for file in /usr/share/man/man1/pine-rsh.1.gz /usr/share/man/man1/pine-rshctl.1.gz \\
  /usr/share/man/man5/pine-rsh-alias.5.gz /usr/share/bash-completion/completions/pine-rsh \\
  /usr/share/zsh/vendor-completions/_pine-rshctl /usr/share/fish/vendor_completions.d/pine-rsh.fish \\
  "/usr/share/doc/$name/copyright" "/usr/share/doc/$name/examples/pinerc"; do
  test -r "$file" || { echo "$file is missing"; exit 1; }
done
dpkg --listfiles "$name" >list
dpkg --purge "$name" >/dev/null
while read -r file; do
  case $file in *pine-rsh*) ! test -e "$file" || { echo "$file is left"; exit 1; } ;; esac
done <list
echo removed
END
cd "$home"
$enter /bin/sh -c 'cd "$1" && shift && exec /bin/sh ./inside "$@"' sh "$home" "$name" "$deb" "$4"
`;
