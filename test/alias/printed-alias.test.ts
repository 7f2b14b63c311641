/** `pine-rsh -G`, whose lines other programs read as those of `ssh -G`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey } from '../../src/alias/keys.ts';
import { formatAlias } from '../../src/alias/printed-alias.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { openTempConfig } from './temp-config.ts';

const FULL = `HOSTNAME=mail.example.org
PORT=2222
USER=pat
ALIASES=mail,*.example.org
IDENTITY_FILE=/k/one,/k/two
CERTIFICATE_FILE=/k/cert,/k/more
IDENTITY_AGENT=/run/agent
IDENTITIES_ONLY=yes
PASSPHRASE_COMMAND='echo hunter2'
KNOWN_HOSTS=/k/known,/k/hosts
STRICT_HOST_KEY_CHECKING=accept-new
HOST_KEY_ALIAS=key.example.org
HOST_KEY_FINGERPRINT=SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
PROXY_JUMP=gate,pat@gw:2200
CONNECT_TIMEOUT=1m
SERVER_ALIVE_INTERVAL=20
SERVER_ALIVE_COUNT_MAX=4
IMAPD=/usr/lib/dovecot/imap
SENDMAIL=/usr/sbin/sendmail
QUEUE=yes
FALLBACK=allow
SHARE=no
PERSIST=1h
WARM=2
CIPHERS=+aes128-cbc
MACS=hmac-sha2-256,hmac-sha2-512
KEX_ALGORITHMS=^ecdh-sha2-nistp256
HOST_KEY_ALGORITHMS=-ssh-rsa
COMPRESSION=yes
TRANSPORT=openssh
SSH_CONFIG=no
`;

describe('pine-rsh -G', () => {
  it('prints all that a file sets, but no command that may hold a secret', (t) => {
    const config = openTempConfig(t);
    config.alias('work', FULL);
    assert.equal(
      formatAlias(config.find('work')),
      `host work
hostname mail.example.org
port 2222
user pat
identityfile /k/one
identityfile /k/two
certificatefile /k/cert
certificatefile /k/more
identityagent /run/agent
identitiesonly yes
userknownhostsfile /k/known /k/hosts
stricthostkeychecking accept-new
hostkeyalias key.example.org
hostkeyfingerprint SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
proxyjump gate,pat@gw:2200
connecttimeout 60
serveraliveinterval 20
serveralivecountmax 4
imapd /usr/lib/dovecot/imap
sendmail /usr/sbin/sendmail
queue yes
fallback allow
share no
persist 3600
warm 2
ciphers +aes128-cbc
macs hmac-sha2-256,hmac-sha2-512
kexalgorithms ^ecdh-sha2-nistp256
hostkeyalgorithms -ssh-rsa
compression yes
transport openssh
sshconfig no
`,
    );
    const keys = new Set(FULL.split('\n').map((line) => line.replace(/=.*/, '')));
    const others = ALIAS_KEY_NAMES.filter((key) => !keys.has(key));
    assert.deepEqual(others, ['PROXY_COMMAND', 'UNMANAGED'], 'keys that are not tested');
  });

  it('prints the defaults that are fixed, and none of the others', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'HOSTNAME=mail\nPROXY_COMMAND=nc %h %p\nIDENTITY_FILE=none\nIDENTITY_AGENT=none\n');
    const lines = formatAlias(config.find('work')).split('\n');
    for (const line of [
      'port 22',
      'proxycommand nc %h %p',
      'identityfile none',
      'identityagent none',
      'warm 1',
    ])
      assert.ok(lines.includes(line), line);
    for (const line of lines)
      assert.doesNotMatch(line, /^(?:proxyjump|certificatefile|hostkeyalias|ciphers) /);
  });

  it('uses the keywords of ssh -G', { skip: requirePrograms('ssh') }, () => {
    const words = [
      '-F',
      'none',
      '-o',
      'HostKeyAlias=x',
      '-o',
      'IdentityAgent=none',
      '-o',
      'CertificateFile=/x',
    ];
    const shown = ['-J gw', '-o ProxyCommand=x'].map(
      (way) => spawnSync('ssh', [...words, ...way.split(' '), '-G', 'host'], { encoding: 'utf8' }).stdout,
    );
    const keywords = new Set(
      shown
        .join('')
        .split('\n')
        .map((line) => line.split(' ')[0]),
    );
    for (const name of ALIAS_KEY_NAMES) {
      const { keyword }: AliasKey<unknown> = ALIAS_KEYS[name];
      if (keyword !== undefined) assert.ok(keywords.has(keyword.toLowerCase()), keyword);
    }
  });
});
