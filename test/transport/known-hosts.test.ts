import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import '../helpers/cases.ts';
import { KEY_TYPES } from '../../src/transport/host-key.ts';
import {
  findRevocation,
  formatAppended,
  formatKnownHostsLine,
  type HostKeyVerdict,
  hidesNames,
  judgeHostKey,
  listHostKeys,
  listKeyTypes,
  nameHost,
} from '../../src/transport/known-hosts.ts';
import { formatPlace, listSkippedLines, parseKnownHosts } from '../../src/transport/known-hosts-file.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { encodeFields, fakeKey, hashedName, keyWords, randomCases } from './host-key-material.ts';

const KEY = fakeKey('ssh-ed25519', 'the key');
const OTHER = fakeKey('ssh-ed25519', 'another key');
const RSA = fakeKey('ssh-rsa', 'an RSA key');
const ECDSA = fakeKey('ecdsa-sha2-nistp256', 'an ECDSA key');
const [K, O, R, E] = [KEY, OTHER, RSA, ECDSA].map(keyWords) as [string, string, string, string];
const HOST = 'mail.example.org';
const PORT = `[${HOST}]:2222`;

interface Case {
  readonly title: string;
  /** Texts of the files `a`, `b`, ... */
  readonly files: readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly alias?: string;
  /** `kind` or `kind place`. */
  readonly verdict: string;
}

