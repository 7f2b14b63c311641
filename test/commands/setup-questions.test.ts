/** What setup asks, which answers it takes, and what it does with them; no host is needed. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Answers, Declined } from '../../src/commands/setup/answers.ts';
import { chooseChanges, type SetupChanges, writeChanges } from '../../src/commands/setup/changes.ts';
import { chooseKey } from '../../src/commands/setup/choose-key.ts';
import type { VisitedHost } from '../../src/commands/setup/host-plan.ts';
import type { InstallPlan } from '../../src/commands/setup/install.ts';
import { answerFromFile, rememberAnswers } from '../../src/commands/setup/password.ts';
import { chooseName, visitAll } from '../../src/commands/setup/places.ts';
import { openStaging } from '../../src/commands/setup/staging.ts';
import { FileChanges } from '../../src/commands/setup/write.ts';
import { runSetup, type SetupOptions, type SetupRun } from '../../src/commands/setup.ts';
import { Failure } from '../../src/errors.ts';
import { readSettings } from '../../src/settings.ts';
import type { PromptRequest } from '../../src/transport/prompt.ts';
import { makeKeyFile } from '../helpers/key-files.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

const NEEDS_KEYS = requirePrograms('ssh-keygen');
const NEVER = new AbortController().signal;

const NOTHING_GIVEN: SetupOptions = {
  alias: undefined,
  place: undefined,
  key: undefined,
  'password-file': undefined,
  fingerprint: undefined,
  jump: undefined,
  imapd: undefined,
  sendmail: undefined,
  forward: undefined,
  unmanaged: undefined,
  pinerc: undefined,
  replace: false,
  yes: false,
  programPath: '/opt/bin/pine-rsh',
};

/** A run at which a person types `typed`; what is left of it was not asked for. */
function openRun(t: TestContext, typed: (string | undefined)[] = [], given: Partial<SetupOptions> = {}) {
  const home = openTempHome(t);
  const settings = {
    ...readSettings(home.env),
    configDirs: [home.configDir, join(home.dir, 'etc')] as const,
  };
  const output = { ...captureOutput(), interactive: true };
  const asked: string[] = [];
  const ask = async (question: string): Promise<string | undefined> => {
    asked.push(question);
    assert.ok(typed.length > 0, `nobody answers: ${question}`);
    return typed.shift();
  };
  const options = { ...NOTHING_GIVEN, ...given };
  const answers = new Answers({ output, ask, signal: NEVER, takeProposals: options.yes });
  const staging = openStaging(settings);
  t.after(() => staging.close());
  const run: SetupRun = {
    settings,
    options,
    output,
    ask,
    answers,
    staging,
    prompt: undefined,
    fingerprint: undefined,
    signal: NEVER,
  };
  return { home, run, asked, output };
}

const QUESTION = { name: 'imapd', text: 'which', option: '--imapd', given: undefined } as const;
const check = (text: string) => (text === 'good' ? undefined : 'that is not good');

test('a question is asked until its answer is good, and Return takes what is proposed', async (t) => {
  const { run, asked, output } = openRun(t, ['', 'bad', ' good ', '']);
  const question = { ...QUESTION, about: ['about\x1b[8m it'], check };
  assert.equal(await run.answers.get({ ...question, proposal: undefined }), 'good');
  assert.deepEqual(asked, ['which? ', 'which? ', 'which? ']);
  assert.equal(output.text(), 'about\\x1b[8m it\nplease answer\nthat is not good\n');
  assert.equal(await run.answers.get({ ...question, proposal: 'good' }), 'good');
  assert.equal(asked.at(-1), 'which [good]? ');
});

