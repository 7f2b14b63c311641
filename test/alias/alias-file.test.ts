import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { describe, it } from 'node:test';
import { parseAliasFile, parseOptions } from '../../src/alias/alias-file.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey, type AliasKeyName } from '../../src/alias/keys.ts';
import { resolveAlias } from '../../src/alias/resolve.ts';

import { expectFailure } from './check-failure.ts';

const HOME = '/home/pat';
const FILE = `${HOME}/.config/pine-rsh/hosts/work.env`;
const SECRET = 's3cr3t horse%';

const parse = (text: string, kind: 'alias' | 'defaults' = 'alias') => parseAliasFile(text, FILE, kind, HOME);

describe('an alias file', () => {
  it('gives typed values and their lines', () => {
    const { values, lines } = parse('# work\nPORT=2222\n\nIDENTITY_FILE=~/.ssh/work\n');
    assert.equal(values.get('PORT'), 2222);
    assert.deepEqual(values.get('IDENTITY_FILE'), ['/home/pat/.ssh/work']);
    assert.equal(values.get('USER'), undefined);
    assert.deepEqual([...values.names()], ['PORT', 'IDENTITY_FILE']);
    assert.deepEqual(
      [...lines],
      [
        ['PORT', 2],
        ['IDENTITY_FILE', 4],
      ],
    );
  });

  it('tells `none` from a key that is not set', () => {
    const { values } = parse('PROXY_COMMAND=none\n');
    assert.equal(values.get('PROXY_COMMAND'), undefined);
    assert.equal(values.has('PROXY_COMMAND'), true);
    assert.equal(values.has('PASSPHRASE_COMMAND'), false);
  });

  for (const [line, problem, hint] of [
    ['PORT=99999', 'PORT has a bad value', 'PORT is a number from 1 to 65535'],
    ['PORT=', 'PORT has no value', 'give it one or remove the line'],
    ['PORT="22\n"', 'PORT spans more than one line', 'close its quote on the same line'],
    ['IMAPD="a\\nb"', 'IMAPD spans more than one line', 'close its quote on the same line'],
    [
      'IDENTITY_FILE=.ssh/work',
      'IDENTITY_FILE is a relative path',
      'give an absolute path or one that starts with ~/',
    ],
    [
      'IDENTITY_FILE=~lee/key',
      "IDENTITY_FILE names another user's home",
      'give an absolute path or one that starts with ~/',
    ],
    ['KNOWN_HOSTS=/a,', 'KNOWN_HOSTS has an empty item', 'remove the comma too many'],
    ['HOSTNAME=pat@mail', 'HOSTNAME holds a user too', 'write the user as USER=...'],
    ['HOSTNAME=mail:22', 'HOSTNAME holds a port too', 'write the port as PORT=...'],
    [
      'STRICT_HOST_KEY_CHECKING=no',
      'STRICT_HOST_KEY_CHECKING cannot be switched off',
      'STRICT_HOST_KEY_CHECKING is yes or accept-new',
    ],
    [
      'STRICT_HOST_KEY_CHECKING=off',
      'STRICT_HOST_KEY_CHECKING cannot be switched off',
      'STRICT_HOST_KEY_CHECKING is yes or accept-new',
    ],
    ['STRICT_HOST_KEY_CHECKING=ask', /cannot ask/, 'STRICT_HOST_KEY_CHECKING is yes or accept-new'],
    [
      'CONNECT_TIMEOUT=never',
      'CONNECT_TIMEOUT has a bad value',
      'CONNECT_TIMEOUT is a time such as 90, 90s, 10m or 1h30m, from 1s to 10m',
    ],
    ['PROXY_COMMAND=nc %h %q', 'PROXY_COMMAND has an unknown % sequence', /use %h, %p, %r/],
    ['UNMANAGED=deny', 'UNMANAGED has no meaning here', 'move it to defaults.env'],
    ['HostName=mail', 'unknown key HostName', 'write HOSTNAME'],
    ['hostname=mail', 'unknown key hostname', 'write HOSTNAME'],
    ['ALIASE=mail', 'unknown key ALIASE', 'write ALIASES'],
    ['UserKnownHostsFile=/x', 'unknown key UserKnownHostsFile', 'write KNOWN_HOSTS'],
    ['FORWARD_X11=yes', 'unknown key FORWARD_X11', 'pine-rsh-alias(5) lists all keys'],
    ['constructor=x', 'unknown key constructor', 'pine-rsh-alias(5) lists all keys'],
  ] as const) {
    it(`with ${JSON.stringify(line)} is refused with its line`, () => {
      const failure = expectFailure(() => parse(`# a comment\n\n${line}\n`), { code: 'alias-syntax', hint });
      const start = `${FILE}:3: `;
      assert.equal(failure.message.slice(0, start.length), start);
      const rest = failure.message.slice(start.length);
      if (typeof problem === 'string') assert.equal(rest, problem);
      else assert.match(rest, problem);
    });
  }

  it('with a line of base64 does not repeat it as an unknown key', () => {
    const line = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ';
    expectFailure(() => parse(`${line}==\n`), {
      code: 'alias-syntax',
      message: `${FILE}:1: a word of ${line.length} characters is no key`,
      without: line,
    });
  });

  for (const name of ALIAS_KEY_NAMES) {
    it(`never repeats a bad value of ${name}`, () => {
      const kind = name === 'UNMANAGED' ? 'defaults' : 'alias';
      const expected = { code: 'alias-syntax', message: new RegExp(name), without: SECRET };
      for (const value of [
        `'${SECRET}`,
        `"${SECRET}" x`,
        `${SECRET} # x`,
        `"${SECRET}\n"`,
        `'${SECRET}\\''`,
      ]) {
        expectFailure(() => parse(`${name}=${value}`, kind), expected);
      }
      const takesAnyText = 'value' in ALIAS_KEYS[name].parse('any text', HOME);
      if (!takesAnyText) expectFailure(() => parse(`${name}=${SECRET}`, kind), expected);
    });
  }
});

