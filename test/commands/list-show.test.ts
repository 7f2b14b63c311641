/** What `list` and `show` tell about alias files, on wide and narrow terminals and to programs. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ALIAS_KEY_NAMES } from '../../src/alias/keys.ts';
import { runList } from '../../src/commands/list.ts';
import { runShow } from '../../src/commands/show.ts';
import { Failure } from '../../src/errors.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { displayWidth } from '../../src/terminal-columns.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

function openHome(t: TestContext): { home: TempHome; settings: Settings } {
  const home = openTempHome(t);
  const settings = readSettings(home.env);
  // A machine may have aliases of its own in /etc/pine-rsh.
  return { home, settings: { ...settings, configDirs: [home.configDir, join(home.dir, 'etc')] } };
}

const isFailure =
  (code: string, pattern: RegExp) =>
  (thrown: unknown): boolean => {
    assert.ok(thrown instanceof Failure);
    assert.equal(thrown.code, code);
    assert.match(`${thrown.message}; ${thrown.hint}`, pattern);
    return true;
  };

test('list shows where each alias leads and what else it is called', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat', ALIASES: 'mail,*.example.org' });
  home.writeAlias('home', { HOSTNAME: '::1', USER: 'ada', PORT: 2222 });
  const output = captureOutput();
  assert.equal(runList(settings, { json: false }, output), 0);
  assert.equal(output.text(), 'home  ada@[::1]:2222\nwork  pat@mail.example.org  mail, *.example.org\n');
});

test('list stacks its columns where they do not fit', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat', ALIASES: 'mail,*.example.org' });
  const output = captureOutput({ columns: 40 });
  runList(settings, { json: false }, output);
  assert.equal(output.text(), 'work\n  pat@mail.example.org\n  also mail, *.example.org\n');
});

test('list shows a broken alias with file, line and hint, and fails', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('good', { USER: 'pat' });
  const file = home.writeAlias('bad', { USER: 'pat', PROT: 22 });
  const output = captureOutput({ columns: 200 });
  assert.equal(runList(settings, { json: false }, output), 1);
  assert.match(output.text(), /^good +pat@good$/m);
  assert.ok(output.text().includes(`bad\n  ${file}:2: unknown key PROT\n  hint: write PORT\n`));
});

test('list tells how to begin where there is no alias', (t) => {
  const { home, settings } = openHome(t);
  const output = captureOutput({ columns: 200 });
  assert.equal(runList(settings, { json: false }, output), 0);
  assert.equal(output.text(), '');
  assert.ok(output.errors().includes(join(home.configDir, 'hosts', 'work.env')));
});

test('list --json gives every alias, good or bad, to programs', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat', ALIASES: 'mail' });
  home.writeAlias('bad', { PORT: 0 });
  const output = captureOutput();
  assert.equal(runList(settings, { json: true }, output), 1);
  const { aliases, problems } = JSON.parse(output.text());
  assert.deepEqual(problems, []);
  assert.equal(aliases[0].name, 'bad');
  assert.equal(aliases[0].problem.code, 'alias-syntax');
  assert.deepEqual(aliases[1], {
    name: 'work',
    file: join(home.configDir, 'hosts', 'work.env'),
    aliases: ['mail'],
    shadowed: false,
    hostname: 'mail.example.org',
    port: 22,
    user: 'pat',
  });
});

test('show gives every key with its value and where it was set', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat' });
  home.writeDefaults({ WARM: 2 });
  const output = captureOutput({ columns: 120 });
  assert.equal(runShow(settings, { alias: 'work', json: false }, output), 0);
  assert.match(output.text(), /^HOSTNAME +mail\.example\.org +work\.env:1$/m);
  assert.match(output.text(), /^USER +pat +work\.env:2$/m);
  assert.match(output.text(), /^WARM +2 +defaults\.env:1$/m);
  assert.match(output.text(), /^PORT +22 +default$/m);
  for (const key of ALIAS_KEY_NAMES) {
    if (key !== 'ALIASES' && key !== 'UNMANAGED')
      assert.match(output.text(), new RegExp(`^${key} +\\S`, 'm'));
  }
});

for (const columns of [20, 40, 80, 120]) {
  test(`show and list keep to ${columns} columns`, (t) => {
    const { home, settings } = openHome(t);
    home.writeAlias('work', {
      HOSTNAME: 'a-rather-long-name-of-a-mail-host.department.example.org',
      USER: 'pat',
      KNOWN_HOSTS: '~/.ssh/known_hosts,/etc/ssh/ssh_known_hosts,/etc/ssh/ssh_known_hosts_of_the_site',
    });
    home.writeAlias('bad', { HOSTNAME: 'x', PROT: 1 });
    const output = captureOutput({ columns });
    runShow(settings, { alias: 'work', json: false }, output);
    runList(settings, { json: false }, output);
    const wide = `${output.text()}${output.errors()}`
      .split('\n')
      .filter((line) => displayWidth(line) > columns);
    assert.deepEqual(wide, []);
  });
}

test('show writes values as an alias file takes them', (t) => {
  const { home, settings } = openHome(t);
  const keys = {
    HOSTNAME: '2001:db8::1',
    PROXY_JUMP: 'gate,pat@[2001:db8::2]:2222',
    CIPHERS: '-aes128-cbc',
    IDENTITY_FILE: 'none',
    SHARE: 'no',
    PERSIST: '10m',
  };
  home.writeAlias('work', keys);
  const output = captureOutput();
  runShow(settings, { alias: 'work', json: true }, output);
  const { values } = JSON.parse(output.text());
  const shown = Object.keys(keys).map((key) => values[key].value);
  assert.deepEqual(shown, [keys.HOSTNAME, keys.PROXY_JUMP, keys.CIPHERS, 'none', 'no', '600']);
  assert.deepEqual(values.SHARE.source, { file: join(home.configDir, 'hosts', 'work.env'), line: 5 });
  assert.deepEqual(values.WARM, { value: '1', source: null });
});

test('show finds an alias by user and host and by its other names', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat', ALIASES: 'mail' });
  for (const [word, user] of [
    ['mail', 'pat'],
    ['ada@work', 'ada'],
  ] as const) {
    const output = captureOutput();
    runShow(settings, { alias: word, json: true }, output);
    assert.equal(JSON.parse(output.text()).values.USER.value, user);
  }
});

test('show of a broken alias says file, line and cure', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('bad', { PROT: 22 });
  const show = () => runShow(settings, { alias: 'bad', json: false }, captureOutput());
  assert.throws(show, isFailure('alias-syntax', /bad\.env:1: unknown key PROT; write PORT/));
});

test('show names the alias that was probably meant, even beside a broken one', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat' });
  home.writeAlias('bad', { PROT: 22 });
  const show = () => runShow(settings, { alias: 'wrok', json: false }, captureOutput());
  assert.throws(show, isFailure('alias-missing', /no alias wrok; did you mean work\?/));
});

test('show of an unknown name says which file would make it one', (t) => {
  const { home, settings } = openHome(t);
  const show = () => runShow(settings, { alias: 'office', json: false }, captureOutput());
  assert.throws(show, isFailure('alias-missing', new RegExp(`create ${home.configDir}/hosts/office.env`)));
});

test('colours appear only where they are wanted', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat' });
  for (const color of [true, false]) {
    const output = captureOutput({ color });
    runList(settings, { json: false }, output);
    runShow(settings, { alias: 'work', json: false }, output);
    assert.equal(output.text().includes('\x1b['), color);
  }
});

test('list prints bare names for scripts, and only those that a mail client can give', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { USER: 'pat' });
  const names = (): [number, string] => {
    const output = captureOutput();
    return [runList(settings, { json: false, names: true }, output), output.text()];
  };
  assert.deepEqual(names(), [0, 'work\n']);
  home.writeAlias('a b', { USER: 'pat' });
  assert.deepEqual(names(), [1, 'work\n']);
  assert.equal(runList(settings, { json: true }, captureOutput()), 1);
});

test('list names the file that is not used because another one comes first', (t) => {
  const { home, settings } = openHome(t);
  home.writeAlias('work', { HOSTNAME: 'mine', USER: 'pat' });
  const file = home.writeFile('etc/hosts/work.env', 'HOSTNAME=theirs\nUSER=pat\n');
  const output = captureOutput({ columns: 200, color: true });
  runList(settings, { json: false }, output);
  assert.ok(output.text().includes(`  shadowed, not used: ${file}\n`), output.text());
  assert.ok(output.text().startsWith('\x1b[1mwork\x1b[0m  pat@mine'), output.text());
});
