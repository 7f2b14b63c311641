/** What a key file is taken for, whatever its type and format; that a passphrase opens it, and only the right one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Failure } from '../../src/errors.ts';
import { parseKeyFile, readKeyFile } from '../../src/transport/key-file.ts';
import { KEY_TYPES, makeKeyFile, type TestKeyFormat } from '../helpers/key-files.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

const PASSPHRASE = 'caf\u00e9 "$x" \\ with blanks';
const FORMATS: readonly TestKeyFormat[] = ['openssh', 'pem', 'pkcs8'];

function publicBlob(file: string): Buffer {
  return Buffer.from(readFileSync(`${file}.pub`, 'utf8').split(' ')[1] ?? '', 'base64');
}

function failureOf(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof Failure);
    return error;
  }
  assert.fail('no failure');
}

describe('A key file', { skip: requirePrograms('ssh-keygen', 'openssl') }, () => {
  const dir = makeTempDir({ after }, 'keys');
  for (const type of KEY_TYPES) {
    for (const format of FORMATS) {
      it(`without passphrase is ready to sign: ${type}, ${format}`, () => {
        const file = makeKeyFile(dir, `open-${type}-${format}`, { type, format });
        const read = readKeyFile(file, process.getuid?.() ?? 0);
        assert.equal(read.kind, 'open');
        assert.ok(read.key.getPublicSSH().equals(publicBlob(file)));
        const data = Buffer.from('what is signed');
        const hash = type === 'ed25519' ? undefined : 'sha256';
        assert.equal(read.key.verify(data, read.key.sign(data, hash), hash), true);
      });

      it(`with passphrase is opened by that one only: ${type}, ${format}`, async () => {
        const file = makeKeyFile(dir, `locked-${type}-${format}`, { type, format, passphrase: PASSPHRASE });
        const read = readKeyFile(file, process.getuid?.() ?? 0);
        assert.equal(read.kind, 'locked');
        assert.ok(read.publicBlob?.equals(publicBlob(file)), 'the public half is known');
        assert.equal(await read.unlock(Buffer.from('wrong')), undefined);
        assert.equal(await read.unlock(Buffer.alloc(0)), undefined);
        const key = await read.unlock(Buffer.from(PASSPHRASE));
        assert.ok(key?.isPrivateKey());
        assert.ok(key?.getPublicSSH().equals(publicBlob(file)));
      });
    }
  }

  for (const cipher of [
    'aes128-ctr',
    'aes192-cbc',
    'aes256-cbc',
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
  ]) {
    it(`is opened whatever its cipher: ${cipher}`, async () => {
      const file = makeKeyFile(dir, `cipher-${cipher}`, { type: 'ed25519', passphrase: PASSPHRASE, cipher });
      const read = readKeyFile(file, process.getuid?.() ?? 0);
      assert.equal(read.kind, 'locked');
      assert.equal(await read.unlock(Buffer.from('wrong')), undefined);
      assert.ok((await read.unlock(Buffer.from(PASSPHRASE)))?.getPublicSSH().equals(publicBlob(file)));
    });
  }

  it('with a cipher that nobody here knows is left to an agent, and says what to do', () => {
    const file = makeKeyFile(dir, 'chacha', {
      type: 'ed25519',
      passphrase: PASSPHRASE,
      cipher: 'chacha20-poly1305@openssh.com',
    });
    const read = readKeyFile(file, process.getuid?.() ?? 0);
    assert.equal(read.kind, 'public');
    assert.equal(read.failure.code, 'identity-unsupported');
    assert.match(read.failure.message, /chacha20-poly1305/);
    assert.ok(read.publicBlob.equals(publicBlob(file)));
  });

  it('of an encrypted PEM key without .pub does not tell the public half', () => {
    const file = makeKeyFile(dir, 'no-pub', { type: 'rsa-2048', format: 'pem', passphrase: PASSPHRASE });
    const read = parseKeyFile(file, readFileSync(file));
    assert.deepEqual([read.kind, 'publicBlob' in read && read.publicBlob], ['locked', undefined]);
  });

  it('may have come from Windows', () => {
    const file = makeKeyFile(dir, 'crlf', { type: 'ed25519' });
    const text = readFileSync(file, 'utf8').replaceAll('\n', '\r\n');
    assert.equal(parseKeyFile(file, Buffer.from(text)).kind, 'open');
  });

  it('unlocks without keeping others waiting', async () => {
    const file = makeKeyFile(dir, 'slow', { type: 'ed25519', passphrase: PASSPHRASE });
    const read = readKeyFile(file, process.getuid?.() ?? 0);
    assert.equal(read.kind, 'locked');
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 5);
    await read.unlock(Buffer.from(PASSPHRASE));
    clearInterval(timer);
    assert.ok(turns >= 5, `${turns} turns`);
  });

  it('that is a public key stands for a key in the agent', () => {
    const file = makeKeyFile(dir, 'public', { type: 'ed25519' });
    const read = parseKeyFile(`${file}.pub`, readFileSync(`${file}.pub`));
    assert.equal(read.kind, 'public');
    assert.equal(read.failure.message, `${file}.pub is a public key, and no agent holds its private half`);
    assert.match(read.failure.hint, new RegExp(`in IDENTITY_FILE: ${file}$`));
    assert.ok(read.publicBlob.equals(publicBlob(file)));
  });

  it('that is a public key of a type that ssh2 does not know stands for one too', () => {
    const type = 'sk-ssh-ed25519@openssh.com';
    const blob = Buffer.concat([Buffer.from([0, 0, 0, type.length]), Buffer.from(type), Buffer.alloc(40)]);
    const line = `${type} ${blob.toString('base64')} touch me\n`;
    const read = parseKeyFile('/k/id_sk.pub', Buffer.from(line));
    assert.deepEqual([read.kind, 'publicBlob' in read && read.publicBlob], ['public', blob]);
  });

  for (const [what, text] of [
    ['empty', ''],
    ['an alias file', 'HOSTNAME=mail.example.org\n'],
    ['a certificate of the web', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'],
  ] as const) {
    it(`that is ${what} is no key`, () => {
      assert.equal(failureOf(() => parseKeyFile('/k', Buffer.from(text))).code, 'identity-not-a-key');
    });
  }

  for (const [what, text] of [
    [
      'a cut OpenSSH key',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----\n',
    ],
    ['a damaged PKCS #8 key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'],
    ['a key of PuTTY 0.75', 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n'],
  ] as const) {
    it(`that is ${what} cannot be used`, () => {
      const { code, hint } = failureOf(() => parseKeyFile('/k', Buffer.from(text)));
      assert.equal(code, 'identity-unsupported');
      assert.match(hint, /ssh-agent|TRANSPORT=openssh/);
    });
  }

  it('of a type that SSH does not have cannot be used', () => {
    const { privateKey } = generateKeyPairSync('ed448');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const { code, message } = failureOf(() => parseKeyFile('/k', Buffer.from(pem)));
    assert.equal(code, 'identity-unsupported');
    assert.match(message, /ed448/);
  });

  it('that is missing, or that others can read, is refused by name', () => {
    const missing = join(dir, 'none');
    assert.equal(failureOf(() => readKeyFile(missing, process.getuid?.() ?? 0)).code, 'identity-missing');
    const file = makeKeyFile(dir, 'open-to-all', { type: 'ed25519' });
    spawnSync('chmod', ['644', file]);
    const failure = failureOf(() => readKeyFile(file, process.getuid?.() ?? 0));
    assert.deepEqual([failure.code, failure.hint], ['file-untrusted', `run: chmod 600 ${file}`]);
  });

  it('never shows its content or the passphrase in a failure', async () => {
    const file = join(dir, 'secret');
    const secret = 'MC4CAQAwBQYDK2VwBCIEIHKjsecretsecretsecret';
    writeFileSync(file, `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`, {
      mode: 0o600,
    });
    const failure = failureOf(() => readKeyFile(file, process.getuid?.() ?? 0));
    assert.doesNotMatch(
      `${failure.message} ${failure.hint} ${failure.stack} ${String(failure.cause)}`,
      /secretsecret/,
    );
  });
});