const CASES: readonly Case[] = [
  { title: 'a known key', files: [`${HOST} ${K}\n`], verdict: 'match a:1' },
  { title: 'a known key with a comment', files: [`${HOST} ${K} root@mail\n`], verdict: 'match a:1' },
  { title: 'a host nobody names', files: [`news.example.org ${K}\n`], verdict: 'unknown' },
  { title: 'no file', files: [], verdict: 'unknown' },
  { title: 'an empty file', files: [''], verdict: 'unknown' },
  { title: 'another key of the same type', files: [`${HOST} ${O}\n`], verdict: 'changed a:1' },
  { title: 'keys of other types only', files: [`${HOST} ${R}\n${HOST} ${E}\n`], verdict: 'other-type a:1' },
  {
    title: 'another key of the type behind one of another',
    files: [`${HOST} ${R}\n${HOST} ${O}\n`],
    verdict: 'changed a:2',
  },
  {
    title: 'two keys of one type, the second right',
    files: [`${HOST} ${O}\n${HOST} ${K}\n`],
    verdict: 'match a:2',
  },
  {
    title: 'the right key in the second file',
    files: [`${HOST} ${O}\n`, `\n${HOST} ${K}\n`],
    verdict: 'match b:2',
  },
  { title: 'a wrong key in the second file', files: ['', `${HOST} ${O}\n`], verdict: 'changed b:1' },

  { title: 'a host in capitals in the file', files: [`MAIL.Example.ORG ${K}\n`], verdict: 'match a:1' },
  {
    title: 'a wrong key, in capitals in the file',
    files: [`MAIL.Example.ORG ${O}\n`],
    verdict: 'changed a:1',
  },
  { title: 'a host in capitals', files: [`${HOST} ${K}\n`], host: 'Mail.EXAMPLE.org', verdict: 'match a:1' },
  { title: 'the host among others', files: [`news,${HOST},192.0.2.1 ${K}\n`], verdict: 'match a:1' },
  { title: 'empty names in the list', files: [`,,${HOST},, ${K}\n`], verdict: 'match a:1' },
  { title: 'a wildcard', files: [`*.example.org ${K}\n`], verdict: 'match a:1' },
  { title: 'a question mark', files: [`mail.exampl?.org ${K}\n`], verdict: 'match a:1' },
  { title: 'a wildcard for all', files: [`* ${O}\n`], verdict: 'changed a:1' },
  { title: 'a negated name after a wildcard', files: [`*.example.org,!${HOST} ${K}\n`], verdict: 'unknown' },
  { title: 'a negated name before a wildcard', files: [`!${HOST},*.example.org ${K}\n`], verdict: 'unknown' },
  {
    title: 'a negated name in another line',
    files: [`!${HOST},* ${O}\n${HOST} ${K}\n`],
    verdict: 'match a:2',
  },
  { title: 'a negated pattern', files: [`!news.*,*.example.org ${K}\n`], verdict: 'match a:1' },
  { title: 'a part of the name', files: [`example.org ${K}\nmail ${K}\n`], verdict: 'unknown' },

  { title: 'a hashed name', files: [`${hashedName(HOST)} ${K}\n`], verdict: 'match a:1' },
  {
    title: 'a hashed name, host in capitals',
    files: [`${hashedName(HOST)} ${K}\n`],
    host: 'MAIL.example.org',
    verdict: 'match a:1',
  },
  {
    title: 'the hash of another name',
    files: [`${hashedName('news.example.org')} ${K}\n`],
    verdict: 'unknown',
  },
  { title: 'a hashed name with another key', files: [`${hashedName(HOST)} ${O}\n`], verdict: 'changed a:1' },
  {
    title: 'a hashed name with a port',
    files: [`${hashedName(PORT)} ${K}\n`],
    port: 2222,
    verdict: 'match a:1',
  },
  {
    title: 'two hashed names in one line',
    files: [`${hashedName(HOST)},${hashedName('x')} ${K}\n`],
    verdict: 'unknown',
  },
  {
    title: 'a hashed name with a short salt',
    files: [`|1|c2FsdA==|${'A'.repeat(27)}= ${K}\n${HOST} ${K}\n`],
    verdict: 'match a:2',
  },

  { title: 'a port', files: [`${PORT} ${K}\n`], port: 2222, verdict: 'match a:1' },
  { title: 'another port', files: [`[${HOST}]:22222 ${K}\n`], port: 2222, verdict: 'unknown' },
  { title: 'port 22 in brackets', files: [`[${HOST}]:22 ${K}\n`], verdict: 'unknown' },
  { title: 'the default port when the file has another', files: [`${PORT} ${K}\n`], verdict: 'unknown' },
  {
    title: 'an entry without port for another port',
    files: [`${HOST} ${K}\n`],
    port: 2222,
    verdict: 'match a:1',
  },
  {
    title: 'an entry without port and a wrong key',
    files: [`${HOST} ${O}\n`],
    port: 2222,
    verdict: 'unknown',
  },
  {
    title: 'a wrong key for the port, the right one without',
    files: [`${PORT} ${O}\n${HOST} ${K}\n`],
    port: 2222,
    verdict: 'changed a:1',
  },
  {
    title: 'another type for the port, the right key without',
    files: [`${PORT} ${R}\n${HOST} ${K}\n`],
    port: 2222,
    verdict: 'other-type a:1',
  },
  {
    title: 'a port with wildcards',
    files: [`[*.example.org]:22?? ${K}\n`],
    port: 2222,
    verdict: 'match a:1',
  },
  { title: 'IPv6', files: [`::1 ${K}\n`], host: '::1', verdict: 'match a:1' },
  { title: 'IPv6 and a port', files: [`[::1]:2222 ${K}\n`], host: '::1', port: 2222, verdict: 'match a:1' },

  { title: 'HOST_KEY_ALIAS', files: [`work ${K}\n${HOST} ${O}\n`], alias: 'work', verdict: 'match a:1' },
  {
    title: 'HOST_KEY_ALIAS never with a port',
    files: [`[work]:2222 ${K}\n`],
    port: 2222,
    alias: 'work',
    verdict: 'unknown',
  },
  {
    title: 'HOST_KEY_ALIAS and an entry for the host',
    files: [`${HOST} ${K}\n${PORT} ${K}\n`],
    port: 2222,
    alias: 'work',
    verdict: 'unknown',
  },
  {
    title: 'HOST_KEY_ALIAS in capitals',
    files: [`${hashedName('work')} ${K}\n`],
    alias: 'WORK',
    verdict: 'match a:1',
  },

  { title: 'a revoked key', files: [`@revoked ${HOST} ${K}\n`], verdict: 'revoked a:1' },
  {
    title: 'a known key revoked later',
    files: [`${HOST} ${K}\n`, `@revoked * ${K}\n`],
    verdict: 'revoked b:1',
  },
  {
    title: 'a key revoked for another host',
    files: [`@revoked news.* ${K}\n${HOST} ${K}\n`],
    verdict: 'match a:2',
  },
  { title: 'another key revoked', files: [`@revoked * ${O}\n${HOST} ${K}\n`], verdict: 'match a:2' },
  { title: 'nothing but another key revoked', files: [`@revoked * ${O}\n`], verdict: 'unknown' },
  {
    title: 'a revoked key among changed ones',
    files: [`${HOST} ${O}\n@revoked ${HOST} ${K}\n`],
    verdict: 'revoked a:2',
  },
  {
    title: 'a revoked key of a hashed host',
    files: [`@revoked ${hashedName(HOST)} ${K}\n`],
    verdict: 'revoked a:1',
  },
  {
    title: 'a key revoked without port',
    files: [`${HOST} ${K}\n@revoked ${HOST} ${K}\n`],
    port: 2222,
    verdict: 'revoked a:2',
  },
  {
    title: 'a key revoked without port, known with it',
    files: [`${PORT} ${K}\n@revoked ${HOST} ${K}\n`],
    port: 2222,
    verdict: 'match a:1',
  },
  {
    title: '@revoked before a tab',
    files: [`@revoked\t${HOST} ${K}\n${HOST} ${K}\n`],
    verdict: 'revoked a:1',
  },
  { title: '@REVOKED', files: [`@REVOKED ${HOST} ${K}\n${HOST} ${K}\n`], verdict: 'match a:2' },
  { title: 'a CA key as host key', files: [`@cert-authority ${HOST} ${K}\n`], verdict: 'unknown' },
  { title: 'a CA and a known key', files: [`@cert-authority * ${O}\n${HOST} ${K}\n`], verdict: 'match a:2' },
  { title: 'two markers', files: [`@revoked @revoked ${HOST} ${K}\n${HOST} ${K}\n`], verdict: 'match a:2' },
  { title: 'CA and revoked', files: [`@cert-authority @revoked ${HOST} ${K}\n`], verdict: 'unknown' },
  { title: 'an unknown marker', files: [`@trusted ${HOST} ${K}\n`], verdict: 'unknown' },

  { title: 'a missing final newline', files: [`${HOST} ${K}`], verdict: 'match a:1' },
  { title: 'CRLF', files: [`# hosts\r\n\r\n${HOST} ${K}\r\n`], verdict: 'match a:3' },
  { title: 'CRLF after a comment', files: [`${HOST} ${K} root\r\n`], verdict: 'match a:1' },
  {
    title: 'tabs and several blanks',
    files: [`\t ${HOST}\t \t${K.replace(' ', '\t\t')}\t x\n`],
    verdict: 'match a:1',
  },
  { title: 'a comment', files: [`#${HOST} ${K}\n  # ${HOST} ${K}\n`], verdict: 'unknown' },
  { title: 'an empty first line', files: [`\n${HOST} ${K}\n`], verdict: 'match a:2' },
  { title: 'a line cut by a NUL', files: [`${HOST} ${K}\0junk\n`], verdict: 'match a:1' },
  {
    title: 'garbage around',
    files: [`garbage\n${HOST}\n${HOST} ssh-ed25519\n\xff\xfe\n${HOST} ${K}\nx`],
    verdict: 'match a:5',
  },
  { title: 'a key that is cut', files: [`${HOST} ${K.slice(0, -8)}\n`], verdict: 'unknown' },
  { title: 'a key with something behind it', files: [`${HOST} ${K}AAAA\n`], verdict: 'unknown' },
  { title: 'a key not in base64', files: [`${HOST} ${K.slice(0, -1)}!\n`], verdict: 'unknown' },
  { title: 'a key with padding too many', files: [`${HOST} ${K}==\n`], verdict: 'unknown' },
  {
    title: 'the wrong type before a key',
    files: [`${HOST} ${K.replace('ssh-ed25519', 'ssh-rsa')}\n`],
    verdict: 'unknown',
  },
  {
    title: 'a key of a type unknown to us',
    files: [`${HOST} ${keyWords(encodeFields('ssh-new', 'x'))}\n`],
    verdict: 'other-type a:1',
  },
  { title: 'an RSA1 key', files: [`${HOST} 1024 35 1234567\n${HOST} ${K}\n`], verdict: 'match a:2' },
  { title: 'an over-long comment', files: [`${HOST} ${K} ${'c'.repeat(3_000_000)}\n`], verdict: 'match a:1' },
  { title: 'an over-long list', files: [`${'x,'.repeat(1_000_000)}${HOST} ${K}\n`], verdict: 'match a:1' },
  {
    title: 'an over-long line of blanks',
    files: [`${' '.repeat(3_000_000)}\n${HOST} ${K}\n`],
    verdict: 'match a:2',
  },
];

