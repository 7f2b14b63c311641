import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { guessAliasKey } from '../../src/alias/key-names.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey, type AliasKeyName } from '../../src/alias/keys.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

const HOME = '/home/pat';
const FINGERPRINT = 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU';

interface KeyCases {
  /** Texts and what they mean. */
  readonly good: Readonly<Record<string, unknown>>;
  readonly bad: readonly string[];
}

const YES_NO: KeyCases = {
  good: { yes: true, no: false, YES: true, True: true, false: false },
  bad: ['1', 'on', 'off', 'y', 'yes no', '"yes"'],
};

const PATHS: KeyCases = {
  good: {
    '~/.ssh/a': ['/home/pat/.ssh/a'],
    '/a/b , ~/c d': ['/a/b', '/home/pat/c d'],
    '~': ['/home/pat'],
    none: [],
    None: [],
  },
  bad: ['a', './a', '~lee/a', '%d/.ssh/a', '/a,', ',/a', '/a,,/b', '/a,b', '$HOME/a'],
};

const ALGORITHMS: KeyCases = {
  good: {
    'aes128-ctr': { mode: 'replace', names: ['aes128-ctr'] },
    'a@openssh.com, b': { mode: 'replace', names: ['a@openssh.com', 'b'] },
    '+a,b': { mode: 'append', names: ['a', 'b'] },
    '-*-cbc,hmac-?': { mode: 'remove', names: ['*-cbc', 'hmac-?'] },
    '^ssh-ed25519': { mode: 'prepend', names: ['ssh-ed25519'] },
  },
  bad: ['+', 'a,', 'a b', ',', '^', 'a;b', 'a=b'],
};

