/** `pine-rshctl doctor` on a real mail host: what it says when mail would open, and the cause when it would not. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';

const NEEDS = requirePrograms('sshd', 'imap');

interface Finding {
  readonly mark: string;
  readonly check: string;
  readonly text: string;
  readonly hint?: string;
}

for (const build of BUILDS) {
  describe(`pine-rshctl doctor (${build.name})`, { skip: NEEDS || build.skip }, () => {
    test('Every step of a mailbox that opens is named, with status 0', async (t) => {
      const { home } = await openSetup(t);
      const { findings, code } = await examine(build, home, 'work');
      assert.deepEqual(
        findings.map(({ mark, check }) => `${mark} ${check}`),
        ['ok alias', 'ok name', 'ok tcp', 'ok kex', 'ok login', 'ok greeting'],
      );
      assert.equal(code, 0);
    });

    test('A name that DNS knows is a warning, and mail still opens', async (t) => {
      const { home, host } = await openSetup(t);
      home.writeAlias('localhost', { ...host.aliasKeys, IMAPD: host.rimapd });
      const { findings, code } = await examine(build, home, 'localhost');
      const name = findings.find(({ check }) => check === 'name');
      assert.equal(name?.mark, 'warning');
      assert.match(name?.text ?? '', /TCP port 143/);
      assert.equal(code, 0);
    });

    const faults: readonly (readonly [
      string,
      (host: MailHost) => Promise<AliasKeys> | AliasKeys,
      string,
      RegExp,
    ])[] = [
      ['nobody listens', async () => ({ PORT: await findFreePort() }), 'tcp', /refused the connection/],
      ['the name cannot be resolved', () => ({ HOSTNAME: 'nowhere.invalid' }), 'tcp', /no address found/],
      ['the host key is unknown', () => ({ KNOWN_HOSTS: '/dev/null' }), 'kex', /is not known/],
      ['the user does not exist', () => ({ USER: 'nobody-here' }), 'login', /accepted no key/],
      ['imapd is missing', () => ({ IMAPD: '/no/such/imapd' }), 'greeting', /no imapd found/],
      [
        'imapd wants a login',
        (host) => ({ IMAPD: host.writeProgram('ok-imapd', "printf '* OK hello\\r\\n'; cat") }),
        'greeting',
        /wants a login/,
      ],
      [
        'login scripts talk for ever',
        (host) => ({ IMAPD: host.writeProgram('noise', 'yes noise') }),
        'greeting',
        /no IMAP greeting/,
      ],
    ];
    for (const [fault, keys, check, text] of faults) {
      test(`Where it stops is found: ${fault}`, async (t) => {
        const { home, host } = await openSetup(t);
        home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd, ...(await keys(host)) });
        const { findings, code } = await examine(build, home, 'work');
        const last = findings.at(-1);
        assert.equal(last?.mark, 'failed');
        assert.equal(last.check, check);
        assert.match(last.text, text);
        assert.notEqual(last.hint ?? '', '');
        assert.equal(code, 1);
      });
    }

    test('A broken alias file is named with its line', async (t) => {
      const { home } = await openSetup(t);
      const file = join(home.env['PINE_RSH_CONFIG_DIR'] as string, 'hosts', 'work.env');
      writeFileSync(file, 'HOSTNAME=x\nPROT=22\n');
      chmodSync(file, 0o600);
      const { findings, code } = await examine(build, home, 'work');
      assert.equal(findings.length, 1);
      assert.match(findings[0]?.text ?? '', /work\.env:2: /);
      assert.equal(code, 1);
    });
  });
}

async function openSetup(t: TestContext): Promise<{ home: TempHome; host: MailHost }> {
  const host = await openMailHost(t);
  const home = openTempHome(t);
  home.writeAlias('work', { ...host.aliasKeys, IMAPD: host.rimapd });
  return { home, host };
}

async function examine(
  build: Build,
  home: TempHome,
  alias: string,
): Promise<{ findings: Finding[]; code: number | null }> {
  const { stdout, code } = await runProgram(build.ctlPath, ['doctor', alias, '--json'], { env: home.env });
  const report = JSON.parse(stdout.toString()) as { aliases: { findings: Finding[] }[] };
  return { findings: report.aliases[0]?.findings ?? [], code };
}
