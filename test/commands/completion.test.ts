/** Completions in the real bash, zsh and fish, as a person types them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type TestContext, test } from 'node:test';
import { COMMANDS, runCtl } from '../../src/ctl-args.ts';
import { readSettings } from '../../src/settings.ts';
import { BUILDS } from '../helpers/builds.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { openScreen, type Screen } from '../helpers/screen.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

const PROGRAM = { path: '/opt/bin/pine-rsh', version: '1.2.3' };
const BUILD = BUILDS.find(({ skip }) => skip === false);

function openShellHome(t: TestContext): TempHome {
  assert.ok(BUILD);
  const home = openTempHome(t);
  for (const name of ['work', 'pat@mail', 'lee@mail']) home.writeAlias(name, { HOSTNAME: 'localhost' });
  // No shell may run what a file name says.
  home.writeAlias('$(touch gotcha)', { HOSTNAME: 'localhost' });
  const PATH = `${dirname(BUILD.ctlPath)}:${home.env['PATH']}`;
  return { ...home, env: { ...home.env, PATH, PS1: '> ', HISTFILE: '' } };
}

/** What is on the line after typing `line` and Tab, then the whole screen. */
async function complete(screen: Screen, line: string, completed: RegExp | string): Promise<string> {
  screen.type(line);
  screen.keys('Tab');
  const shown = await screen.waitFor(completed);
  screen.keys('C-u');
  screen.type('clear');
  screen.keys('Enter');
  await screen.waitFor(/^>\s*$/);
  return shown;
}

for (const [shell, words, rc] of [
  ['bash', ['--norc', '--noprofile', '-i'], 'source <(pine-rshctl completion bash)'],
  ['zsh', ['-f', '-i'], "PS1='> '; autoload -Uz compinit; compinit -u; source <(pine-rshctl completion zsh)"],
] as const) {
  test(`${shell} completes commands, options and aliases`, {
    skip: requirePrograms(shell, 'tmux'),
  }, async (t) => {
    const home = openShellHome(t);
    const screen = openScreen(t, programPath(shell), words, { env: home.env });
    await screen.waitFor(/^[^\n]*[>%#$]\s*$/);
    screen.type(`${rc}; clear; echo ready`);
    screen.keys('Enter');
    await screen.waitFor(/^ready\n>\s*$/m);
    screen.type('clear');
    screen.keys('Enter');
    await screen.waitFor(/^>\s*$/);

    await complete(screen, 'pine-rshctl sh', 'pine-rshctl show');
    await complete(screen, 'pine-rshctl show w', 'pine-rshctl show work');
    await complete(screen, 'pine-rshctl show p', 'pine-rshctl show pat@mail');
    await complete(screen, 'pine-rshctl show pat@', 'pine-rshctl show pat@mail');
    await complete(screen, 'pine-rshctl show --json le', '--json lee@mail');
    await complete(screen, 'pine-rshctl log --fo', '--follow');
    await complete(screen, 'pine-rshctl trust --fingerprint X w', '--fingerprint X work');
    await complete(screen, 'pine-rshctl completion f', 'completion fish');
    await complete(screen, 'pine-rshctl doctor work le', 'doctor work lee@mail');
    await complete(screen, 'pine-rshctl queue fl', 'queue flush');
    await complete(screen, 'pine-rsh w', 'pine-rsh work');
    await complete(screen, 'pine-rsh lee@m', 'pine-rsh lee@mail');
    home.writeFile('a file.pinerc', '');
    await complete(screen, 'pine-rshctl doctor work --pinerc ~/a', /--pinerc ~\/a\\ file\.pinerc/);
    // A second Tab shows what there is to choose from.
    screen.type('pine-rshctl show ');
    screen.keys('Tab', 'Tab');
    const shown = await screen.waitFor(/lee@mail +pat@mail +work/);
    assert.ok(!shown.includes('gotcha'), shown);
  });
}

test('fish completes commands, options and aliases', { skip: requirePrograms('fish') }, async (t) => {
  const home = openShellHome(t);
  const ask = async (line: string): Promise<string[]> => {
    const script = 'pine-rshctl completion fish | source; complete -C $argv[1]';
    const words = ['--no-config', '-c', script, line];
    const done = await runProgram(programPath('fish'), words, { env: home.env });
    assert.equal(done.stderr.toString(), '');
    return done.stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((each) => each.split('\t')[0] as string);
  };
  home.writeFile('some.pinerc', '');
  const first = await ask('pine-rshctl ');
  for (const { name } of COMMANDS) assert.ok(first.includes(name), name);
  for (const [line, words] of [
    ['pine-rshctl sh', ['show']],
    ['pine-rshctl show ', ['lee@mail', 'pat@mail', 'work']],
    ['pine-rshctl show --json p', ['pat@mail']],
    ['pine-rshctl show work ', ['']],
    ['pine-rshctl trust --fingerprint X w', ['work']],
    ['pine-rshctl log --fo', ['--follow']],
    ['pine-rshctl completion ', ['bash', 'fish', 'zsh']],
    ['pine-rshctl doctor work le', ['lee@mail']],
    ['pine-rshctl queue fl', ['flush']],
    ['pine-rsh le', ['lee@mail']],
    [`pine-rshctl doctor work --pinerc ${home.dir}/some`, [`${home.dir}/some.pinerc`]],
  ] as const) {
    assert.deepEqual((await ask(line)).sort(), words, line);
  }
});

for (const shell of ['bash', 'zsh', 'fish']) {
  test(`the completions of ${shell} have every command and option, and the shell finds no mistake`, {
    skip: requirePrograms(shell),
  }, async (t) => {
    const home = openTempHome(t);
    const output = captureOutput();
    assert.equal(await runCtl(['completion', shell], readSettings(home.env), PROGRAM, output), 0);
    const file = home.writeFile('completion', output.text());
    const checked = await runProgram(programPath(shell), ['-n', file], { env: home.env });
    assert.deepEqual([checked.code, checked.stderr.toString()], [0, '']);
    const text = readFileSync(file, 'utf8');
    for (const { name, options } of COMMANDS) {
      assert.match(text, new RegExp(`\\b${name}\\b`), name);
      for (const option of Object.keys(options))
        assert.match(text, new RegExp(`(?:--|-l )${option}\\b`), `${name} --${option}`);
    }
  });
}

test('a shell that has no completions is a usage error with the nearest one', async (t) => {
  const home = openTempHome(t);
  const output = captureOutput();
  assert.equal(await runCtl(['completion', 'bsh'], readSettings(home.env), PROGRAM, output), 64);
  assert.match(output.errors(), /no completions for bsh; did you mean bash\?/);
});

test('list --names gives the names that a mail client can give, one on a line', async (t) => {
  const home = openTempHome(t);
  for (const name of ['work', 'pat@mail', 'a b', '-x']) home.writeAlias(name, { HOSTNAME: 'localhost' });
  const output = captureOutput();
  await runCtl(['list', '--names'], readSettings(home.env), PROGRAM, output);
  assert.deepEqual([output.text(), output.errors()], ['pat@mail\nwork\n', '']);
});
