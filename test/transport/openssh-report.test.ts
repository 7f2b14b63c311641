/** What the system's ssh prints -> why it got no further, for a login that ends in each of ssh's own ways. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { FailureCode } from '../../src/errors.ts';
import { SshReport } from '../../src/transport/openssh-report.ts';
import { openTempConfig } from '../alias/temp-config.ts';

const config = openTempConfig({ after });
config.alias('work', 'HOSTNAME=mail.example.org\nUSER=pat\n');
config.alias('gate', 'HOSTNAME=gate.example.org\nUSER=pat\n');
const PIN = `SHA256:${'A'.repeat(43)}`;
config.alias('pinned', `HOSTNAME=mail.example.org\nUSER=pat\nHOST_KEY_FINGERPRINT=${PIN}\n`);

/** The only key file there is. */
const LOCKED_PEM = '/home/pat/.ssh/id_rsa';

function report(...names: string[]): SshReport {
  return new SshReport(
    names.map((name) => ({ name, alias: config.find(name) })),
    (file) => file === LOCKED_PEM,
  );
}

const KEY = '/home/pat/.ssh/id_ed25519 ED25519 SHA256:abc explicit';
const DENIED = 'pat@mail.example.org: Permission denied (publickey,password).';

interface Ending {
  readonly what: string;
  readonly lines: readonly string[];
  readonly code: FailureCode;
  /** In the message. */
  readonly says: RegExp;
  readonly alias?: string;
}

