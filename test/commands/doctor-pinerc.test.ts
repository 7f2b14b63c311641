/** What `doctor` finds in a .pinerc: each line with which Alpine would not run pine-rsh, or not well. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { examinePinerc } from '../../src/commands/doctor/pinerc.ts';
import { readSettings } from '../../src/settings.ts';
import { openTempHome } from '../helpers/temp-home.ts';

function openPinerc(t: TestContext) {
  const home = openTempHome(t);
  home.writeAlias('work', { USER: 'pat' });
  const settings = readSettings(home.env);
  const programPath = home.writeScript('pine-rsh', '');
  const options = new Map<string, string>();
  const found = lookupAlias(settings, { host: 'work', user: undefined, port: undefined, options });
  assert.ok(found.kind === 'managed');
  const { alias } = found;
  /** `MARK: TEXT` of each finding, file names shortened. */
  const examine = (
    text: string | undefined,
    file = 'pinerc',
    { program = programPath, named = false } = {},
  ): string[] => {
    if (text !== undefined) home.writeFile(file, text);
    const context = { settings, programPath: program, file: join(home.dir, file), named };
    return examinePinerc('work', alias, context).map(({ mark, text: said }) =>
      `${mark}: ${said}`.replaceAll(`${home.dir}/`, ''),
    );
  };
  return { home, programPath, examine };
}

const FOLDER = 'inbox-path={work/secure/user="pat"}INBOX\n';

test('a .pinerc that opens the alias well is praised, and one that is missing is no fault', (t) => {
  const { home, programPath, examine } = openPinerc(t);
  const good = `${FOLDER}rsh-path=${programPath}\nrsh-open-timeout=15\nssh-path=""\nrsh-command=%s %s -l %s exec /etc/r%sd\n`;
  assert.deepEqual(examine(good), ['ok: pinerc opens work with pine-rsh']);
  assert.deepEqual(examine(undefined, 'none'), [
    'ok: none does not exist; the right lines: pine-rshctl pinerc work',
  ]);
  assert.deepEqual(examine(undefined, 'none', { named: true }), ['failed: none does not exist']);
  mkdirSync(join(home.dir, 'folder'));
  assert.deepEqual(examine(undefined, 'folder'), ['warning: folder cannot be read (EISDIR)']);
});

test('folders of others, and of other protocols, are not those of the alias', (t) => {
  const { home, programPath, examine } = openPinerc(t);
  for (const folder of ['{other}INBOX', '{work/nntp}', '{work/service=pop3}', '{}', '{:143}', 'mail/[]'])
    assert.deepEqual(examine(`inbox-path=${folder}\n`), ['warning: no folder of work in pinerc'], folder);
  assert.deepEqual(
    examine(`inbox-path={work/service=imap/secure}INBOX\nrsh-path=${programPath}\n`).length,
    1,
  );
  home.writeFile('.config/pine-rsh/hosts/work.env', 'NONSENSE=1\n');
  assert.deepEqual(examine(FOLDER), ['warning: no folder of work in pinerc']);
});

test('an rsh-path that Alpine does not use is a fault', (t) => {
  const { home, programPath, examine } = openPinerc(t);
  const path = (value: string): string[] => examine(`${FOLDER}rsh-path=${value}\n`);
  home.writeFile('plain', '');
  assert.match(examine(FOLDER)[0] ?? '', /^failed: pinerc sets no rsh-path/);
  assert.match(path('')[0] ?? '', /^failed: pinerc sets no rsh-path/);
  assert.match(path('pine-rsh')[0] ?? '', /^failed: pinerc:2: rsh-path is not an absolute path/);
  assert.match(path('"/opt/a b/pine-rsh"')[0] ?? '', /^failed: pinerc:2: rsh-path holds a blank/);
  for (const none of ['plain', 'none', 'run'])
    assert.match(path(join(home.dir, none))[0] ?? '', /^failed: pinerc:2: rsh-path is no program/);
  assert.match(path('/bin/sh')[0] ?? '', /^warning: pinerc:2: rsh-path is not this pine-rsh/);
  symlinkSync(programPath, join(home.dir, 'link'));
  assert.deepEqual(path(join(home.dir, 'link')), [`ok: pinerc opens work with link`]);
  const gone = examine(`${FOLDER}rsh-path=${programPath}\n`, 'pinerc', { program: '/gone/pine-rsh' });
  assert.deepEqual(gone, ['warning: pinerc:2: rsh-path is not this pine-rsh (/gone/pine-rsh)']);
});

test('the launcher, what it starts, and links to either are this pine-rsh', (t) => {
  const { home, examine } = openPinerc(t);
  const launcher = home.writeScript('opt/bin/pine-rsh', '');
  for (const [link, target] of [
    ['launcher', launcher],
    ['standalone', home.writeScript('opt/dist/pine-rsh', '')],
    ['bundle', home.writeScript('opt/dist/pine-rsh.mjs', '')],
  ] as const) {
    symlinkSync(target, join(home.dir, link));
    for (const path of [target, join(home.dir, link)]) {
      for (const program of [launcher, join(home.dir, 'launcher')]) {
        const [finding = ''] = examine(`${FOLDER}rsh-path=${path}\n`, 'pinerc', { program });
        assert.match(finding, /^ok: /, path);
      }
    }
  }
  const other = home.writeScript('opt/dist/pine-rshctl', '');
  const [finding = ''] = examine(`${FOLDER}rsh-path=${other}\n`, 'pinerc', { program: launcher });
  assert.match(finding, /^warning: .* is not this pine-rsh/);
});

test('settings and flags that keep Alpine from rsh are named', (t) => {
  const { programPath, examine } = openPinerc(t);
  const program = `rsh-path=${programPath}\n`;
  for (const [lines, finding] of [
    ['rsh-command=%s %s sudo\n', /^warning: pinerc sets an rsh-command/],
    ['ssh-path=/usr/bin/ssh\n', /^failed: pinerc sets ssh-path/],
    ['rsh-open-timeout=0\n', /^failed: pinerc:3: rsh-open-timeout=0/],
    ['rsh-open-timeout=2\n', /^warning: pinerc:3: rsh-open-timeout is less/],
    ['tcp-query-timeout=5\n', /^warning: pinerc:3: tcp-query-timeout=5/],
  ] as const) {
    const findings = examine(`${FOLDER}${program}${lines}`);
    assert.equal(findings.length, 1, lines);
    assert.match(findings[0] ?? '', finding);
  }
  assert.equal(examine(`${FOLDER}${program}rsh-open-timeout=\ntcp-query-timeout=\n`)[0]?.slice(0, 3), 'ok:');
  for (const [folder, finding] of [
    ['{work:143/secure}', /^failed: .* has a port/],
    ['{work/ssl/secure}', /^failed: .* has \/ssl/],
    ['{work/tryssl/secure}', /^warning: .* has \/tryssl/],
    ['{work}', /^warning: .* lacks \/secure/],
  ] as const) {
    const findings = examine(`inbox-path=${folder}INBOX\n${program}`);
    assert.equal(findings.length, 1, folder);
    assert.match(findings[0] ?? '', finding);
  }
});
