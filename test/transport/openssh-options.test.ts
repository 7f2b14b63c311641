/** An alias -> the words of the system's ssh: what is said of it there, and that a real ssh understands it so. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readAccount } from '../../src/account.ts';
import type { Alias } from '../../src/alias/alias.ts';
import {
  configWords,
  gatewayName,
  masterWords,
  type SshOptions,
  sshConfigFile,
} from '../../src/transport/openssh-options.ts';
import { parseAnswer, type SshAnswer } from '../../src/transport/openssh-query.ts';
import { openTempConfig } from '../alias/temp-config.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';

const NEEDS = requirePrograms('ssh');
const config = openTempConfig({ after });
const OPTIONS: SshOptions = {
  settings: { home: config.settings.home },
  family: 0,
  questions: 'none',
  unknown: new Set(),
};

function aliasOf(text: string): Alias {
  config.alias('work', `HOSTNAME=mail.example.org\nSSH_CONFIG=no\n${text}`);
  return config.find('work');
}

/** What ssh makes of the words (ssh(1) -G). */
async function understood(alias: Alias, options: Partial<SshOptions> = {}): Promise<SshAnswer> {
  const words = masterWords([{ alias, name: 'work' }], '/run/c', { ...OPTIONS, ...options });
  const { code, stdout, stderr } = await runProgram(programPath('ssh'), ['-G', ...words], {
    env: { PATH: process.env['PATH'] ?? '' },
  });
  assert.equal(code, 0, stderr.toString());
  return parseAnswer(stdout.toString());
}

describe('The system ssh', { skip: NEEDS }, () => {
  test('gets the algorithms of an alias, added to its own or in their place', async () => {
    const answer = await understood(
      aliasOf(
        'CIPHERS=aes256-ctr,aes128-ctr\nMACS=-hmac-sha1\nKEX_ALGORITHMS=^curve25519-sha256\nHOST_KEY_ALGORITHMS=ssh-ed25519\nCOMPRESSION=yes\n',
      ),
    );
    assert.deepEqual(answer.get('ciphers'), ['aes256-ctr,aes128-ctr']);
    assert.doesNotMatch(answer.get('macs')?.[0] ?? '', /(^|,)hmac-sha1(,|$)/);
    assert.match(answer.get('kexalgorithms')?.[0] ?? '', /^curve25519-sha256,/);
    assert.deepEqual(answer.get('hostkeyalgorithms'), ['ssh-ed25519']);
    assert.deepEqual(answer.get('compression'), ['yes']);
  });

  test('takes no algorithms from an alias that names none', async () => {
    const own = (await understood(aliasOf(''))).get('ciphers')?.[0] ?? '';
    assert.ok(own.split(',').length > 2, own);
  });

  test('offers the keys of the alias and no others where the alias says so', async () => {
    const answer = await understood(
      aliasOf('IDENTITY_FILE=/k/100%, /k/b c\nIDENTITIES_ONLY=yes\nIDENTITY_AGENT=/run/a b\n'),
    );
    assert.deepEqual(answer.get('identityfile'), ['/k/100%%', '/k/b c']);
    assert.deepEqual([answer.get('identitiesonly'), answer.get('identityagent')], [['yes'], ['/run/a b']]);
  });

  test('offers no key file where none is left of those that were named', async () => {
    assert.deepEqual((await understood({ ...aliasOf(''), identityFiles: [] })).get('identityfile'), ['none']);
  });

  test('offers the keys of HOME where that is not the home of the account', async () => {
    const { home } = config.settings;
    mkdirSync(join(home, '.ssh'), { recursive: true });
    assert.deepEqual((await understood(aliasOf(''))).get('identityfile'), ['none']);
    const files = ['id_ecdsa', 'id_ed25519_sk'].map((name) => join(home, '.ssh', name));
    for (const file of files) writeFileSync(file, '');
    assert.deepEqual((await understood(aliasOf(''))).get('identityfile'), files);
    for (const file of files) rmSync(file);
  });

  test('offers its own default keys where HOME is the home of the account', async () => {
    const answer = await understood(aliasOf(''), { settings: { home: readAccount().home } });
    assert.ok(answer.get('identityfile')?.includes('~/.ssh/id_ed25519'));
  });

  test('goes to the agent of the environment where the alias asks for it by name', async () => {
    const alias = aliasOf('');
    const named = { ...alias, given: new Set([...alias.given, 'IDENTITY_AGENT']), identityAgent: undefined };
    assert.deepEqual((await understood(named)).get('identityagent'), ['SSH_AUTH_SOCK']);
  });

  test('keeps to the kind of address that was asked for', async () => {
    assert.deepEqual((await understood(aliasOf(''), { family: 4 })).get('addressfamily'), ['inet']);
    assert.deepEqual((await understood(aliasOf(''), { family: 6 })).get('addressfamily'), ['inet6']);
    assert.deepEqual((await understood(aliasOf(''))).get('addressfamily'), ['any']);
  });

  test('is asked nothing of a person unless somebody is there', async () => {
    for (const [questions, batch, password] of [
      ['none', 'yes', 'no'],
      ['passphrases', 'no', 'no'],
      ['all', 'no', 'yes'],
    ] as const) {
      const answer = await understood(aliasOf(''), { questions });
      assert.deepEqual(
        [answer.get('batchmode'), answer.get('passwordauthentication')],
        [[batch], [password]],
      );
    }
  });
});

test('a gateway is named to ssh_config as it was written, without user and port', () => {
  const alias = aliasOf('');
  const named = (name: string): string => gatewayName({ ...alias, name, given: new Set() });
  assert.equal(gatewayName(alias), 'mail.example.org');
  assert.equal(named('pat@gate.example.org:22'), 'gate.example.org');
  assert.equal(named('pat@[2001:db8::1]:2222'), '2001:db8::1');
  assert.equal(named('gate'), 'gate');
});

test('the ssh_config of HOME counts where that is not the home of the account', () => {
  const { home } = config.settings;
  assert.deepEqual(configWords({ home: readAccount().home }), []);
  assert.deepEqual(configWords({ home }), ['-F', 'none']);
  mkdirSync(join(home, '.ssh'), { recursive: true });
  writeFileSync(sshConfigFile(home), '# nothing\n');
  assert.deepEqual(configWords({ home }), ['-F', sshConfigFile(home)]);
});