test('the end of input declines, and an option is answered or refused at once', async (t) => {
  const { run } = openRun(t, [undefined, 'perhaps', 'Y', 'n']);
  const question = { ...QUESTION, proposal: undefined, check };
  await assert.rejects(run.answers.get(question), Declined);
  assert.equal(await run.answers.get({ ...question, given: 'good' }), 'good');
  await assert.rejects(run.answers.get({ ...question, given: 'x' }), /--imapd: that is not good/);
  await assert.rejects(run.answers.get({ ...question, option: 'an alias', given: 'x' }), {
    message: /(?<!--imapd: )that is not good$/,
  });
  assert.equal(await run.answers.getYesNo({ ...QUESTION, proposal: false }), true);
  assert.equal(await run.answers.getYesNo({ ...QUESTION, proposal: true }), false);
});

test('without a person what is proposed is taken with --yes only', async (t) => {
  const { run, output } = openRun(t, [], { yes: true });
  assert.equal(await run.answers.getYesNo({ ...QUESTION, proposal: true }), true);
  const nobody = { output: { ...output, interactive: false }, ask: run.ask, signal: NEVER };
  const alone = new Answers({ ...nobody, takeProposals: false });
  await assert.rejects(alone.get({ ...QUESTION, proposal: 'good', check }), {
    code: 'usage',
    message: /without one it needs --imapd/,
  });
});

const REQUEST: PromptRequest = {
  kind: 'password',
  title: 'pat@mail:22',
  instructions: '',
  prompts: [{ text: 'Password: ', echo: false }],
  again: false,
};

test('a password is asked for once, a code each time, and a wrong one again', async () => {
  const answers: (string[] | undefined)[] = [['one'], ['two'], undefined, ['1'], ['2']];
  const prompt = rememberAnswers(async () => answers.shift());
  assert.deepEqual(await prompt(REQUEST), ['one']);
  assert.deepEqual(await prompt(REQUEST), ['one']);
  assert.deepEqual(await prompt({ ...REQUEST, again: true }), ['two']);
  assert.deepEqual(await prompt(REQUEST), ['two']);
  assert.equal(await prompt({ ...REQUEST, title: 'other' }), undefined);
  const code = { ...REQUEST, prompts: [{ text: 'Code: ', echo: true }] };
  assert.deepEqual([await prompt(code), await prompt(code)], [['1'], ['2']]);
});

test('a password from a file answers what is not to be seen, and once', async (t) => {
  const { home, run } = openRun(t);
  const prompt = answerFromFile(home.writeFile('pw', 'secret\r\nmore\n'), run.settings);
  const prompts = [
    { text: 'User: ', echo: true },
    { text: 'Password: ', echo: false },
  ];
  assert.deepEqual(await prompt({ ...REQUEST, prompts }), ['', 'secret']);
  assert.equal(await prompt({ ...REQUEST, prompts, again: true }), undefined);
  assert.throws(() => answerFromFile(join(home.dir, 'none'), run.settings), {
    code: 'file-unusable',
    message: /does not exist/,
  });
  assert.throws(() => answerFromFile(home.writeFile('open', 'x', 0o644), run.settings), {
    code: 'file-untrusted',
  });
});

test('what a killed setup left is removed by the next, and that of a living one stays', (t) => {
  const { run } = openRun(t);
  const [runtime] = run.settings.runtimeDirs;
  assert.ok(runtime);
  for (const name of ['setup-4194305-abc', `setup-${process.ppid}-abc`, 'setup-x'])
    mkdirSync(join(runtime, name));
  openStaging(run.settings).close();
  assert.deepEqual(
    readdirSync(runtime).filter((name) => /abc$|x$/.test(name)),
    [`setup-${process.ppid}-abc`, 'setup-x'].sort(),
  );
  assert.throws(() => openStaging({ ...run.settings, runtimeDirs: ['/dev/null/none'] }), {
    code: 'file-unusable',
    message: /no folder that is yours alone/,
  });
});

/** A host that was visited, as far as files need to know. */
function makePlan(more: Partial<InstallPlan> = {}): InstallPlan & { recorded: () => number } {
  let recorded = 0;
  const host = {
    name: 'work',
    role: 'mail',
    keys: { HOSTNAME: 'mail.example.org', USER: 'pat' },
    alias: { name: 'work', hostname: 'mail.example.org', user: 'pat', port: 22, knownHosts: [] },
    decision: { fresh: [], record: () => recorded++ },
    software: 'OpenSSH_9.2p1',
    byKey: false,
    key: undefined,
  } as unknown as VisitedHost;
  return {
    hosts: [host],
    imapd: 'auto',
    sendmail: undefined,
    forwards: [],
    ...more,
    recorded: () => recorded,
  };
}