/** Each key once; the compiler sees to that. */
const CASES: Readonly<Record<AliasKeyName, KeyCases>> = {
  HOSTNAME: {
    good: {
      'mail.example.org': 'mail.example.org',
      '192.0.2.1': '192.0.2.1',
      '2001:db8::1': '2001:db8::1',
      'fe80::1%eth0': 'fe80::1%eth0',
      '%h.example.org': '%h.example.org',
      '::1': '::1',
      my_host: 'my_host',
      '.': '.',
    },
    bad: [
      '-oProxyCommand=x',
      'a b',
      'pat@mail',
      'mail:22',
      '[::1]',
      '[::1]:22',
      'a/b',
      'a;b',
      'a$(b)',
      '../x',
      'a,b',
    ],
  },
  PORT: {
    good: { 22: 22, 1: 1, 65535: 65535, '0022': 22 },
    bad: ['0', '65536', '-1', '22a', '2 2', '0x16', 'ssh', '1e3'],
  },
  USER: {
    good: {
      pat: 'pat',
      'pat.smith': 'pat.smith',
      'DOMAIN+pat': 'DOMAIN+pat',
      'pat@example.org': 'pat@example.org',
      pät: 'pät',
    },
    bad: ['-oX', 'a b', '$(id)', "a'b", 'a;b', 'a`b`', 'a\\b', '@'],
  },
  ALIASES: {
    good: {
      mail: ['mail'],
      'mail.example.org, *.example.org': ['mail.example.org', '*.example.org'],
      '*,!work?': ['*', '!work?'],
      '2001:db8::1': ['2001:db8::1'],
    },
    bad: ['a,', 'a b', '-x', '!', '!-x', 'pat@mail', 'a/b', ','],
  },
  IDENTITY_FILE: PATHS,
  CERTIFICATE_FILE: PATHS,
  IDENTITY_AGENT: {
    good: {
      none: 'none',
      NONE: 'none',
      '/run/agent': '/run/agent',
      '~/agent': '/home/pat/agent',
      SSH_AUTH_SOCK: undefined,
    },
    bad: ['agent', '$SSH_AUTH_SOCK', 'ssh_auth_sock', '~lee/agent'],
  },
  IDENTITIES_ONLY: YES_NO,
  PASSPHRASE_COMMAND: {
    good: { 'pass show "x y" | head -1': 'pass show "x y" | head -1', none: undefined },
    bad: [],
  },
  KNOWN_HOSTS: { good: { '~/a,/b': ['/home/pat/a', '/b'] }, bad: ['none', 'a', '/a,', '~lee/a'] },
  STRICT_HOST_KEY_CHECKING: {
    good: { yes: 'yes', 'accept-new': 'accept-new', Yes: 'yes' },
    bad: ['no', 'off', 'ask', 'true', 'accept', 'NO'],
  },
  HOST_KEY_ALIAS: { good: { 'mail.example.org': 'mail.example.org' }, bad: ['a b', '-x', 'a,b'] },
  HOST_KEY_FINGERPRINT: {
    good: {
      [FINGERPRINT]: FINGERPRINT,
      [`${FINGERPRINT}=`]: FINGERPRINT,
      [FINGERPRINT.replace('SHA', 'sha')]: FINGERPRINT,
    },
    bad: [
      FINGERPRINT.slice(0, -1),
      `${FINGERPRINT}x`,
      FINGERPRINT.replace(/U$/, 'V'),
      FINGERPRINT.slice('SHA256:'.length),
      'MD5:b1:94:6a:c9:24:92:d2:34:7c:62:35:b4:d2:61:11:84',
      `256 ${FINGERPRINT} pat (ED25519)`,
      `256 ${FINGERPRINT}`,
      FINGERPRINT.replace(':', ':A'),
      'SHA256:',
    ],
  },
  PROXY_JUMP: {
    good: {
      gate: [{ host: 'gate', user: undefined, port: undefined }],
      'pat@gate.example.org:2222': [{ host: 'gate.example.org', user: 'pat', port: 2222 }],
      'a,b:1': [
        { host: 'a', user: undefined, port: undefined },
        { host: 'b', user: undefined, port: 1 },
      ],
      '[2001:db8::1]:22': [{ host: '2001:db8::1', user: undefined, port: 22 }],
      'pat@[::1]': [{ host: '::1', user: 'pat', port: undefined }],
      '2001:db8::1:2': [{ host: '2001:db8::1:2', user: undefined, port: undefined }],
      'pat@::1': [{ host: '::1', user: 'pat', port: undefined }],
      'ssh://pat@gate:22/': [{ host: 'gate', user: 'pat', port: 22 }],
      'pat@example.org@gate': [{ host: 'gate', user: 'pat@example.org', port: undefined }],
      none: [],
    },
    bad: [
      '-oX=y',
      'a b',
      '@gate',
      'gate:',
      'gate:0',
      'gate:x',
      '[::1',
      '[]:22',
      'a;b',
      'http://gate',
      'ssh://a/b',
      'x[::1]:22',
      '[::1]:22x',
      '[::1]x',
      '::1[x]',
      'gate:22x',
      '-l@gate',
      'a,',
    ],
  },
  PROXY_COMMAND: {
    good: { 'nc %h %p': 'nc %h %p', 'ssh -l %r gate "100%%"': 'ssh -l %r gate "100%%"', none: undefined },
    bad: ['nc %n', 'nc %', 'echo 50% %h', 'nc %H'],
  },
  CONNECT_TIMEOUT: {
    good: { 12: 12, '90s': 90, '1m30s': 90, '10M': 600, 1: 1 },
    bad: ['0', '11m', '-1', '1.5', '10 s', 's', '5x', 'never', '9999999999', `${'1'.repeat(5_000)}x`],
  },
  SERVER_ALIVE_INTERVAL: {
    good: { 0: 0, '15s': 15, '1h': 3600 },
    bad: ['2h', '-1', ' ', '', 's', '1hh', '1h-'],
  },
  SERVER_ALIVE_COUNT_MAX: { good: { 1: 1, 3: 3, 100: 100 }, bad: ['0', '101', '3s'] },
  IMAPD: {
    good: { auto: 'auto', '/usr/lib/dovecot/imap -c "x y"': '/usr/lib/dovecot/imap -c "x y"' },
    bad: [],
  },
  SENDMAIL: { good: { auto: 'auto', '/usr/sbin/sendmail -oem': '/usr/sbin/sendmail -oem' }, bad: [] },
  QUEUE: YES_NO,
  FALLBACK: { good: { deny: 'deny', allow: 'allow', Deny: 'deny' }, bad: ['yes', 'no', 'denied'] },
  SHARE: YES_NO,
  PERSIST: {
    good: { 0: 0, '10m': 600, '1h30m': 5400, '1w': 604_800, '2d': 172_800 },
    bad: ['8d', 'yes', 'forever'],
  },
  WARM: { good: { 0: 0, 1: 1, 8: 8 }, bad: ['9', '-1', 'yes'] },
  CIPHERS: ALGORITHMS,
  MACS: ALGORITHMS,
  KEX_ALGORITHMS: ALGORITHMS,
  HOST_KEY_ALGORITHMS: ALGORITHMS,
  COMPRESSION: YES_NO,
  TRANSPORT: { good: { ssh2: 'ssh2', openssh: 'openssh', OpenSSH: 'openssh' }, bad: ['ssh', 'auto'] },
  SSH_CONFIG: YES_NO,
  UNMANAGED: { good: { deny: 'deny', allow: 'allow' }, bad: ['yes', 'refuse'] },
};

function readKey(name: AliasKeyName): AliasKey<unknown> {
  return ALIAS_KEYS[name];
}

for (const name of ALIAS_KEY_NAMES) {
  const key = readKey(name);
  describe(name, () => {
    for (const [text, value] of Object.entries(CASES[name].good)) {
      it(`may be ${text}`, () => assert.deepEqual(key.parse(text, HOME), { value }));
    }
    for (const text of CASES[name].bad) {
      it(`may not be ${text.slice(0, 80)}`, () => {
        const parsed = key.parse(text, HOME);
        assert.ok(!('value' in parsed), `it is ${JSON.stringify(parsed)}`);
        assert.notDeepEqual(parsed, {});
        for (const reason of Object.values(parsed)) assert.match(reason, /^\S.*(?:[^.]|=\.\.\.)$/);
      });
    }
  });
}