describe('defaults.env', () => {
  it('may hold UNMANAGED, and no ALIASES', () => {
    assert.equal(parse('UNMANAGED=deny', 'defaults').values.get('UNMANAGED'), 'deny');
    expectFailure(() => parse('ALIASES=mail', 'defaults'), {
      code: 'alias-syntax',
      message: `${FILE}:1: ALIASES has no meaning here`,
      hint: 'move it to an alias file',
    });
  });
});

describe('options', () => {
  it('are checked as the keys of a file are', () => {
    const values = parseOptions(
      new Map([
        ['CONNECT_TIMEOUT', '1m'],
        ['SHARE', 'no'],
      ]),
      HOME,
    );
    assert.equal(values.get('CONNECT_TIMEOUT'), 60);
    assert.equal(values.get('SHARE'), false);
  });

  it('are named as they were given', () => {
    expectFailure(() => parseOptions(new Map([['CONNECT_TIMEOUT', 'x y']]), HOME), {
      code: 'usage',
      message: /^-o ConnectTimeout: CONNECT_TIMEOUT has a bad value: CONNECT_TIMEOUT is a time /,
      without: 'x y',
    });
    expectFailure(() => parseOptions(new Map([['SHARE', '']]), HOME), {
      code: 'usage',
      message: /^-o SHARE: SHARE has no value/,
    });
    expectFailure(() => parseOptions(new Map([['NO_KEY', '1']]), HOME), { code: 'usage' });
  });
});

describe('examples/work.env', () => {
  const text = readFileSync(new URL('../../examples/work.env', import.meta.url), 'utf8');
  const uncommented = text.replace(/^#(?=[A-Z_]+=)/gm, '');

  it('is an alias as it stands', () => {
    const file = parseAliasFile(text, FILE, 'alias', HOME);
    const query = { host: 'work', user: undefined, port: undefined, options: new Map<string, string>() };
    const settings = { home: HOME, loginName: 'me' };
    const alias = resolveAlias({ name: 'work', file, byGlob: false }, [], query, settings);
    assert.equal(alias.hostname, 'mail.example.org');
    assert.equal(alias.user, 'pat');
    assert.deepEqual([...alias.given].sort(), ['HOSTNAME', 'USER']);
  });

  it('shows every key of an alias file once, with a good value', () => {
    const { values } = parseAliasFile(uncommented, FILE, 'alias', HOME);
    const expected = ALIAS_KEY_NAMES.filter(
      (name) => (ALIAS_KEYS[name] as AliasKey<unknown>).only !== 'defaults',
    );
    assert.deepEqual([...values.names()].sort(), [...expected].sort());
  });

  it('shows as a default what is the default', () => {
    for (const [, name, value] of text.matchAll(/^#([A-Z_]+)=(.*)$/gm)) {
      const { preset }: AliasKey<unknown> = ALIAS_KEYS[name as AliasKeyName];
      if (preset !== undefined) assert.equal(value, preset, name);
    }
  });
});