const PINERC = [
  'inbox-path={imap.example.org/user=pat}INBOX',
  'folder-collections={work}[], {a/ssl}[], {b:993}[], {c/norsh}[], {news/nntp}[]',
  '',
].join('\n');

test('deny is proposed only where no folder in use would be refused', async (t) => {
  const { home, run, asked, output } = openRun(t, ['', '']);
  home.writeFile('.pinerc', PINERC);
  const changes = await chooseChanges(makePlan(), run);
  assert.deepEqual(changes, { unmanaged: undefined, pinerc: join(home.dir, '.pinerc') });
  assert.match(output.text(), /folders that would be refused: imap\.example\.org\n/);
  assert.match(asked[0] ?? '', /\(deny\/allow\) \[allow\]\? $/);
  assert.match(asked[1] ?? '', /a copy of it is kept\) \[yes\]\? $/);

  // A broken file could be that of any host: then none is left to Alpine.
  const broken = openRun(t, [], { yes: true });
  broken.home.writeFile('.pinerc', PINERC);
  broken.home.writeFile('.config/pine-rsh/hosts/broken.env', 'NONSENSE=1\n');
  assert.equal((await chooseChanges(makePlan(), broken.run)).unmanaged, 'deny');

  const fresh = openRun(t, ['maybe', 'deny', 'no']);
  assert.deepEqual(await chooseChanges(makePlan(), fresh.run), {
    unmanaged: 'deny',
    pinerc: undefined,
  });
  assert.match(fresh.asked[0] ?? '', /\[deny\]\? $/);
  assert.match(fresh.output.text(), /deny or allow\n$/);
});

test('what is said already is not asked, and another .pinerc is edited without asking', async (t) => {
  const { home, run } = openRun(t, [], { pinerc: '/some/where/pinerc' });
  home.writeDefaults({ UNMANAGED: 'allow' });
  assert.deepEqual(await chooseChanges(makePlan(), run), {
    unmanaged: undefined,
    pinerc: '/some/where/pinerc',
  });
  const given = { ...run, options: { ...run.options, unmanaged: 'allow', pinerc: 'no' } };
  assert.deepEqual(await chooseChanges(makePlan(), given), { unmanaged: 'allow', pinerc: undefined });
});

test('a .pinerc that cannot be read is told before anything is changed', async (t) => {
  const { home, run } = openRun(t, [], { yes: true, pinerc: '/' });
  await assert.rejects(chooseChanges(makePlan(), run), {
    code: 'file-unusable',
    message: '/: is a folder',
  });
  home.writeFile('.pinerc/in/the/way', '');
  const own = { ...run, options: { ...run.options, pinerc: 'yes' } };
  await assert.rejects(chooseChanges(makePlan(), own), { code: 'file-unusable' });
});

test('UNMANAGED takes the place of a line that says otherwise, and the rest stays', (t) => {
  const { home, run } = openRun(t);
  const file = join(home.configDir, 'defaults.env');
  const write = (before: string | undefined, unmanaged: SetupChanges['unmanaged']): string => {
    if (before !== undefined) home.writeFile('.config/pine-rsh/defaults.env', before);
    writeChanges(makePlan(), { unmanaged, pinerc: undefined }, run);
    return readFileSync(file, 'utf8');
  };
  assert.equal(write(undefined, 'deny'), 'UNMANAGED=deny\n');
  assert.equal(write('A=1\n UNMANAGED = allow\nB=2', 'deny'), 'A=1\nUNMANAGED=deny\nB=2');
  assert.equal(write('A=1', 'allow'), 'A=1\nUNMANAGED=allow\n');
  assert.equal(write('A=1\n', 'allow'), 'A=1\nUNMANAGED=allow\n');
  assert.equal(write('', 'allow'), 'UNMANAGED=allow\n');
  assert.equal(readFileSync(`${file}.old`, 'utf8'), '');
});