const ENDINGS: readonly Ending[] = [
  {
    what: 'a port that refuses',
    lines: ['ssh: connect to host mail.example.org port 22: Connection refused'],
    code: 'tcp-refused',
    says: /^mail\.example\.org:22 refused/,
  },
  {
    what: 'a host that does not answer at all',
    lines: ['ssh: connect to host mail.example.org port 22: Connection timed out'],
    code: 'connect-timeout',
    says: /connecting/,
  },
  {
    what: 'a network without a way there',
    lines: ['ssh: connect to host 2001:db8::1 port 2222: No route to host'],
    code: 'tcp-failed',
    says: /\[2001:db8::1\]:2222.*No route to host/,
  },
  {
    what: 'a server that does not say who it is',
    lines: [
      'debug1: Connection established.',
      'Connection timed out during banner exchange',
      'Connection to 10.0.0.1 port 22 timed out',
    ],
    code: 'connect-timeout',
    says: /exchanging keys/,
  },
  {
    what: 'a server that hangs up at once',
    lines: ['kex_exchange_identification: read: Connection reset by peer'],
    code: 'connection-lost',
    says: /before the key exchange/,
  },
  {
    what: 'something that is no SSH server',
    lines: ['kex_exchange_identification: banner line contains invalid characters'],
    code: 'not-ssh',
    says: /mail\.example\.org:22/,
  },
  {
    what: 'ciphers of which none is ours',
    lines: [
      'Unable to negotiate with 10.0.0.1 port 22: no matching cipher found. Their offer: aes128-cbc,3des-cbc',
    ],
    code: 'algorithm-not-allowed',
    says: /aes128-cbc,3des-cbc/,
  },
  {
    what: 'a kind of algorithm that no alias key is about, of which nothing is offered',
    lines: ['Unable to negotiate with 10.0.0.1 port 22: no matching compression method found. Their offer: '],
    code: 'algorithm-not-allowed',
    says: /compression.*none/,
  },
  {
    what: 'a host key that ssh speaks of without naming the host',
    lines: ['Host key verification failed.'],
    code: 'host-key-unknown',
    says: /mail\.example\.org/,
  },
  {
    what: 'a changed host key whose old line ssh does not name',
    lines: ['Host key for mail.example.org has changed and you have requested strict checking.'],
    code: 'host-key-changed',
    says: /mail\.example\.org.*known_hosts/,
  },
  {
    what: 'a changed host key whose old line it names',
    lines: [
      'Offending ED25519 key in /k/known_hosts:7',
      'Host key for mail.example.org has changed and you have requested strict checking.',
    ],
    code: 'host-key-changed',
    says: /\/k\/known_hosts:7/,
  },
  {
    what: 'another key than the pinned one',
    lines: [
      'debug1: Server host key: ssh-ed25519 SHA256:other',
      'mail.example.org host key for mail.example.org was revoked and you have requested strict checking.',
    ],
    code: 'host-key-pin',
    says: /SHA256:other/,
    alias: 'pinned',
  },
  {
    what: 'a second step that nobody can do',
    lines: [
      `debug1: Offering public key: ${KEY}`,
      'Authenticated using "publickey" with partial success.',
      'pat@mail.example.org: Permission denied (publickey).',
    ],
    code: 'login-unfinished',
    says: /id_ed25519/,
  },
  {
    what: 'a second step after a key without a public half',
    lines: [
      `debug1: Offering public key: ${KEY}`,
      `debug1: Trying private key: ${LOCKED_PEM}`,
      'Authenticated using "publickey" with partial success.',
      'debug1: Authentications that can continue: publickey',
      'pat@mail.example.org: Permission denied (publickey).',
    ],
    code: 'login-unfinished',
    says: /accepted \/home\/pat\/\.ssh\/id_rsa for pat/,
  },
  {
    what: 'a server that has seen too many keys',
    lines: [
      `debug1: Offering public key: ${KEY} agent`,
      'Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures',
    ],
    code: 'login-too-many-keys',
    says: /mail\.example\.org/,
  },
  {
    what: 'a key of the agent that did not sign',
    lines: [
      `debug1: Offering public key: ${KEY} agent`,
      `debug1: Server accepts key: ${KEY} agent`,
      'sign_and_send_pubkey: signing failed for ED25519 "/home/pat/.ssh/id_ed25519" from agent: agent refused',
      DENIED,
    ],
    code: 'login-refused',
    says: /id_ed25519 \(agent\), signing failed/,
  },
  {
    what: 'a login for which there was no key',
    lines: ['pat@mail.example.org: Permission denied (publickey).'],
    code: 'no-identity',
    says: /no key to log in with as pat: none in ~\/\.ssh under a default name, none in the agent/,
  },
  {
    what: 'a login for which there was no key, under none of the names that ssh tries',
    lines: [
      'debug1: Trying private key: /home/pat/.ssh/id_ed25519',
      'debug1: Trying private key: /home/pat/.ssh/id_dsa',
      'debug1: No more authentication methods to try.',
      DENIED,
    ],
    code: 'no-identity',
    says: /no key to log in with as pat/,
  },
  {
    what: 'a key that was refused, beside names that ssh tries and that are not there',
    lines: [
      `debug1: Offering public key: ${KEY}`,
      'debug1: Authentications that can continue: publickey',
      'debug1: Trying private key: /home/pat/.ssh/id_dsa',
      DENIED,
    ],
    code: 'login-refused',
    says: /tried \/home\/pat\/\.ssh\/id_ed25519; it wants publickey/,
  },
  {
    what: 'a key without a public half that was refused',
    lines: [
      `debug1: Trying private key: ${LOCKED_PEM}`,
      'debug1: Authentications that can continue: publickey',
      'debug1: Trying private key: /home/pat/.ssh/id_dsa',
      DENIED,
    ],
    code: 'login-refused',
    says: /tried \/home\/pat\/\.ssh\/id_rsa;/,
  },
  {
    what: 'a key without a public half whose passphrase nobody gave',
    lines: [
      `debug1: Trying private key: ${LOCKED_PEM}`,
      'debug1: Trying private key: /home/pat/.ssh/id_dsa',
      DENIED,
    ],
    code: 'identity-encrypted',
    says: /id_rsa needs a passphrase/,
  },
  {
    what: 'a key file that others can read',
    lines: [
      `debug1: Server accepts key: ${KEY}`,
      "Permissions 0644 for '/home/pat/.ssh/id_ed25519' are too open.",
      'Load key "/home/pat/.ssh/id_ed25519": bad permissions',
      DENIED,
    ],
    code: 'file-untrusted',
    says: /^\/home\/pat\/\.ssh\/id_ed25519: others can read it$/,
  },
  {
    what: 'a server that takes no keys',
    lines: ['pat@mail.example.org: Permission denied (gssapi-with-mic).'],
    code: 'login-refused',
    says: /tried none; it wants gssapi-with-mic/,
  },
  {
    what: 'a key whose passphrase nobody gave',
    lines: [`debug1: Server accepts key: ${KEY}`, DENIED],
    code: 'identity-encrypted',
    says: /id_ed25519/,
  },
  {
    what: 'an option that this ssh does not know',
    lines: [
      'command-line: line 0: Bad configuration option: knownhostscommand',
      'command-line line 0: missing argument.',
    ],
    code: 'ssh-config-refused',
    says: /knownhostscommand/,
  },
  {
    what: 'a configuration that others may write',
    lines: ['Bad owner or permissions on /home/pat/.ssh/config'],
    code: 'ssh-config-refused',
    says: /Bad owner or permissions on \/home\/pat\/\.ssh\/config/,
  },
  {
    what: 'words that nobody here knows',
    lines: ['debug1: something', '@@@@@@@@@@', 'client_loop: the sky fell'],
    code: 'connection-lost',
    says: /the sky fell/,
  },
];