describe('the verdict on a host key', () => {
  it('takes the name of an RSA signature for the type of an RSA key, and of no other', () => {
    for (const word of ['ssh-rsa', 'rsa-sha2-256', 'rsa-sha2-512']) {
      const files = [RSA, KEY].map((key) =>
        parseKnownHosts(`${HOST} ${word} ${key.toString('base64')}`, 'a'),
      );
      assert.equal(judgeHostKey(files, [HOST], RSA).kind, 'match', word);
      assert.equal(judgeHostKey(files, [HOST], KEY).kind, 'other-type', word);
    }
    const file = parseKnownHosts(`${HOST} rsa-sha2-1 ${RSA.toString('base64')}`, 'a');
    assert.equal(judgeHostKey([file], [HOST], RSA).kind, 'unknown');
  });

  for (const { title, files, host = HOST, port = 22, alias, verdict } of CASES) {
    it(`${verdict.split(' ')[0]}: ${title}`, () => {
      const parsed = files.map((text, index) =>
        parseKnownHosts(Buffer.from(text, 'latin1'), 'abc'.charAt(index)),
      );
      assert.equal(formatVerdict(judgeHostKey(parsed, nameHost(host, port, alias), KEY)), verdict);
    });
  }

  it('lists the types that are known instead', () => {
    const files = [parseKnownHosts(`${HOST} ${R}\n${HOST} ${E}\n* ${R}\n`, 'a')];
    assert.deepEqual(judgeHostKey(files, [HOST], KEY), {
      kind: 'other-type',
      place: 'a:1',
      types: ['ssh-rsa', 'ecdsa-sha2-nistp256'],
    });
  });

  it('on something that is no key is never a match', () => {
    const files = [parseKnownHosts(`* ${K}\n* ssh-ed25519 \n*  AAAA\n`, 'a')];
    for (const blob of [
      Buffer.alloc(0),
      Buffer.from([0, 0, 0, 0]),
      Buffer.alloc(3),
      Buffer.alloc(5_000, 0xff),
    ]) {
      assert.equal(judgeHostKey(files, [HOST], blob).kind, 'other-type');
    }
  });
});

