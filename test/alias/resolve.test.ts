import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { expectFailure } from './check-failure.ts';
import { openTempConfig } from './temp-config.ts';

const FINGERPRINT = 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU';

describe('an alias', () => {
  it('has a default for everything', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', '');
    assert.deepEqual(config.find('work'), {
      name: 'work',
      files: [file],
      hostname: 'work',
      port: 22,
      user: 'me',
      identityFiles: undefined,
      certificateFiles: [],
      identityAgent: undefined,
      identitiesOnly: false,
      passphraseCommand: undefined,
      knownHosts: [join(config.settings.home, '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts'],
      strictHostKeyChecking: 'yes',
      hostKeyAlias: undefined,
      hostKeyFingerprint: undefined,
      proxyJump: [],
      proxyCommand: undefined,
      connectTimeout: 12,
      serverAliveInterval: 15,
      serverAliveCountMax: 3,
      imapd: 'auto',
      sendmail: 'auto',
      queue: false,
      fallback: 'deny',
      share: true,
      persist: 600,
      warm: 1,
      ciphers: undefined,
      macs: undefined,
      kexAlgorithms: undefined,
      hostKeyAlgorithms: undefined,
      compression: false,
      transport: 'ssh2',
      sshConfig: true,
      given: new Set(),
    });
  });

  it('carries every key of its file', (t) => {
    const config = openTempConfig(t);
    config.alias(
      'work',
      `HOSTNAME=mail.example.org
PORT=2222
USER=pat
ALIASES=mail
IDENTITY_FILE=~/.ssh/a,/b
CERTIFICATE_FILE=/c
IDENTITY_AGENT=none
IDENTITIES_ONLY=yes
PASSPHRASE_COMMAND="pass show 'x'"
KNOWN_HOSTS=/k
STRICT_HOST_KEY_CHECKING=accept-new
HOST_KEY_ALIAS=key.example.org
HOST_KEY_FINGERPRINT=${FINGERPRINT}
PROXY_JUMP=gate,pat@[::1]:23
CONNECT_TIMEOUT=5
SERVER_ALIVE_INTERVAL=0
SERVER_ALIVE_COUNT_MAX=9
IMAPD=/x/imapd
SENDMAIL=/x/sendmail -v
QUEUE=yes
FALLBACK=allow
SHARE=no
PERSIST=1h
WARM=0
CIPHERS=a
MACS=+b
KEX_ALGORITHMS=-c
HOST_KEY_ALGORITHMS=^d,e
COMPRESSION=yes
TRANSPORT=openssh
SSH_CONFIG=no
`,
    );
    const { given, files, ...alias } = config.find('work');
    assert.deepEqual(alias, {
      name: 'work',
      hostname: 'mail.example.org',
      port: 2222,
      user: 'pat',
      identityFiles: [join(config.settings.home, '.ssh', 'a'), '/b'],
      certificateFiles: ['/c'],
      identityAgent: 'none',
      identitiesOnly: true,
      passphraseCommand: "pass show 'x'",
      knownHosts: ['/k'],
      strictHostKeyChecking: 'accept-new',
      hostKeyAlias: 'key.example.org',
      hostKeyFingerprint: FINGERPRINT,
      proxyJump: [
        { host: 'gate', user: undefined, port: undefined },
        { host: '::1', user: 'pat', port: 23 },
      ],
      proxyCommand: undefined,
      connectTimeout: 5,
      serverAliveInterval: 0,
      serverAliveCountMax: 9,
      imapd: '/x/imapd',
      sendmail: '/x/sendmail -v',
      queue: true,
      fallback: 'allow',
      share: false,
      persist: 3600,
      warm: 0,
      ciphers: { mode: 'replace', names: ['a'] },
      macs: { mode: 'append', names: ['b'] },
      kexAlgorithms: { mode: 'remove', names: ['c'] },
      hostKeyAlgorithms: { mode: 'prepend', names: ['d', 'e'] },
      compression: true,
      transport: 'openssh',
      sshConfig: false,
    });
    assert.equal(files.length, 1);
    // All but PROXY_COMMAND, which PROXY_JUMP excludes, and UNMANAGED, which is no key of an alias.
    assert.equal(given.size, 31);
  });

  it("takes each key from its own file, then the user's defaults, then the system's", (t) => {
    const config = openTempConfig(t);
    const files = [
      config.alias('work', 'PORT=1\n'),
      config.defaults('PORT=2\nWARM=2\n'),
      config.systemDefaults('PORT=3\nWARM=3\nQUEUE=yes\n'),
    ];
    config.systemAlias('home', 'QUEUE=no\n');
    const { port, warm, queue, files: used, given } = config.find('work');
    assert.deepEqual({ port, warm, queue }, { port: 1, warm: 2, queue: true });
    assert.deepEqual(used, files);
    assert.deepEqual([...given].sort(), ['PORT', 'QUEUE', 'WARM']);
    const home = config.find('home');
    assert.deepEqual(
      [home.port, home.warm, home.queue],
      [2, 2, false],
      "the user's defaults hold for all aliases",
    );
  });

  it('takes back with none what defaults.env says', (t) => {
    const config = openTempConfig(t);
    config.defaults('PROXY_JUMP=gate\nPASSPHRASE_COMMAND=x\nIDENTITY_AGENT=/run/agent\nIDENTITY_FILE=/k\n');
    config.alias(
      'work',
      'PROXY_JUMP=none\nPASSPHRASE_COMMAND=none\nIDENTITY_AGENT=SSH_AUTH_SOCK\nIDENTITY_FILE=none\n',
    );
    const { proxyJump, passphraseCommand, identityAgent, identityFiles, given } = config.find('work');
    assert.deepEqual(
      [proxyJump, passphraseCommand, identityAgent, identityFiles],
      [[], undefined, undefined, []],
    );
    assert.ok(given.has('IDENTITY_AGENT'), 'so that ssh_config does not fill it');
  });

  it('takes options before all files', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'CONNECT_TIMEOUT=5\nSHARE=yes\n');
    const options = new Map([
      ['CONNECT_TIMEOUT', '9'],
      ['SHARE', 'no'],
      ['COMPRESSION', 'yes'],
    ]);
    const { connectTimeout, share, compression, given } = config.find('work', { options });
    assert.deepEqual([connectTimeout, share, compression], [9, false, true]);
    assert.deepEqual([...given].sort(), ['COMPRESSION', 'CONNECT_TIMEOUT', 'SHARE']);
    const bad = new Map([['CONNECT_TIMEOUT', 'never']]);
    expectFailure(() => config.lookup('work', { options: bad }), {
      code: 'usage',
      message: /^-o ConnectTimeout: /,
    });
    assert.equal(config.lookup('other', { options: bad }).kind, 'unmanaged', 'not ours to judge');
  });

  for (const [key, text, value, given] of [
    ['CONNECT_TIMEOUT', '0', 5, true],
    ['CONNECT_TIMEOUT', 'none', 5, true],
    ['CONNECT_TIMEOUT', '1h', 600, true],
    ['CONNECT_TIMEOUT', '2147483647', 600, true],
    ['SERVER_ALIVE_INTERVAL', '0', 0, true],
    ['SERVER_ALIVE_INTERVAL', 'none', 0, true],
    ['SERVER_ALIVE_INTERVAL', '2h', 3600, true],
    ['SERVER_ALIVE_COUNT_MAX', '0', 3, false],
    ['SERVER_ALIVE_COUNT_MAX', '101', 100, true],
  ] as const) {
    it(`takes -o ${key}=${text} as ssh would, within our bounds`, (t) => {
      const config = openTempConfig(t);
      config.alias('work', 'HOSTNAME=mail\n');
      config.defaults('CONNECT_TIMEOUT=5\n');
      const alias = config.find('work', { options: new Map([[key, text]]) });
      const values = {
        CONNECT_TIMEOUT: alias.connectTimeout,
        SERVER_ALIVE_INTERVAL: alias.serverAliveInterval,
        SERVER_ALIVE_COUNT_MAX: alias.serverAliveCountMax,
      };
      assert.equal(values[key], value);
      assert.equal(alias.given.has(key), given);
    });
  }

  for (const [key, text] of [
    ['CONNECT_TIMEOUT', '-1'],
    ['CONNECT_TIMEOUT', '1y'],
    ['SERVER_ALIVE_COUNT_MAX', 'none'],
    ['SERVER_ALIVE_COUNT_MAX', '10m'],
    ['SERVER_ALIVE_COUNT_MAX', ''],
  ] as const) {
    it(`refuses -o ${key}=${text}, which ssh would refuse too`, (t) => {
      const config = openTempConfig(t);
      config.alias('work', 'HOSTNAME=mail\n');
      expectFailure(() => config.lookup('work', { options: new Map([[key, text]]) }), { code: 'usage' });
    });
  }

  for (const [asked, written, user, given] of [
    [undefined, undefined, 'me', false],
    [undefined, 'pat', 'pat', true],
    ['me', undefined, 'me', false],
    ['me', 'pat', 'pat', true],
    ['lee', undefined, 'lee', true],
    ['lee', 'pat', 'lee', true],
  ] as const) {
    it(`logs in as ${user} for -l ${asked ?? 'nothing'} and USER ${written ?? 'nothing'}`, (t) => {
      const config = openTempConfig(t);
      config.alias('work', written === undefined ? '' : `USER=${written}\n`);
      const alias = config.find('work', { user: asked });
      assert.equal(alias.user, user);
      assert.equal(alias.given.has('USER'), given);
    });
  }

  it('takes -p before PORT', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'PORT=1\n');
    config.alias('home', '');
    assert.equal(config.find('work', { port: 5 }).port, 5);
    assert.ok(config.find('home', { port: 5 }).given.has('PORT'));
  });

  it('puts the host as given in the place of %h', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'HOSTNAME=%h.example.org\nALIASES=node*\n');
    config.alias('local', 'HOSTNAME=fe80::1%%h0\n');
    config.alias('scope', 'HOSTNAME=fe80::1%eth0\n');
    assert.equal(config.find('work').hostname, 'work.example.org');
    assert.equal(config.find('node7').hostname, 'node7.example.org');
    assert.equal(config.find('local').hostname, 'fe80::1%h0');
    assert.equal(config.find('scope').hostname, 'fe80::1%eth0');
  });

  it('needs HOSTNAME when its own name is no host name', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('my mail', '\nALIASES=mail\n');
    expectFailure(() => config.lookup('mail'), {
      code: 'alias-syntax',
      message: new RegExp(`^${file}:\\d: no HOSTNAME`),
      hint: 'write HOSTNAME=...',
    });
    config.alias('my mail', 'ALIASES=mail\nHOSTNAME=mail.example.org\n');
    assert.equal(config.find('mail').hostname, 'mail.example.org');
  });

  it('has certificates with TRANSPORT=openssh only', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', '# x\nCERTIFICATE_FILE=~/.ssh/id-cert.pub\n');
    const expected = {
      code: 'alias-syntax',
      message: `${file}:2: CERTIFICATE_FILE does not work with TRANSPORT=ssh2`,
      hint: 'write TRANSPORT=openssh',
    };
    expectFailure(() => config.lookup('work'), expected);
    config.alias('work', '# x\nCERTIFICATE_FILE=~/.ssh/id-cert.pub\nTRANSPORT=ssh2\n');
    expectFailure(() => config.lookup('work'), expected);
    const defaults = config.defaults('\n\nCERTIFICATE_FILE=/x\n');
    config.alias('work', '');
    expectFailure(() => config.lookup('work'), { ...expected, message: new RegExp(`^${defaults}:3: CERT`) });
    config.alias('work', 'CERTIFICATE_FILE=none\n');
    assert.deepEqual(config.find('work').certificateFiles, []);
    config.alias('work', 'TRANSPORT=openssh\n');
    assert.deepEqual(config.find('work').certificateFiles, ['/x']);
  });

  it('goes through gateways or a command, whichever is set nearer', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('both', 'PROXY_JUMP=gate\nPROXY_COMMAND=nc %h %p\n');
    expectFailure(() => config.lookup('both'), {
      code: 'alias-syntax',
      message: `${file}:2: both PROXY_JUMP and PROXY_COMMAND`,
      hint: 'remove one of them',
    });
    config.defaults('PROXY_JUMP=gate\n');
    config.alias('command', 'PROXY_COMMAND=nc %h %p\n');
    config.alias('direct', 'PROXY_COMMAND=none\n');
    config.alias('plain', '');
    const proxy = (host: string): unknown[] => [
      config.find(host).proxyJump.length,
      config.find(host).proxyCommand,
    ];
    assert.deepEqual(proxy('command'), [0, 'nc %h %p']);
    assert.deepEqual(proxy('direct'), [0, undefined]);
    assert.deepEqual(proxy('plain'), [1, undefined]);
  });
});
