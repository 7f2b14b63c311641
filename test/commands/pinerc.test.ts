/** The lines for ~/.pinerc: right for c-client, and never such that Pine would not run pine-rsh. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runPinerc } from '../../src/commands/pinerc.ts';
import { formatMailbox } from '../../src/commands/pinerc-lines.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

const PROGRAM = '/opt/pine-rsh/bin/pine-rsh';

function openHome(t: TestContext): { home: TempHome; settings: Settings } {
  const home = openTempHome(t);
  const settings = readSettings(home.env);
  return { home, settings: { ...settings, configDirs: [home.configDir, join(home.dir, 'etc')] } };
}

test('pinerc prints the program and the folders of an alias', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat' });
  const output = captureOutput({ columns: 20 });
  assert.equal(runPinerc(settings, { programPath: PROGRAM, alias: 'work' }, output), 0);
  assert.deepEqual(output.text().split('\n'), [
    `rsh-path=${PROGRAM}`,
    'rsh-open-timeout=15',
    'ssh-path=',
    'inbox-path={work/secure/user=pat}INBOX',
    'folder-collections="work" {work/secure/user=pat}[]',
    '',
  ]);
});

test('pinerc without an alias lists all, with one INBOX', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat' });
  home.writeAlias('ada@work', { USER: 'ada' });
  home.writeAlias('bad', { PROT: 1 });
  const output = captureOutput({ columns: 200 });
  assert.equal(runPinerc(settings, { programPath: PROGRAM, alias: undefined }, output), 1);
  assert.deepEqual(output.text().split('\n').slice(3), [
    'inbox-path={work/secure/user=ada}INBOX',
    '#inbox-path={work/secure/user=pat}INBOX',
    'folder-collections="ada@work" {work/secure/user=ada}[],',
    '\t"work" {work/secure/user=pat}[]',
    '',
  ]);
  assert.match(output.errors(), /unknown key PROT/);
});

test('pinerc without any alias prints what needs none', (t) => {
  const { settings } = openHome(t);
  const output = captureOutput();
  assert.equal(runPinerc(settings, { programPath: PROGRAM, alias: undefined }, output), 0);
  assert.equal(output.text(), `rsh-path=${PROGRAM}\nrsh-open-timeout=15\nssh-path=\n`);
});

for (const path of ['/home/a b/pine-rsh', '/opt/$x/pine-rsh', '/opt/"x"/pine-rsh']) {
  test(`pinerc refuses the program path ${path}, which Pine could not run`, (t) => {
    const { settings } = openHome(t);
    const output = captureOutput();
    assert.throws(() => runPinerc(settings, { programPath: path, alias: undefined }, output), {
      code: 'program-path-unusable',
    });
    assert.equal(output.text(), '');
  });
}

test('an IPv6 address as a host name stands in brackets, as c-client wants it', () => {
  assert.equal(formatMailbox({ label: 'x', host: '::1', user: 'pat' }), '{[::1]/secure/user=pat}');
});