function formatVerdict(verdict: HostKeyVerdict): string {
  return 'place' in verdict ? `${verdict.kind} ${verdict.place}` : verdict.kind;
}

describe('what is known of a host', () => {
  const types = (text: string, port = 22, wanted = KEY_TYPES) =>
    listKeyTypes([parseKnownHosts(text, 'a')], nameHost(HOST, port), wanted);

  it('has the types of its keys in the order of the file, each once', () => {
    assert.deepEqual(types(`${HOST} ${R}\nnews ${E}\n${HOST} ${K}\n${HOST} ${O}\n* ${R}\n`), [
      'ssh-rsa',
      'ssh-ed25519',
    ]);
  });

  it('has the types of its hidden entries behind those of the others', () => {
    assert.deepEqual(types(`${hashedName(HOST)} ${R}\nMAIL.example.org ${K}\n`), ['ssh-ed25519', 'ssh-rsa']);
  });

  it('looks at hidden entries for the sake of wanted types only', () => {
    const text = `${hashedName(HOST)} ${R}\n${hashedName(HOST)} ${E}\n`;
    assert.deepEqual(types(text, 22, ['ssh-ed25519', 'ssh-rsa']), ['ssh-rsa']);
    assert.deepEqual(types(text, 22, []), []);
    const signed = text.replace(' ssh-rsa ', ' rsa-sha2-512 ').replace(/^(\S+) /gm, '$1\t');
    assert.deepEqual(types(signed), ['ssh-rsa', 'ecdsa-sha2-nistp256']);
  });

  it('leaves out revoked keys, authorities and garbage', () => {
    assert.deepEqual(
      types(`@revoked * ${R}\n${HOST} ${R}\n@cert-authority * ${E}\n${HOST} ssh-ed25519 AAAA\n`),
      [],
    );
    assert.deepEqual(types(`@revoked * ${O}\n${HOST} ${O}\n${HOST} ${K}\n`), ['ssh-ed25519']);
  });

  it('takes the entries without port only if there are none with it', () => {
    assert.deepEqual(types(`${HOST} ${R}\n${PORT} ${K}\n`, 2222), ['ssh-ed25519']);
    assert.deepEqual(types(`${HOST} ${R}\n@cert-authority ${PORT} ${K}\n`, 2222), ['ssh-rsa']);
  });

  it('has its revocations under every name', () => {
    const files = [parseKnownHosts(`${PORT} ${K}\n@revoked ${HOST} ${K}\n`, 'a')];
    assert.equal(findRevocation(files, nameHost(HOST, 2222), KEY), 'a:2');
    assert.equal(findRevocation(files, nameHost(HOST, 2222), OTHER), undefined);
  });
});

