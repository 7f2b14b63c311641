/**
 * Our verdicts against those of the installed ssh with StrictHostKeyChecking=yes. Its peer is a real sshd at the other
 * end of ProxyCommand: no port is needed, and host and port can be whatever the case wants. Nobody logs in: ssh asks
 * for that only after it has accepted the host key.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { hostKeyAlgorithms, KEY_TYPES } from '../../src/transport/host-key.ts';
import { judgeHostKey, listKeyTypes, nameHost } from '../../src/transport/known-hosts.ts';
import { parseKnownHosts } from '../../src/transport/known-hosts-file.ts';
import { HOST_KEY_TYPES, makeKey, readHostKeys, writeHostKeys } from '../helpers/host-keys.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { hashedName, makePolicy, randomCases } from './host-key-material.ts';

interface Question {
  readonly files: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly alias: string | undefined;
}

interface Answer {
  readonly accepted: boolean;
  /** The key that ssh and sshd agreed on. */
  readonly blob: Buffer;
  readonly text: string;
}

/** Keys of the server, and keys it does not have, as `type base64`. */
interface Keys {
  readonly ed25519: string;
  readonly ecdsa: string;
  readonly rsa: string;
  readonly wrong: { readonly ed25519: string; readonly ecdsa: string; readonly rsa: string };
}

const HOST = 'mail.example.org';
const PORT = `[${HOST}]:2222`;

interface OpenSsh {
  readonly keys: Keys;
  ask(question: Question): Promise<Answer>;
}

