/** What setup and doctor run on a mail host, run here by /bin/sh: which programs it has, its keys, its imapd and sendmail. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { examineSendmail, sendsThrough } from '../../src/commands/doctor/sendmail.ts';
import { parsePinerc } from '../../src/commands/pinerc-file.ts';
import { findRemoteProgram, runRemote } from '../../src/commands/remote-program.ts';
import { Answers } from '../../src/commands/setup/answers.ts';
import {
  findFormerLines,
  installKey,
  installScript,
  removeKey,
  restoreScript,
} from '../../src/commands/setup/authorized-key.ts';
import { chooseImapd, chooseSendmail } from '../../src/commands/setup/programs.ts';
import type { Visit } from '../../src/commands/setup/visit.ts';
import { Failure } from '../../src/errors.ts';
import { readSettings } from '../../src/settings.ts';
import { openTempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';
import { openLocalConnection } from './local-connection.ts';

const NEVER = new AbortController().signal;

function openHost(t: TestContext, rewrite?: (text: string) => string) {
  const home = openTempHome(t);
  home.writeAlias('work', { HOSTNAME: 'mail.example.org', USER: 'pat', SSH_CONFIG: 'no' });
  const options = new Map<string, string>();
  const found = lookupAlias(readSettings(home.env), {
    host: 'work',
    user: undefined,
    port: undefined,
    options,
  });
  assert.ok(found.kind === 'managed');
  return { home, alias: found.alias, connection: openLocalConnection(home.dir, rewrite) };
}

const refuse = (): never => {
  throw new Failure('exec-refused', { address: 'mail', why: 'no' });
};

test('a program is found where it can be run, and nothing else is believed', async (t) => {
  const { connection, home } = openHost(t);
  assert.equal(await findRemoteProgram(connection, ['/none', '/bin', '/etc/passwd', '/bin/sh']), '/bin/sh');
  assert.equal(await findRemoteProgram(connection, ['/none']), undefined);
  const liar = openLocalConnection(home.dir, () => 'echo FOUND /etc/evil');
  assert.equal(await findRemoteProgram(liar, ['/bin/sh']), undefined);
  assert.equal(await findRemoteProgram(openLocalConnection(home.dir, refuse), ['/bin/sh']), undefined);
});

test('a command that prints without end is ended', async (t) => {
  const { connection } = openHost(t);
  const { exit } = await runRemote(connection, 'exec yes');
  assert.deepEqual(exit, { kind: 'signal', signal: 'SIGTERM' });
});

test('a key is added once, and taken out with nothing else', async (t) => {
  const { connection, home } = openHost(t);
  const file = join(home.dir, '.ssh', 'authorized_keys');
  mkdirSync(join(home.dir, '.ssh'));
  writeFileSync(file, 'ssh-rsa OTHER\nold ssh-ed25519 AAAA pine-rsh work');
  const line = 'restrict ssh-ed25519 AAAA pine-rsh work';
  assert.equal(await installKey(connection, line, 'mail'), true);
  assert.equal(await installKey(connection, line, 'mail'), false);
  assert.deepEqual(await findFormerLines(connection, line, 'ssh-ed25519 AAAA pine-rsh work'), [
    'old ssh-ed25519 AAAA pine-rsh work',
  ]);
  await removeKey(connection, line);
  assert.equal(readFileSync(file, 'utf8'), 'ssh-rsa OTHER\nold ssh-ed25519 AAAA pine-rsh work\n');
  assert.deepEqual(readdirSync(join(home.dir, '.ssh')), ['authorized_keys']);
});

test('a script is kept as .old when another takes its place, and comes back', async (t) => {
  const { connection, home } = openHost(t);
  const file = join(home.dir, '.ssh', 'pine-rsh-work');
  const command = await installScript(connection, 'pine-rsh-work', 'echo one\n', 'mail');
  assert.equal(command, `exec /bin/sh '${file}'`);
  assert.equal((await runRemote(connection, command)).stdout, 'one\n');
  await installScript(connection, 'pine-rsh-work', 'echo two\n', 'mail');
  assert.equal(readFileSync(`${file}.old`, 'utf8'), 'echo one\n');
  await restoreScript(connection, 'pine-rsh-work');
  assert.equal(readFileSync(file, 'utf8'), 'echo one\n');
  await restoreScript(connection, 'pine-rsh-work');
  assert.equal(existsSync(file), false);
});

test('a host that does not take a key says why, if it can', async (t) => {
  const { connection, home } = openHost(t);
  home.writeFile('.ssh', 'no folder');
  const mute = openLocalConnection(home.dir, () => 'cat >/dev/null; exit 1');
  for (const install of [
    installKey,
    (...[a, b, c]: Parameters<typeof installKey>) => installScript(a, 'x', b, c),
  ]) {
    await assert.rejects(install(connection, 'line', 'mail'), {
      code: 'key-not-installed',
      message: /\.ssh/,
    });
    await assert.rejects(install(mute, 'line', 'mail'), {
      code: 'key-not-installed',
      message: /it did not say why/,
    });
  }
  await removeKey(openLocalConnection(home.dir, refuse), 'line');
  await restoreScript(openLocalConnection(home.dir, refuse), 'x');
});

test('doctor says whether mail would go out, and through what', async (t) => {
  const { connection, home, alias } = openHost(t);
  const examine = async (sendmail: string, rewrite?: (text: string) => string) => {
    const over = rewrite === undefined ? connection : openLocalConnection(home.dir, rewrite);
    const { mark, text } = await examineSendmail(over, { ...alias, sendmail });
    return `${mark}: ${text}`;
  };
  const onlyMail = (text: string): string => (text.includes('stored-$k') ? text : 'exit 1');
  const noneThere = (text: string): string => (text.includes('/sendmail') ? 'exit 0' : text);
  assert.equal(await examine('/bin/sh'), 'ok: /bin/sh');
  assert.equal(await examine('msmtp -a work'), 'ok: msmtp -a work');
  assert.equal(await examine('/none'), 'warning: no sendmail at /none');
  assert.equal(await examine('auto', noneThere), 'warning: no sendmail in the usual places');
  assert.equal(await examine('auto', onlyMail), "ok: the key's own");
  assert.equal(
    await examine('auto', () => 'cat >/dev/null; echo "  only imapd" >&2; echo more >&2; exit 1'),
    'warning: no mail can be sent through the host: only imapd',
  );
  assert.equal(
    await examine('auto', () => 'cat >/dev/null'),
    'warning: no mail can be sent through the host: it did not say why',
  );
  assert.match(await examine('auto', refuse), /^warning: /);
});

test('doctor knows whose sendmail-path it is', () => {
  const sends = (line: string): boolean => sendsThrough('work', parsePinerc(line));
  assert.equal(sends('sendmail-path=/opt/bin/pine-rsh WORK sendmail -oi -t\n'), true);
  assert.equal(sends('sendmail-path=/opt/bin/pine-rsh other sendmail\n'), false);
  assert.equal(sends('sendmail-path=/usr/sbin/sendmail work\n'), false);
  assert.equal(sends('sendmail-path=pine-rsh\n'), false);
  assert.equal(sends(''), false);
});

function openQuestions(typed: string[]) {
  const output = { ...captureOutput(), interactive: true };
  const answers = new Answers({
    output,
    ask: async () => typed.shift(),
    signal: NEVER,
    takeProposals: false,
  });
  return { answers, output };
}

test('sendmail is offered where it was found, and missed where it was asked for', async (t) => {
  const { home, alias } = openHost(t);
  const choose = async (there: boolean, given?: string, typed: string[] = []) => {
    const connection = openLocalConnection(home.dir, () =>
      there ? 'echo FOUND /usr/lib/sendmail' : 'exit 1',
    );
    const context = { ...openQuestions(typed), interactive: true, stateDir: home.stateDir, signal: NEVER };
    return await chooseSendmail({ alias, connection } as Visit, given, context);
  };
  assert.equal(await choose(false, '/opt/sendmail'), '/opt/sendmail');
  assert.equal(await choose(false), undefined);
  assert.equal(await choose(true, 'no'), undefined);
  await assert.rejects(choose(false, 'yes'), { code: 'usage', message: /give its path with --sendmail/ });
  assert.equal(await choose(true, 'yes'), '/usr/lib/sendmail');
  assert.equal(await choose(true, undefined, ['']), '/usr/lib/sendmail');
  assert.equal(await choose(true, undefined, ['n']), undefined);
});

test('a person may name the imapd, until one opens INBOX', async (t) => {
  const { home, alias, connection } = openHost(t);
  const good = home.writeScript('good', "printf '* PREAUTH hello\\r\\n'; read x; printf 'a OK done\\r\\n'");
  const bad = home.writeScript('bad', "printf '* PREAUTH hello\\r\\n'; read x; printf 'a NO not here\\r\\n'");
  const mute = home.writeScript('mute', "printf '* PREAUTH hello\\r\\n'; read x");
  const login = home.writeScript('login', "printf '* OK who are you\\r\\n'");
  const choose = async (given: string | undefined, typed: string[], interactive = true) => {
    const { answers, output } = openQuestions(typed);
    const context = { answers, interactive, stateDir: home.stateDir, signal: NEVER };
    const visit = { alias, connection: given === undefined ? asked : connection } as Visit;
    return [await chooseImapd(visit, given, context), output.text()] as const;
  };
  // Whatever is in its usual places, this host has only `login`.
  const asked = openLocalConnection(home.dir, (text) =>
    text.includes('FOUND') ? 'exit 0' : text.includes(home.dir) ? text : login,
  );
  assert.deepEqual(await choose(good, []), [good, '']);
  await assert.rejects(choose(bad, [good]), { code: 'imapd-no-inbox', message: /NO not here/ });
  await assert.rejects(choose(mute, [good]), { code: 'imapd-no-inbox', message: /it did not answer/ });
  await assert.rejects(choose(undefined, [good], false), { code: 'imapd-not-preauth' });
  const [imapd, said] = await choose(undefined, [`"${good}"`, bad, good]);
  assert.equal(imapd, good);
  assert.match(said, /neither quotes nor backslashes can be in it/);
  assert.match(said.replaceAll('\n', ' '), /NO not here/);
});