describe('lines that say nothing', () => {
  it('are listed with the reason', () => {
    const text = [
      '# comment',
      '',
      ' \t',
      '\r',
      `${HOST} ${K}`,
      'garbage',
      `@x ${HOST} ${K}`,
      `@revoked @revoked ${HOST} ${K}`,
      '@revoked',
      `|1|c2FsdA==|c2FsdA== ${K}`,
      `${HOST} ssh-ed25519 ????`,
      `${HOST} ssh-ed25519 AAAA`,
      `${HOST} ${R.slice(0, -12)}`,
      `${HOST} ${K}`,
      '#garbage',
      `@cert-authority * ${K}`,
      `${hashedName(HOST)}x ${K}`,
    ].join('\n');
    assert.deepEqual(
      listSkippedLines(parseKnownHosts(text, 'a')).map(({ line, why }) => `${line} ${why}`),
      [
        '6 no key',
        '7 unknown marker',
        '8 more than one marker',
        '9 no key',
        '10 malformed hashed name',
        '11 the key is not in base64',
        '12 the key is not of the type before it',
        '13 the key is cut or damaged',
        '17 malformed hashed name',
      ],
    );
  });

  it('never keep a file from being read, whatever is in it', (t) => {
    const line = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        `${HOST} ${K}`,
        `@revoked ${HOST} ${K}`,
        `${hashedName(HOST)} ${K}`,
        '|1|',
        '@',
        '!',
        '*',
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(line, fc.constantFrom('\n', '', ' ', '\r\n', '\0'))), (parts) => {
        const file = parseKnownHosts(Buffer.from(parts.flat().join('')), 'a');
        judgeHostKey([file], [HOST], KEY);
        listKeyTypes([file], [PORT, HOST], KEY_TYPES);
        listSkippedLines(file);
      }),
      randomCases(t, 1_000),
    );
  });
});

describe('a line to be added', () => {
  it('is found again, plain and hashed', () => {
    for (const hashed of [false, true]) {
      for (const names of [
        nameHost('Mail.example.org', 22),
        nameHost('::1', 2222),
        nameHost('x', 9, 'Work'),
      ]) {
        const line = formatKnownHostsLine(names[0], RSA, { hashed });
        assert.equal(line.startsWith('|1|'), hashed);
        assert.equal(judgeHostKey([parseKnownHosts(line, 'a')], names, RSA).kind, 'match');
      }
    }
    assert.equal(formatKnownHostsLine('mail', KEY), `mail ${K}`);
  });

  it('hides a name that would mean something else in the file', () => {
    for (const name of ['*', 'a,b', '!a', 'a b', '#a', '@a', '|1|a', 'a\nb', '']) {
      const line = formatKnownHostsLine(name, KEY);
      assert.match(line, /^\|1\|[^ ]{57} ssh-ed25519 [^ ]+$/);
      assert.equal(judgeHostKey([parseKnownHosts(line, 'a')], [name], KEY).kind, 'match');
    }
  });

  it('must hold a key', () => {
    assert.throws(() => formatKnownHostsLine('mail', Buffer.from('x')), TypeError);
    assert.throws(() => formatKnownHostsLine('mail', encodeFields('ssh rsa\n')), TypeError);
    assert.throws(() => formatKnownHostsLine('mail', encodeFields('\nssh-rsa')), TypeError);
    assert.throws(() => formatKnownHostsLine('mail', KEY.subarray(0, 8)), TypeError);
  });

  it('begins on a line of its own', () => {
    assert.equal(formatAppended('', 'x'), 'x\n');
    assert.equal(formatAppended('a\n', 'x'), 'x\n');
    assert.equal(formatAppended('a', 'x'), '\nx\n');
  });

  it('is hashed where others are', () => {
    const file = (text: string) => parseKnownHosts(text, 'a');
    assert.equal(hidesNames(file(`${HOST} ${K}\n`)), false);
    assert.equal(hidesNames(file(`${hashedName(HOST)} ${K}\n`)), true);
    assert.equal(hidesNames(file(`a ${K}\n${hashedName(HOST)} ${K}\n`)), true);
    assert.equal(hidesNames(file('')), false);
  });
});