function openSsh(scope: Scope): OpenSsh {
  const dir = makeTempDir(scope, 'verdicts');
  const files = writeHostKeys(dir);
  const config = join(dir, 'sshd_config');
  writeFileSync(
    config,
    [
      ...HOST_KEY_TYPES.map((type) => `HostKey ${files[type]}`),
      'AuthenticationMethods publickey',
      'UsePAM no',
      'LogLevel QUIET',
      '',
    ].join('\n'),
  );
  // sshd of root wants it, even where the package did not make it.
  if (process.getuid?.() === 0 && !existsSync('/run/sshd')) mkdirSync('/run/sshd', { recursive: true });

  const wrong = { ed25519: '', ecdsa: '', rsa: '' };
  for (const type of HOST_KEY_TYPES) {
    makeKey(type, join(dir, `wrong_${type}`));
    wrong[type] = readFileSync(join(dir, `wrong_${type}.pub`), 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ');
  }
  const keys = { ...readHostKeys(files), wrong };
  return { keys, ask: (question) => askSsh(dir, config, keys, question) };
}

async function askSsh(dir: string, config: string, keys: Keys, question: Question): Promise<Answer> {
  const names = question.files.map((text, index) => {
    const file = join(dir, `known_hosts${index}`);
    writeFileSync(file, text, 'latin1');
    return file;
  });
  const settings = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${names.join(' ') || 'none'}`,
    'GlobalKnownHostsFile=none',
    'UpdateHostKeys=no',
    'IdentityFile=none',
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    `ProxyCommand=${programPath('sshd')} -i -f ${config}`,
    ...(question.alias === undefined ? [] : [`HostKeyAlias=${question.alias}`]),
  ];
  const words = [
    ...['-v', '-F', 'none', '-p', String(question.port), '-l', 'nobody'],
    ...settings.flatMap((setting) => ['-o', setting]),
    ...[question.host, 'true'],
  ];
  const { stderr } = await runProgram(programPath('ssh'), words, {
    env: { HOME: dir, PATH: '/usr/bin:/bin' },
  });
  const text = stderr.toString('latin1');
  const accepted = text.includes('Permission denied');
  assert.notEqual(accepted, text.includes('Host key verification failed'), text);
  const type = /Server host key: (\S+)/.exec(text)?.[1];
  const key = [keys.ed25519, keys.ecdsa, keys.rsa].find((each) => each.split(' ')[0] === type);
  assert.ok(key !== undefined, text);
  return { accepted, blob: Buffer.from(key.split(' ')[1] ?? '', 'base64'), text };
}

/** The same verdict on the same key, and the same key preferred. Gives whether it was accepted. */
async function compare(ssh: OpenSsh, question: Question): Promise<boolean> {
  const { accepted, blob, text } = await ssh.ask(question);
  const files = question.files.map((each, index) => parseKnownHosts(each, `known_hosts${index}`));
  const names = nameHost(question.host, question.port, question.alias);
  const { kind } = judgeHostKey(files, names, blob);
  assert.equal(
    kind === 'match' ? 'accepted' : 'refused',
    accepted ? 'accepted' : 'refused',
    `${kind}\n${text}`,
  );

  // Without an entry for the port ssh takes its default order; we look at those without port.
  if (listKeyTypes(files, [names[0]], KEY_TYPES).length > 0) {
    const policy = makePolicy({
      hostname: question.host,
      port: question.port,
      hostKeyAlias: question.alias,
    });
    const [first] = hostKeyAlgorithms(policy, files);
    const type = blob.toString('latin1', 4, 4 + blob.readUInt32BE(0));
    assert.equal(first === 'rsa-sha2-512' ? 'ssh-rsa' : first, type, text);
  }
  return accepted;
}

describe('the installed ssh', { skip: requirePrograms('ssh', 'sshd', 'ssh-keygen') }, () => {
  it('agrees with our verdicts on every rule by itself', async (t) => {
    const ssh = openSsh(t);
    const { ed25519: K, rsa: R, wrong } = ssh.keys;
    const O = wrong.ed25519;
    const rules: readonly (readonly [accepted: boolean, text: string, port?: number, alias?: string])[] = [
      [true, `${HOST} ${K}\n`],
      [false, `${HOST} ${O}\n`],
      [false, `news.example.org ${K}\n`],
      [false, `${HOST} ${wrong.rsa}\n`],
      [true, `${HOST} ${R}\n`],
      [true, `${HOST} ${O}\n${HOST} ${K}\n`],
      [false, `${HOST} ${K}\n@revoked * ${K}\n`],
      [true, `${HOST} ${K}\n@revoked news.* ${K}\n`],
      [false, `@cert-authority ${HOST} ${K}\n`],
      [true, `${HOST} ${K}\n@revoked @revoked ${HOST} ${K}\n`],
      [true, `${HOST} ${K}\n`, 2222],
      [false, `${HOST} ${O}\n`, 2222],
      [false, `${PORT} ${O}\n${HOST} ${K}\n`, 2222],
      [false, `${PORT} ${wrong.rsa}\n${HOST} ${K}\n`, 2222],
      [true, `@cert-authority ${PORT} ${O}\n${HOST} ${K}\n`, 2222],
      [true, `${PORT} ${K}\n@revoked ${HOST} ${K}\n`, 2222],
      [false, `${HOST} ${K}\n@revoked ${HOST} ${K}\n`, 2222],
      [false, `[${HOST}]:22 ${K}\n`],
      [true, `${hashedName(PORT)} ${K}\n`, 2222],
      [true, `work ${K}\n`, 2222, 'work'],
      [false, `[work]:2222 ${K}\n${HOST} ${K}\n`, 2222, 'work'],
      [true, `${hashedName('work')} ${K}\n`, 22, 'WORK'],
      [false, `*.example.org,!${HOST} ${K}\n`],
      [true, `${HOST} ${K}\r\n`],
      [true, `${HOST} ${K}`],
    ];
    for (const [accepted, text, port = 22, alias] of rules) {
      const question = { files: [text], host: HOST, port, alias };
      assert.equal(await compare(ssh, question), accepted, JSON.stringify(question));
    }
  });

  it('agrees with our verdicts on random files', { timeout: 600_000 }, async (t) => {
    const ssh = openSsh(t);
    const outcomes = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(questions(ssh.keys), async (question) => {
        outcomes[(await compare(ssh, question)) ? 'accepted' : 'refused']++;
      }),
      { ...randomCases(t, 60), endOnFailure: true },
    );
    t.diagnostic(`accepted ${outcomes.accepted}, refused ${outcomes.refused}`);
  });
});

/** Files of which most say something about the host, in every way there is. */
function questions(keys: Keys): fc.Arbitrary<Question> {
  const common = [HOST, PORT, 'work'];
  const rare = [
    ...['MAIL.Example.org', '*.example.org', '?ail.*', '*', '[*]:2222', '[mail.*]:22', 'Work', 'w?rk'],
    ...[`!${HOST}`, '!*.org', '!work', 'news.example.org', '127.0.0.1', ''],
  ];
  const name = fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...common) }, fc.constantFrom(...rare));
  const hosts = fc.oneof(
    { weight: 3, arbitrary: fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join(',')) },
    fc.constantFrom(...common).map(hashedName),
  );
  const key = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(keys.ed25519, keys.ecdsa, keys.rsa) },
    fc.constantFrom(keys.wrong.ed25519, keys.wrong.ecdsa, keys.wrong.rsa),
  );
  const marker = fc.oneof(
    { weight: 8, arbitrary: fc.constant('') },
    fc.constantFrom('@revoked ', '@cert-authority ', '@other ', '@revoked @revoked '),
  );
  const tail = fc.constantFrom('', '', ' comment', '\r', '\t# x');
  const entry = fc.tuple(marker, hosts, fc.constantFrom(' ', ' ', '\t', '  '), key, tail);
  const garbage = fc.constantFrom(
    ...['', '# comment', 'garbage', HOST, `${HOST} ssh-ed25519`, `|1|x|y ${keys.ed25519}`],
    ...[`${HOST} ssh-rsa ${keys.ed25519.split(' ')[1]}`, `${HOST} ${keys.ed25519.slice(0, -8)}`],
  );
  const line = fc.oneof({ weight: 6, arbitrary: entry.map((words) => words.join('')) }, garbage);
  const file = fc.tuple(fc.array(line, { maxLength: 4 }), fc.constantFrom('\n', ''));
  return fc.record({
    files: fc.array(
      file.map(([lines, end]) => lines.join('\n') + end),
      { minLength: 1, maxLength: 2 },
    ),
    host: fc.constantFrom(HOST, HOST, 'Mail.Example.ORG'),
    port: fc.constantFrom(22, 2222),
    alias: fc.constantFrom(undefined, undefined, undefined, 'work', 'WORK'),
  });
}
