/** The demo as a person runs it: it shows real mail over SSH, tells the truth when it cannot, and leaves nothing. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { runDemo } from '../../src/commands/demo/run.ts';
import { readSettings } from '../../src/settings.ts';
import { displayWidth } from '../../src/terminal-columns.ts';
import { BUILDS } from '../helpers/builds.ts';
import { findLoginUser, giveTo } from '../helpers/login-user.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { openScreen } from '../helpers/screen.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

const SUBJECTS = [
  'Notes on the engine',
  'Found it: it was a moth',
  'rshd was switched off last night',
  'A tree that spans the office',
  'Re: do I still need a password for INBOX?',
];

/** A home whose temporary folder is its own, so that a test sees what is left there. */
function openHome(t: TestContext): { home: TempHome; scratch: string } {
  const home = openTempHome(t);
  const scratch = join(home.dir, 'tmp');
  mkdirSync(scratch, { mode: 0o700 });
  return { home: { ...home, env: { ...home.env, TMPDIR: scratch } }, scratch };
}

/** For the demo inside this process. */
function useScratch(t: TestContext, scratch: string): void {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = scratch;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
}

async function assertNothingLeft(scratch: string): Promise<void> {
  assert.deepEqual(readdirSync(scratch), []);
  await waitForNoProcess(scratch);
}

for (const build of BUILDS) {
  test(`${build.name}: the demo reads mail over SSH and leaves nothing behind`, {
    skip: build.skip,
  }, async (t) => {
    const { home, scratch } = openHome(t);
    const done = await runProgram(build.ctlPath, ['demo'], { env: home.env });
    const text = done.stdout.toString();
    assert.equal(done.code, 0, `${text}${done.stderr}`);
    assert.equal(done.stderr.toString(), '');
    for (const subject of SUBJECTS) assert.ok(text.includes(subject), subject);
    assert.match(text, /^ {2}\* PREAUTH /m);
    assert.ok(text.includes(`${build.rshPath} demo -l pat exec /etc/rimapd`), text);
    assert.ok(text.includes(`rsh-path=${build.rshPath}\n`));
    assert.ok(text.includes('inbox-path={demo/secure/user=pat}INBOX\n'));
    assert.match(text, /after \d+ ms/);
    assert.ok(!text.includes('\x1b'), 'no colours into a pipe');
    await assertNothingLeft(scratch);
  });

  test(`${build.name}: demo --keep leaves its folder, private, and says where`, {
    skip: build.skip,
  }, async (t) => {
    const { home, scratch } = openHome(t);
    const done = await runProgram(build.ctlPath, ['demo', '--keep'], { env: home.env });
    assert.equal(done.code, 0, done.stderr.toString());
    const [name = ''] = readdirSync(scratch);
    const dir = join(scratch, name);
    assert.ok(done.stdout.toString().includes(`kept in\n  ${dir}\n`));
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    assert.match(readFileSync(join(dir, 'config', 'hosts', 'demo.env'), 'utf8'), /^HOSTNAME=127\.0\.0\.1$/m);
    assert.equal(statSync(join(dir, 'id_ed25519')).mode & 0o777, 0o600);
    await waitForNoProcess(scratch);
  });

  test(`${build.name}: demo --alpine opens Alpine on the mailbox and cleans up when it is left`, {
    skip: build.skip || requirePrograms('alpine', 'tmux'),
  }, async (t) => {
    const { home, scratch } = openHome(t);
    const screen = openScreen(t, build.ctlPath, ['demo', '--alpine'], { env: home.env });
    await screen.waitFor('Found it: it was a moth');
    screen.keys('Enter');
    await screen.waitFor('Dear Pat,');
    screen.type('q');
    await screen.waitFor('Really quit Alpine?');
    screen.type('y');
    assert.equal(await screen.waitForExit(), 0);
    await assertNothingLeft(scratch);
  });

  test(`${build.name}: demo --alpine without a terminal says so`, {
    skip: build.skip || requirePrograms('alpine'),
  }, async (t) => {
    const { home, scratch } = openHome(t);
    const done = await runProgram(build.ctlPath, ['demo', '--alpine'], { env: home.env });
    assert.equal(done.code, 1);
    assert.match(done.stderr.toString(), /^pine-rshctl: alpine needs a terminal\n {2}hint: /);
    await assertNothingLeft(scratch);
  });
}

const [build] = BUILDS.filter(({ skip }) => skip === false);