describe('files of ssh-keygen and ssh-keyscan', {
  skip: requirePrograms('ssh-keygen', 'ssh-keyscan', 'sshd'),
}, () => {
  const readBlob = (file: string) =>
    Buffer.from(readFileSync(`${file}.pub`, 'utf8').split(' ')[1] ?? '', 'base64');

  it('are understood after ssh-keygen -H, and after -R the host is unknown', (t) => {
    const dir = makeTempDir(t, 'known-hosts');
    makeKey('ed25519', join(dir, 'one'));
    makeKey('ecdsa', join(dir, 'two'));
    const one = readBlob(join(dir, 'one'));
    const two = readBlob(join(dir, 'two'));
    const file = join(dir, 'known_hosts');
    const read = () => [parseKnownHosts(readFileSync(file), file)];
    writeFileSync(
      file,
      `${HOST},192.0.2.1 ${keyWords(one)}\n${PORT} ${keyWords(two)}\n*.example.net ${keyWords(two)}\n@revoked news ${keyWords(two)}\n`,
    );

    runKeygen('-H', '-f', file);
    assert.doesNotMatch(readFileSync(file, 'latin1'), /mail/);
    for (const host of [HOST, '192.0.2.1']) {
      assert.equal(judgeHostKey(read(), nameHost(host, 22), one).kind, 'match');
      assert.equal(judgeHostKey(read(), nameHost(host, 22), two).kind, 'other-type');
    }
    assert.equal(judgeHostKey(read(), nameHost(HOST, 2222), two).kind, 'match');
    assert.equal(judgeHostKey(read(), nameHost('a.example.net', 22), two).kind, 'match');
    assert.equal(judgeHostKey(read(), nameHost('news', 22), two).kind, 'revoked');

    runKeygen('-R', HOST, '-f', file);
    assert.equal(judgeHostKey(read(), nameHost(HOST, 22), one).kind, 'unknown');
    assert.equal(judgeHostKey(read(), nameHost('192.0.2.1', 22), one).kind, 'match');
    assert.equal(judgeHostKey(read(), nameHost(HOST, 2222), two).kind, 'match');
    assert.deepEqual(read().flatMap(listSkippedLines), []);
  });

  it('are understood as ssh-keyscan prints them, plain and hashed', async (t) => {
    const server = await openRealSshd(t);
    for (const words of [[], ['-H']]) {
      const scan = spawnSync('ssh-keyscan', [...words, '-p', String(server.port), '127.0.0.1']);
      const files = [parseKnownHosts(scan.stdout, 'scan')];
      const names = nameHost('127.0.0.1', server.port);
      for (const key of Object.values(server.hostKeys)) {
        const blob = Buffer.from(key.split(' ')[1] ?? '', 'base64');
        assert.equal(judgeHostKey(files, names, blob).kind, 'match', scan.stderr.toString());
      }
      assert.deepEqual(listKeyTypes(files, names, KEY_TYPES).sort(), [
        'ecdsa-sha2-nistp256',
        'ssh-ed25519',
        'ssh-rsa',
      ]);
      assert.deepEqual(files.flatMap(listSkippedLines), []);
    }
  });

  it('name a host in the lines in which ssh-keygen -F finds it', (t) => {
    const dir = makeTempDir(t, 'known-hosts');
    const file = join(dir, 'known_hosts');
    const name = fc.constantFrom(
      'a',
      'b.a',
      'A',
      '*',
      'b.*',
      '?',
      '*.a',
      '[a]:22',
      '[*]:2?',
      '!a',
      '!*.a',
      '!',
      '',
    );
    const hosts = fc.oneof(
      fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join(',')),
      fc.constantFrom('a', 'b.a', '[a]:22').map(hashedName),
    );
    const entry = fc
      .tuple(
        fc.constantFrom('', '', '', '@revoked ', '@cert-authority ', '@x '),
        hosts,
        fc.constantFrom(K, R, E),
      )
      .map((words) => [words[0] + words[1], words[2]].join(' '));
    const garbage = fc.constantFrom(
      '',
      '#a',
      'a',
      '  ',
      `@revoked @revoked a ${K}`,
      `|1|x|y ${K}`,
      `\t a\t${K}`,
    );
    const lines = fc.array(fc.oneof({ weight: 4, arbitrary: entry }, garbage), { maxLength: 8 });
    fc.assert(
      fc.property(lines, fc.constantFrom('a', 'b.a', 'c', '[a]:22'), (text, host) => {
        // Behind a last line without an end ssh-keygen reads on in the line before (OpenSSH 9.2, hostfile.c).
        writeFileSync(file, text.map((line) => `${line}\n`).join(''));
        const found = spawnSync('ssh-keygen', ['-F', host, '-f', file], { encoding: 'latin1' }).stdout;
        const expected = [...found.matchAll(/^# Host .* found: line (\d+)/gm)].map((match) =>
          Number(match[1]),
        );
        const known = [parseKnownHosts(readFileSync(file), file)];
        const ours = listHostKeys(known, host).map((key) =>
          Number(formatPlace(key.in, key.offset).slice(file.length + 1)),
        );
        assert.deepEqual(ours, expected);
      }),
      randomCases(t, 150),
    );
  });
});