describe('the reason why a value does not fit', () => {
  for (const [name, text, reason] of [
    ['HOSTNAME', 'pat@mail', 'holds a user too'],
    ['HOSTNAME', 'mail:22', 'holds a port too'],
    ['HOSTNAME', '[::1]:22', 'holds a port too'],
    ['HOSTNAME', '[::1]', 'a host name or an address'],
    ['HOSTNAME', 'a;b:22x', 'a host name or an address'],
    ['HOSTNAME', '[::1]:22x', 'a host name or an address'],
    ['HOSTNAME', '[a:b:22', 'a host name or an address'],
    ['USER', 'a b', 'a login name'],
    ['ALIASES', 'a b', 'host names and globs'],
    ['ALIASES', 'a,', 'has an empty item'],
    ['PROXY_JUMP', 'gate:x', 'alias names or user@host:port'],
    ['CIPHERS', 'a b', 'algorithm names'],
    ['COMPRESSION', '1', 'yes or no'],
    ['TRANSPORT', 'ssh', 'ssh2 or openssh'],
    ['WARM', '9', 'a number from 0 to 8'],
    ['PERSIST', '8d', 'from 0 to 1w'],
    ['IDENTITY_FILE', '~lee/key', "names another user's home"],
    ['IDENTITY_FILE', 'key~', 'is a relative path'],
    ['PROXY_COMMAND', 'nc %n', 'has an unknown % sequence'],
    ['HOST_KEY_FINGERPRINT', 'SHA256:', 'SHA256: and 43 characters'],
    ['HOST_KEY_FINGERPRINT', `SHA256:${'A'.repeat(42)}B`, 'that are no base64 of 32 bytes'],
    ['HOST_KEY_FINGERPRINT', `SHA256:${'-'.repeat(43)}`, 'that are no base64 of 32 bytes'],
  ] as const) {
    it(`of ${name} ${text} is named`, () => {
      assert.ok(JSON.stringify(readKey(name).parse(text, HOME)).includes(reason));
    });
  }
});

describe('the table of keys', () => {
  it('says of each key what it does and what holds without it', () => {
    for (const name of ALIAS_KEY_NAMES) {
      const { preset, unset, doc, parse } = readKey(name);
      assert.notEqual(preset === undefined, unset === undefined, name);
      if (preset !== undefined) assert.ok('value' in parse(preset, HOME), name);
      assert.match(doc, /^\S.*[^.]$/, name);
    }
  });

  it('carries keywords that ssh_config(5) knows', { skip: requirePrograms('ssh') }, () => {
    for (const name of ALIAS_KEY_NAMES) {
      const { keyword } = readKey(name);
      if (keyword === undefined) continue;
      if (name !== 'KNOWN_HOSTS') assert.equal(keyword.toUpperCase(), name.replaceAll('_', ''));
      // ssh complains of the value, not of the keyword.
      const words = ['-F', '/dev/null', '-o', `${keyword}=x`, '-G', 'host'];
      const said = spawnSync('ssh', words, { encoding: 'utf8' }).stderr;
      assert.doesNotMatch(said, /Bad configuration option/i, keyword);
    }
  });

  it('takes the fingerprint that ssh-keygen prints', { skip: requirePrograms('ssh-keygen') }, (t) => {
    const key = join(makeTempDir(t, 'keys'), 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const printed = execFileSync('ssh-keygen', ['-l', '-f', key], { encoding: 'utf8' }).split(
      ' ',
    )[1] as string;
    assert.deepEqual(ALIAS_KEYS.HOST_KEY_FINGERPRINT.parse(printed, HOME), { value: printed });
  });
});

describe('the key that was meant', () => {
  for (const [word, key] of [
    ['HostName', 'HOSTNAME'],
    ['hostname', 'HOSTNAME'],
    ['HOST_NAME', 'HOSTNAME'],
    ['HOST', 'HOSTNAME'],
    ['HOSTNAM', 'HOSTNAME'],
    ['IdentityFile', 'IDENTITY_FILE'],
    ['IDENTITYFILE', 'IDENTITY_FILE'],
    ['IDENTITY_FILES', 'IDENTITY_FILE'],
    ['UserKnownHostsFile', 'KNOWN_HOSTS'],
    ['user_known_hosts_file', 'KNOWN_HOSTS'],
    ['PROXYJUMP', 'PROXY_JUMP'],
    ['ProxyJmup', 'PROXY_JUMP'],
    ['ALIAS', 'ALIASES'],
    ['USERNAME', 'USER'],
    ['port', 'PORT'],
    ['KexAlgorithms', 'KEX_ALGORITHMS'],
    ['FORWARD_X11', undefined],
    ['PASSWORD', undefined],
    ['LOG', undefined],
  ] as const) {
    it(`by ${word} is ${key ?? 'none'}`, () => assert.equal(guessAliasKey(word), key));
  }
});