test("the demo of a plain user uses Dovecot's imap where it is installed", {
  skip: requirePrograms('setpriv', 'imap'),
}, async (t) => {
  assert.ok(build);
  const { home, scratch } = openHome(t);
  const user = await findLoginUser();
  giveTo(user, home.dir);
  const words = [
    '--reuid',
    String(user.uid),
    '--regid',
    String(user.gid),
    '--clear-groups',
    build.ctlPath,
    'demo',
  ];
  const isRoot = process.getuid?.() === 0;
  const [command = '', ...rest] = isRoot ? [programPath('setpriv'), ...words] : [build.ctlPath, 'demo'];
  const done = await runProgram(command, rest, { env: home.env });
  assert.equal(done.code, 0, `${done.stdout}${done.stderr}`);
  assert.match(done.stdout.toString().replace(/\s+/g, ' '), /Dovecot's imap/);
  for (const subject of SUBJECTS) assert.ok(done.stdout.includes(subject), subject);
  await assertNothingLeft(scratch);
});

for (const columns of [40, 80]) {
  test(`the demo fits into ${columns} columns, but for lines to be copied`, async (t) => {
    assert.ok(build);
    const { home, scratch } = openHome(t);
    useScratch(t, scratch);
    const output = captureOutput({ columns, color: true });
    const options = { programPath: build.rshPath, alpine: false, keep: false };
    assert.equal(await runDemo(readSettings(home.env), options, output), 0, output.errors());
    const lines = stripVTControlCharacters(output.text()).split('\n');
    const copied = /^ +([A-Z_]+|rsh-path|ssh-path|inbox-path|folder-collections)=/;
    assert.deepEqual(
      lines.filter((line) => displayWidth(line) > columns && !copied.test(line)),
      [],
    );
    await assertNothingLeft(scratch);
  });
}

for (const [what, script, reason] of [
  ['ends at once', 'exit 3', /the demo failed: pine-rsh ended before the greeting$/m],
  ['says BYE', "printf '* BYE no\\r\\n'; cat >/dev/null", /the greeting is: \* BYE no$/m],
  [
    'says something with an escape',
    "printf '\\033[2J\\r\\n'; cat >/dev/null",
    /the greeting is: \\x1b\[2J$/m,
  ],
  [
    'refuses with an alert',
    "printf '* PREAUTH [ALERT] pine-rsh: demo: no route\\r\\n'; cat >/dev/null",
    /the demo failed: \[ALERT\] pine-rsh: demo: no route$/m,
  ],
  [
    'reads an empty mailbox',
    `printf '* PREAUTH x\\r\\n'; while read -r tag rest; do printf '%s OK done\\r\\n' "$tag"; done`,
    /5 messages lie in the mailbox, but these were not read$/m,
  ],
] as const) {
  test(`the demo fails with the reason and the log when pine-rsh ${what}`, async (t) => {
    const { home, scratch } = openHome(t);
    useScratch(t, scratch);
    const program = home.writeScript(
      'pine-rsh',
      `echo 'a line of the log' >"$PINE_RSH_STATE_DIR/log"\n${script}`,
    );
    const output = captureOutput({ columns: 200 });
    const options = { programPath: program, alpine: false, keep: false };
    assert.equal(await runDemo(readSettings(home.env), options, output), 1);
    assert.match(output.errors(), reason);
    assert.match(output.errors(), /^the log of this run:\n {2}a line of the log$/m);
    await assertNothingLeft(scratch);
  });
}

test('the demo stops and cleans up when its reader goes away', async (t) => {
  const { home, scratch } = openHome(t);
  useScratch(t, scratch);
  const program = home.writeScript('pine-rsh', 'exec sleep 1000');
  const output = captureOutput();
  const options = { programPath: program, alpine: false, keep: false };
  const demo = runDemo(readSettings(home.env), options, output);
  setTimeout(() => output.hangUp(), 500);
  assert.equal(await demo, 141);
  await assertNothingLeft(scratch);
});

test('Ctrl-C ends a demo that hangs, and nothing stays', { skip: requirePrograms('tmux') }, async (t) => {
  const { home, scratch } = openHome(t);
  mkdirSync(join(home.dir, 'bin'));
  home.writeScript('bin/pine-rsh', 'exec sleep 1000');
  assert.ok(build);
  const dist = join(dirname(dirname(build.rshPath)), 'dist');
  for (const name of ['pine-rsh.mjs', 'pine-rshctl.mjs']) {
    cpSync(join(dist, name), join(home.dir, 'dist', name));
  }
  const words = [join(home.dir, 'dist', 'pine-rshctl.mjs'), 'demo'];
  const screen = openScreen(t, process.execPath, words, { env: home.env });
  await screen.waitFor('What Pine runs');
  assert.ok(existsSync(join(scratch, readdirSync(scratch)[0] ?? 'none', 'id_ed25519')));
  screen.keys('C-c');
  assert.equal(await screen.waitForExit(), 130);
  await assertNothingLeft(scratch);
});