function runKeygen(...words: readonly string[]): void {
  const { status, stderr } = spawnSync('ssh-keygen', words, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

describe('a file of 10,000 lines', () => {
  const LINES = 10_002;
  const host = (index: number) => `host${index}.example.org`;
  const keysOf = (index: number) =>
    (['ssh-rsa', 'ecdsa-sha2-nistp256', 'ssh-ed25519'] as const).map((type) =>
      fakeKey(type, `${type} ${index}`),
    );
  const makeFile = (name: (host: string) => string) =>
    Array.from({ length: LINES / 3 }, (_, index) =>
      keysOf(index).map((key) => `${name(host(index))} ${keyWords(key)}\n`),
    )
      .flat()
      .join('');

  for (const [title, name] of [
    ['plain', (host: string) => host],
    ['hashed', hashedName],
  ] as const) {
    it(`gives its verdict at once, ${title}`, (t) => {
      const content = Buffer.from(makeFile(name));
      const [, , key] = keysOf(3_000) as [Buffer, Buffer, Buffer];
      const timed = <T>(what: string, act: () => T): T => {
        const start = performance.now();
        const result = act();
        const ms = performance.now() - start;
        t.diagnostic(`${what}: ${ms.toFixed(1)} ms`);
        // A machine under load is no failure; a quadratic search is.
        assert.ok(ms < 5_000, `${what} took ${ms} ms`);
        return result;
      };
      const files = [timed('parse', () => parseKnownHosts(content, 'a'))];
      const names = nameHost(host(3_000), 22);
      assert.deepEqual(
        timed('match', () => judgeHostKey(files, names, key)),
        { kind: 'match', place: 'a:9003' },
      );
      assert.equal(timed('types', () => listKeyTypes(files, names, KEY_TYPES)).length, 3);
      assert.equal(timed('changed', () => judgeHostKey(files, names, OTHER)).kind, 'changed');
      assert.equal(timed('unknown', () => judgeHostKey(files, ['nobody.example.org'], key)).kind, 'unknown');
    });
  }
});