test('an INBOX elsewhere stays, and without a .pinerc its lines are printed', (t) => {
  const { home, run, output } = openRun(t);
  const pinerc = home.writeFile('.pinerc', PINERC);
  const plan = makePlan({ sendmail: '/usr/sbin/sendmail' });
  writeChanges(plan, { unmanaged: undefined, pinerc }, run);
  assert.match(output.text(), /INBOX stays where it is/);
  assert.equal(readFileSync(`${pinerc}.before-pine-rsh`, 'utf8'), PINERC);
  assert.match(readFileSync(pinerc, 'utf8'), /^inbox-path=\{imap\.example\.org/);
  assert.equal(plan.recorded(), 1);
  writeChanges(plan, { unmanaged: undefined, pinerc: undefined }, run);
  assert.match(
    output.text(),
    /the lines for \.pinerc:\n(?: {2}.*\n)* {2}sendmail-path=\/opt\/bin\/pine-rsh work sendmail/,
  );
});

test('where one file cannot be written all others are as before', (t) => {
  const { home, run } = openRun(t);
  const alias = home.writeAlias('work', { HOSTNAME: 'before' });
  const before = readFileSync(alias, 'utf8');
  const pinerc = join(home.dir, 'folder');
  mkdirSync(pinerc);
  assert.throws(() => writeChanges(makePlan(), { unmanaged: 'deny', pinerc }, run));
  assert.equal(readFileSync(alias, 'utf8'), before);
  assert.equal(existsSync(join(home.configDir, 'defaults.env')), false);
});

test('changes are taken back as far as they can be', (t) => {
  const { home } = openRun(t);
  const changes = new FileChanges();
  const [there, made] = [home.writeFile('there', 'before'), join(home.dir, 'new', 'deep', 'file')];
  changes.replace(there, 'after');
  changes.replace(made, 'after');
  changes.writeKey({ file: join(home.dir, 'key'), text: 'private', publicKey: 'public' });
  changes.writeKey({ file: join(home.dir, 'agent.pub'), text: 'public\n', publicKey: 'public' });
  changes.writeKey({ file: '/nowhere', text: undefined, publicKey: 'public' });
  assert.throws(() => changes.writeKey({ file: join(home.dir, 'key'), text: 'x', publicKey: 'x' }), Failure);
  writeFileSync(join(home.dir, 'new', 'more'), '');
  changes.undo();
  assert.equal(readFileSync(there, 'utf8'), 'before');
  for (const path of ['new', 'key', 'key.pub', 'agent.pub'])
    assert.equal(existsSync(join(home.dir, path)), false);
});

test('which key opens a host is asked where there is a choice', { skip: NEEDS_KEYS }, async (t) => {
  const choose = async ({
    typed = [],
    key,
    byKey = false,
    role = 'mail',
    files = false,
    yes = false,
  }: {
    typed?: (string | undefined)[];
    key?: string;
    byKey?: boolean;
    role?: 'mail' | 'gateway';
    files?: boolean;
    yes?: boolean;
  }) => {
    const { home, run, output } = openRun(t, typed, { key, yes });
    mkdirSync(join(home.dir, '.ssh'), { mode: 0o700 });
    if (files) makeKeyFile(join(home.dir, '.ssh'), 'id_ed25519', { type: 'ed25519' });
    const other = makeKeyFile(home.dir, 'other', { type: 'ed25519' });
    const words = typed.indexOf('OTHER');
    if (words >= 0) typed[words] = other;
    if (key === 'OTHER') (run.options as { key: string }).key = other;
    const visit = { byKey, alias: { user: 'pat', identityAgent: 'none' } } as unknown as VisitedHost;
    const planned = await chooseKey({ name: 'work', role }, visit, run);
    const { text } = planned ?? {};
    return [planned?.file.slice(home.dir.length + 1), text !== undefined, output.text()] as const;
  };
  const NEW = ['.ssh/pine-rsh-work', true] as const;
  assert.deepEqual(await choose({ byKey: true, role: 'gateway' }), [undefined, false, '']);
  assert.deepEqual(await choose({ byKey: true, key: 'existing' }), [undefined, false, '']);
  assert.deepEqual((await choose({ byKey: true, key: 'new' })).slice(0, 2), NEW);
  assert.deepEqual((await choose({ byKey: true, typed: ['what', 'use'] })).slice(0, 2), [undefined, false]);
  assert.deepEqual((await choose({ byKey: true, typed: ['new'] })).slice(0, 2), NEW);
  assert.match((await choose({}))[2], /a new key for it will be kept in .*pine-rsh-work/);
  assert.deepEqual((await choose({ key: 'existing', files: true })).slice(0, 2), ['.ssh/id_ed25519', false]);
  await assert.rejects(choose({ key: 'existing' }), {
    code: 'usage',
    message: /there is no key in ~\/\.ssh/,
  });
  await assert.rejects(choose({ key: 'agent' }), { code: 'usage', message: /ssh-agent holds no key/ });
  assert.deepEqual((await choose({ key: 'OTHER' })).slice(0, 2), ['other', false]);
  assert.deepEqual((await choose({ files: true, yes: true })).slice(0, 2), NEW);
  const chosen = await choose({ files: true, typed: ['none', 'OTHER'] });
  assert.deepEqual(chosen.slice(0, 2), ['other', false]);
  assert.match(chosen[2], /keys that are there: .*id_ed25519\n.*\nnew, or the path of a private key\n/s);
});

test('an alias that is there is replaced only with a yes', async (t) => {
  const { home, run, asked } = openRun(t, ['Work!', 'work', 'yes', 'work', '']);
  const file = home.writeAlias('work', { USER: 'pat' });
  assert.equal(await chooseName(run), 'work');
  assert.match(asked.join(''), /it \[no\]\? $/);
  await assert.rejects(chooseName(run), { code: 'alias-exists' });
  const replacing = { ...run, options: { ...run.options, alias: 'work', replace: true } };
  assert.equal(await chooseName(replacing), 'work');
  assert.ok(existsSync(file));
});

test('gateways are aliases that are there, or places whose name is free', async (t) => {
  const { home, run, asked } = openRun(t, [undefined]);
  home.writeAlias('gate', { USER: 'pat', SSH_CONFIG: 'no' });
  const visit = (jump: string) => visitAll('work', { ...run, options: { ...run.options, jump } }, []);
  await assert.rejects(visit('a b'), { code: 'usage', message: /--jump is aliases or/ });
  await assert.rejects(visit('pat@work.example.org'), {
    code: 'usage',
    message: /there is an alias work already/,
  });
  await assert.rejects(visit('pat@gate.example.org'), {
    code: 'usage',
    message: /there is an alias gate already/,
  });
  // The alias is taken as it is; the next question is where the mail is.
  await assert.rejects(visit('Gate'), Declined);
  assert.deepEqual(asked, ['USER@HOST? ']);
});

test('setup that is not gone on with changes nothing and leaves nothing', async (t) => {
  const { home, run, output, asked } = openRun(t, ['work', undefined]);
  const before = readdirSync(home.runtimeDir);
  const setUp = (given: Partial<SetupOptions>) =>
    runSetup(run.settings, { ...NOTHING_GIVEN, ...given }, output, run.ask);
  await assert.rejects(setUp({ programPath: '/opt/a b/pine-rsh' }), { code: 'program-path-unusable' });
  await assert.rejects(setUp({ key: join(home.dir, 'none') }), Failure);
  assert.deepEqual(asked, []);
  assert.equal(await setUp({}), 1);
  assert.match(output.text(), /nothing was changed\n$/);
  assert.deepEqual(readdirSync(home.runtimeDir), before);
  assert.deepEqual(readdirSync(join(home.configDir, 'hosts')), []);
});