for (const { what, lines, code, says, alias = 'work' } of ENDINGS) {
  test(`ssh that ends for ${what} is explained`, () => {
    const ssh = report(alias);
    ssh.push(Buffer.from(`${lines.join('\r\n')}\r\n`));
    const failure = ssh.explain(255);
    assert.equal(failure.code, code, failure.message);
    assert.match(failure.message, says);
  });
}

test('the first reason is the cause, and a line counts that ssh did not end', () => {
  const ssh = report('work');
  ssh.push(Buffer.from('ssh: Could not resolve hostname mail.example.org: Name or serv'));
  ssh.push(Buffer.from('ice not known\nssh: connect to host x port 22: Connection refused'));
  const { code, message } = ssh.explain(255);
  assert.equal(code, 'dns-failed');
  assert.match(message, /mail\.example\.org.*Name or service not known/);
  const cut = report('work');
  cut.push(Buffer.from('ssh: connect to host x port 22: Connection refused'));
  assert.equal(cut.explain(255).code, 'tcp-refused');
});

test('ssh that says nothing is known by how it ended', () => {
  assert.equal(report('work').explain(127).code, 'ssh-missing');
  assert.match(report('work').explain(1).message, /ssh ended with status 1/);
  assert.match(report('work').explain(null).message, /ssh was ended/);
});

test('a failure on the way is of the gateway until that one has let us in', () => {
  const line = Buffer.from('kex_exchange_identification: Connection closed by remote host\n');
  const before = report('gate', 'work');
  before.push(line);
  assert.match(before.explain(255).message, /gateway gate\.example\.org:22/);
  const behind = report('gate', 'work');
  behind.push(
    Buffer.from(`debug1: Server accepts key: ${KEY}\nAuthenticated to gate.example.org ([10.0.0.1]:22).\n`),
  );
  assert.deepEqual([behind.mayAsk, behind.stage], [false, 'connecting']);
  behind.push(line);
  assert.match(behind.explain(255).message, /(?<!gateway )mail\.example\.org:22/);
});

test('a gateway that cannot be reached is named, and where it is written', () => {
  const lost = report('gate', 'work');
  lost.push(Buffer.from('ssh: Could not resolve hostname gate.example.org: Name or service not known\n'));
  const { message, hint } = lost.explain(255);
  assert.match(message, /^no address found for gateway gate\.example\.org \(/);
  assert.match(hint, /HOSTNAME of gate/);
  const closed = report('gate', 'work');
  closed.push(Buffer.from('ssh: connect to host gate.example.org port 22: Connection refused\n'));
  assert.match(closed.explain(255).message, /^gateway gate\.example\.org:22 refused the connection/);
});

test('a key that wants to be touched is waited for', () => {
  const ssh = report('work');
  assert.equal(ssh.waitsForPerson, false);
  ssh.push(Buffer.from('Confirm user presence for key ED25519-SK SHA256:abc\n'));
  assert.equal(ssh.waitsForPerson, true);
});
