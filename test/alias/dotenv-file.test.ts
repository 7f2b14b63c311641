import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'dotenv';
import fc from 'fast-check';
import { type DotenvEntry, decodeDotenv, parseDotenv } from '../../src/alias/dotenv-file.ts';
import { Failure } from '../../src/errors.ts';
import { caseCount } from '../helpers/cases.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { expectFailure } from './check-failure.ts';

const FILE = '/home/pat/.config/pine-rsh/hosts/work.env';
const SECRET = 's3cr3t-horse';

function readValues(text: string): Record<string, string> {
  return Object.fromEntries(parseDotenv(text, FILE).map(({ key, value }) => [key, value]));
}

function readLines(text: string): string[] {
  return parseDotenv(text, FILE).map(({ key, line }) => `${key}:${line}`);
}

describe('the syntax of an alias file', () => {
  for (const [what, text, value] of [
    ['a bare value', 'KEY=value', 'value'],
    ['blanks around it', ' \tKEY\t = \t a value \t', 'a value'],
    ['export', 'export KEY=value', 'value'],
    ['an equals sign in it', 'KEY=a=b==', 'a=b=='],
    ['no value', 'KEY=', ''],
    ['single quotes', "KEY=' a # \\n b '", ' a # \\n b '],
    ['double quotes', 'KEY="a # \\n b \\r"', 'a # \n b \r'],
    ['backticks', 'KEY=`it\'s "so" # \\n`', 'it\'s "so" # \\n'],
    ['a comment after quotes', "KEY='value' # it's not \"it\"", 'value'],
    ['a comment right after quotes', 'KEY="value"#comment', 'value'],
    ['quotes inside', 'KEY=sh -c \'x\' "y"', 'sh -c \'x\' "y"'],
    ['an apostrophe inside', "KEY=it's", "it's"],
    ['a backslash', 'KEY=a\\b\\n', 'a\\b\\n'],
    ['a quoted value of two lines', 'KEY="one\ntwo"', 'one\ntwo'],
    ['other scripts', 'KEY=möwe 東京', 'möwe 東京'],
  ] as const) {
    it(`takes ${what}`, () => assert.deepEqual(readValues(text), { KEY: value }));
  }

  it('takes `export` as a key', () => {
    assert.deepEqual(readValues('export=1'), { export: '1' });
    assert.deepEqual(readValues('export = 1'), { export: '1' });
    assert.deepEqual(readValues('export export=1'), { export: '1' });
  });

  it('takes ASCII letters, digits, _, . and - in a key, and no other character', () => {
    for (let code = 33; code < 128; code += 1) {
      const key = `K${String.fromCharCode(code)}y`;
      const text = `${key}='v'`;
      if (/^[\w.-]+$/.test(key)) assert.deepEqual(readValues(text), { [key]: 'v' });
      else if (key !== 'K=y') assert.equal(tryParse(text), undefined, key);
    }
  });

  it('takes no word but `export` before a key', () => {
    for (const word of ['expert', 'exports', 'Export', 'set']) {
      assert.equal(tryParse(`${word} KEY=v`), undefined, word);
    }
    assert.deepEqual(readValues('exports=v'), { exports: 'v' });
  });

  it('takes the character that stands for what is not UTF-8, where it is meant', () => {
    assert.equal(decodeDotenv(Buffer.from('A=\ufffd'), FILE), 'A=\ufffd');
  });

  it('knows the line of every key', () => {
    const text = '# comment\n\nA=1\n  # B=2\nC="two\nlines"\n\nD=`x` # y\nE=\nF=9';
    assert.deepEqual(readLines(text), ['A:3', 'C:5', 'D:8', 'E:9', 'F:10']);
  });

  it('takes CRLF, a byte order mark, no newline at the end, and nothing at all', () => {
    assert.deepEqual(readValues('\ufeffA=1\r\n\r\n# x\r\nB="2\r\n3"\r\n'), { A: '1', B: '2\n3' });
    assert.deepEqual(readLines('\ufeffA=1\r\n\r\n# x\r\nB="2"'), ['A:1', 'B:4']);
    for (const text of ['', '\n', '\ufeff', ' ', '# nothing', '\r\n']) assert.deepEqual(readValues(text), {});
  });

  for (const [what, text, line, problem, hint] of [
    ['a word alone', `A=1\n${SECRET}`, 2, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    ['words alone', `A=1\n\nlet me ${SECRET}\n`, 3, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    ['a colon for =', `HOSTNAME: ${SECRET}`, 1, 'no = after HOSTNAME', 'write HOSTNAME=...'],
    ['a line that begins with =', `=${SECRET}`, 1, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    ['a quoted key', `"A"=${SECRET}`, 1, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    ['a key with a blank', `MY KEY=${SECRET}`, 1, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    ['export alone', `export ${SECRET}`, 1, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    ['a value on the next line', `A=\n"${SECRET}"`, 2, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    [
      'a cut value',
      `A=${SECRET} # comment`,
      1,
      'an unquoted # cuts the value of A',
      /put the value in quotes/,
    ],
    ['a cut value without a blank', `A=${SECRET}#1`, 1, 'an unquoted # cuts the value of A', /quotes/],
    ['a value that is all comment', `A=#${SECRET}`, 1, 'an unquoted # cuts the value of A', /quotes/],
    ['a key twice', `A=1\nB=2\nA=${SECRET}`, 3, 'A is given twice', 'remove it here or on line 1'],
    [
      'an open quote',
      `A=1\nB="${SECRET}\nC=3`,
      2,
      'the quote before the value of B is not closed',
      /close it/,
    ],
    [
      'an open quote that a later one closes',
      `A='${SECRET}\nB='x'`,
      1,
      /text after the closing quote of A/,
      /quotes/,
    ],
    ['text after quotes', `A="a" ${SECRET}`, 1, 'text after the closing quote of A', /one pair of quotes/],
    [
      'two pairs of quotes',
      `A='a' '${SECRET}'`,
      1,
      'text after the closing quote of A',
      /one pair of quotes/,
    ],
    [
      'an escaped quote',
      `A="${SECRET} \\"x\\""`,
      1,
      'a backslash before a quote in the value of A',
      /another kind/,
    ],
    [
      'a quote that a backslash may end',
      `A='${SECRET}\\'\n# it'`,
      1,
      /a backslash before a quote/,
      /another kind/,
    ],
    ['NUL', `A=1\nB=${SECRET}\0`, 2, 'an invisible character (U+0000)', 'remove it'],
    ['escape in a comment', `# \x1b[2J${SECRET}`, 1, 'an invisible character (U+001B)', 'remove it'],
    ['CR without LF', `A=1\rB=${SECRET}`, 1, 'an invisible character (U+000D)', 'remove it'],
    ['a line separator', `# x\u2028A=${SECRET}`, 1, 'an invisible character (U+2028)', 'remove it'],
    ['a paragraph separator', `# x\u2029A=${SECRET}`, 1, 'an invisible character (U+2029)', 'remove it'],
    ['DEL', `A='\x7f${SECRET}'`, 1, 'an invisible character (U+007F)', 'remove it'],
    ['a no-break space', `A=${SECRET}\u00a0`, 1, 'an unusual blank in the value of A', 'type a plain one'],
    ['a byte order mark inside', `A=1\n\ufeffB=${SECRET}`, 2, 'no KEY=VALUE on this line', /write KEY=VALUE/],
    [
      'a key that JavaScript swallows',
      `__proto__=${SECRET}`,
      1,
      'a line that can be read in two ways',
      /quotes/,
    ],
  ] as const) {
    it(`refuses ${what}, with its line and without its value`, () => {
      const failure = expectFailure(() => parseDotenv(text, FILE), {
        code: 'alias-syntax',
        hint,
        without: SECRET,
      });
      const start = `${FILE}:${line}: `;
      assert.equal(failure.message.slice(0, start.length), start);
      const rest = failure.message.slice(start.length);
      if (typeof problem === 'string') assert.equal(rest, problem);
      else assert.match(rest, problem);
    });
  }

  it('is UTF-8', () => {
    const latin1 = Buffer.from(`A=1\r\n# ok\nB=${SECRET} m\xf6we\nC=3`, 'latin1');
    expectFailure(() => decodeDotenv(latin1, FILE), {
      code: 'alias-syntax',
      message: `${FILE}:3: bytes that are not UTF-8`,
      hint: 'save the file as UTF-8',
      without: SECRET,
    });
    const last = Buffer.from(`A=1\nB=${SECRET} m\xf6we`, 'latin1');
    expectFailure(() => decodeDotenv(last, FILE), {
      code: 'alias-syntax',
      message: new RegExp(`^${FILE}:2: `),
    });
    assert.equal(decodeDotenv(Buffer.from('A=möwe'), FILE), 'A=möwe');
    const utf16 = Buffer.from('\ufeffA=1\n', 'utf16le');
    expectFailure(() => parseDotenv(decodeDotenv(utf16, FILE), FILE), { code: 'alias-syntax' });
  });
});

describe('a file or line of another kind', () => {
  for (const type of ['ed25519', 'rsa', 'ecdsa']) {
    it(`is known as a private ${type} key`, { skip: requirePrograms('ssh-keygen') }, (t) => {
      const key = join(makeTempDir(t, 'twin'), 'key');
      execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'pat', '-f', key]);
      const text = readFileSync(key, 'utf8');
      for (const [before, line] of [
        ['', 1],
        ['# mine\nHOSTNAME=x\n', 3],
      ] as const) {
        expectFailure(() => parseDotenv(before + text, FILE), {
          code: 'alias-syntax',
          message: `${FILE}:${line}: this is a private key, not an alias file`,
          hint: /IDENTITY_FILE=~\/.ssh\/\.\.\./,
          without: text.split('\n')[1] as string,
        });
      }
      const publicKey = readFileSync(`${key}.pub`, 'utf8');
      for (const line of [publicKey, `work,192.0.2.1 ${publicKey}`, `@revoked * ${publicKey}`]) {
        expectFailure(() => parseDotenv(`# x\n${line}`, FILE), {
          code: 'alias-syntax',
          message: `${FILE}:2: this is a line of a public key or of known_hosts`,
          hint: /known_hosts/,
        });
      }
    });
  }

  for (const [what, line] of [
    ['a PEM key', '-----BEGIN RSA PRIVATE KEY-----'],
    ['an encrypted key', '-----BEGIN ENCRYPTED PRIVATE KEY-----'],
    ['a PuTTY key', 'PuTTY-User-Key-File-3: ssh-ed25519'],
  ] as const) {
    it(`is known as ${what}`, () => {
      expectFailure(() => parseDotenv(`${line}\nabc=\n`, FILE), {
        code: 'alias-syntax',
        message: /is a private key/,
      });
    });
  }

  it('is known as a hashed line of known_hosts', () => {
    const line = '|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-rsa AAAA1234.....=';
    expectFailure(() => parseDotenv(line, FILE), { code: 'alias-syntax', message: /of known_hosts/ });
  });

  for (const [line, hint] of [
    ['Host work', /^write HOSTNAME=\.\.\. /],
    ['Match all', /^write HOSTNAME=\.\.\. /],
    ['  HostName mail.example.org', 'write HOSTNAME=...'],
    ['hostname mail.example.org', 'write HOSTNAME=...'],
    ['IdentityFile ~/.ssh/work', 'write IDENTITY_FILE=...'],
    ['UserKnownHostsFile /x', 'write KNOWN_HOSTS=...'],
    ['PROXY_JUMP gate', 'write PROXY_JUMP=...'],
    ['PORT', 'write PORT=...'],
    ['pat@mail.example.org', 'write USER=... and HOSTNAME=...'],
  ] as const) {
    it(`is known as ssh_config: ${line}`, () => {
      expectFailure(() => parseDotenv(`${line}\n`, FILE), { code: 'alias-syntax', hint });
    });
  }
});

/** Undefined when refused. */
function tryParse(text: string): DotenvEntry[] | undefined {
  try {
    return parseDotenv(text, FILE);
  } catch (error) {
    assert.ok(error instanceof Failure && error.code === 'alias-syntax', String(error));
    return undefined;
  }
}

const PIECES = [
  'KEY',
  'A',
  'export',
  ' ',
  '\t',
  '=',
  ':',
  "'",
  '"',
  '`',
  '\\',
  '#',
  '\n',
  '\r\n',
  '\r',
  '\\n',
  'é',
  '-',
];
const ODD_PIECES = [
  '\0',
  '\u00a0',
  '\u2028',
  '\ufeff',
  '\v',
  '__proto__',
  'constructor',
  '1',
  '😀',
  '\ud800',
];

describe('agreement with dotenv', () => {
  // Pieces alone are hardly ever a file that is accepted.
  const line = fc
    .tuple(
      fc.constantFrom('KEY', 'A', 'export B', 'x.y-Z'),
      fc.array(fc.constantFrom(...PIECES), { maxLength: 6 }),
    )
    .map(([name, value]) => [name, '=', ...value, '\n']);
  const texts = fc.oneof(
    { weight: 4, arbitrary: fc.array(line, { maxLength: 4 }).map((lines) => lines.flat()) },
    { weight: 4, arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...PIECES, ...ODD_PIECES), { maxLength: 40 }) },
  );

  it('is exact for every file that is accepted', () => {
    let accepted = 0;
    fc.assert(
      fc.property(texts, (pieces) => {
        const text = pieces.join('');
        const entries = tryParse(text);
        if (entries === undefined) return;
        accepted += entries.length;
        const values = parse(text);
        assert.equal(Object.keys(values).length, entries.length);
        for (const { key, value } of entries) assert.equal(values[key], value);
      }),
      { numRuns: caseCount(20_000) },
    );
    assert.ok(accepted > caseCount(20_000) / 100, 'the property must not be empty');
  });

  const key = fc.constantFrom('HOSTNAME', 'PORT', 'A.b-c', 'x');
  const bare = fc.constantFrom('', 'v', 'a b', "it's", 'a=b', 'C:\\x\\');
  const inner = fc.constantFrom('', 'v', ' a # b ', 'a\nb', '\n\n', 'KEY=v\n# x', 'a\\nb');
  const quoted = fc.tuple(fc.constantFrom("'", '"', '`'), inner).map(([quote, text]) => quote + text + quote);
  const tail = fc.constantFrom('', ' ', ' # comment', "# it's");
  const goodLine = fc.oneof(
    fc.tuple(key, bare).map(([name, value]) => `${name}=${value}`),
    fc.tuple(key, quoted, tail).map(([name, value, end]) => `export ${name} = ${value}${end}`),
    fc.constantFrom('', '  ', '# a comment', '  # it\'s = "one"'),
  );
  const lostLine = fc.oneof(
    fc.constantFrom(
      'word',
      'two words',
      '= v',
      '"KEY"=v',
      'K\u00e9Y=v',
      'KEY : v',
      'KEY v',
      '- KEY=v',
      'A B=v',
      '$X=v',
    ),
    fc
      .tuple(key, fc.constantFrom('a # b', 'a#b', '#', '# a', '"a # b', "x '#'"))
      .map(([name, v]) => `${name}=${v}`),
    fc.tuple(key, fc.constantFrom('"a" b', "'a' 'b'", '`a`b', '"', "'")).map(([name, v]) => `${name}=${v}`),
  );
  const unique = (lines: readonly string[]): string[] =>
    // A key twice is an error of its own.
    lines.map((line, index) =>
      line.replace(/^(export )?([\w.-]+) ?=/, (_, prefix = '', name) => `${prefix}${name}${index}=`),
    );

  it('comes with a refusal of every file in which dotenv drops or cuts something', () => {
    fc.assert(
      fc.property(fc.array(goodLine), lostLine, fc.array(goodLine), (before, lost, after) => {
        const lines = unique([...before, lost, ...after]);
        assert.equal(tryParse(lines.join('\n')), undefined);
      }),
      { numRuns: caseCount(5_000) },
    );
  });

  it('comes with acceptance of every file in which it does not', () => {
    fc.assert(
      fc.property(fc.array(goodLine), fc.constantFrom('\n', '\r\n'), (good, newline) => {
        const text = unique(good).join('\n').replaceAll('\n', newline);
        const entries = tryParse(text);
        assert.ok(entries !== undefined);
        // Where each entry is said to be, there it is.
        const lines = text.split(newline);
        for (const entry of entries) assert.ok(lines[entry.line - 1]?.includes(entry.key), text);
      }),
      { numRuns: caseCount(5_000) },
    );
  });

  it('comes with a refusal of every key that is given twice', () => {
    fc.assert(
      fc.property(key, bare, quoted, (name, first, second) => {
        assert.equal(tryParse(`${name}=${first}\n\n${name}=${second}`), undefined);
      }),
    );
  });
});
