/**
 * The one error class of the program and all its wording.
 *
 * A failure is a code, the facts that fill its sentence, and a hint. The sentence says what happened, the hint
 * what to do about it; both are lower case and without a full stop, because they end up behind a prefix: in an
 * IMAP alert (`pine-rsh: work: SENTENCE; HINT`), on a terminal and in the log.
 *
 * `{name}` in a sentence is a fact. The compiler checks that whoever raises a failure gives exactly the facts its
 * sentence and hint mention. No fact may hold a secret. Facts may hold what a remote said: whoever shows a
 * failure escapes it for its medium (`imap/refusal.ts`, `terminal-text.ts`).
 *
 * `sysexit` is the status a sendmail would give (sysexits.h): 64 usage, 69 unavailable, 70 software, 75 may pass,
 * 77 refused, 78 configuration. Everyone else gets 255, as from ssh(1) and rsh(1).
 */

/** In a function, so that a session that does not fail does not build the table: every folder would wait for that. */
function listReasons() {
  return {
    // ---- the command line -------------------------------------------------------------------------------------
    usage: { text: '{problem}', hint: 'see pine-rsh --help', sysexit: 64 },
    'host-name-refused': {
      text: 'host name {host} is refused: {why}',
      hint: 'a host is letters, digits and . _ - + : % only',
      sysexit: 64,
    },
    'user-name-refused': {
      text: 'user name {user} is refused: {why}',
      hint: 'a user is letters, digits and . _ - + : % only',
      sysexit: 64,
    },
    'mail-stream-words': {
      text: 'unexpected word {word} in a mail stream',
      hint: 'look for blanks in the folder name, such as /user="a b"',
      sysexit: 64,
    },
    'unmanaged-denied': {
      text: '{host} is no alias and UNMANAGED=deny',
      hint: 'create {file} or remove UNMANAGED=deny from defaults.env',
      sysexit: 78,
    },
    'no-command-on-terminal': {
      text: 'an imapd on a terminal is of no use to a person',
      hint: 'give a command, or open {host} in a mail client; pine-rshctl show {host} prints the alias',
      sysexit: 64,
    },

    // ---- alias files --------------------------------------------------------------------------------------------
    'file-unreadable': { text: '{file}: {why}', hint: 'make it readable: {remedy}', sysexit: 78 },
    'file-untrusted': { text: '{file}: {why}', hint: 'run: {remedy}', sysexit: 78 },
    'file-unusable': { text: '{file}: {why}', hint: '{remedy}', sysexit: 78 },
    'alias-syntax': { text: '{file}:{line}: {problem}', hint: '{remedy}', sysexit: 78 },
    'alias-ambiguous': {
      text: '{host} is an alias in both {first} and {second}',
      hint: 'rename one of them, or remove the name from its ALIASES',
      sysexit: 78,
    },
    'alias-missing': { text: 'no alias {host}', hint: '{remedy}', sysexit: 78 },

    // ---- reaching the host --------------------------------------------------------------------------------------
    'dns-failed': {
      text: 'no address found for {host} ({why})',
      hint: 'check the name (HOSTNAME) and the network',
      sysexit: 75,
    },
    'family-mismatch': {
      text: '{host} is no IPv{family} address',
      hint: 'leave out -{family}, or change HOSTNAME',
      sysexit: 78,
    },
    'tcp-refused': {
      text: '{address} refused the connection',
      hint: 'check that sshd runs there and that the port (PORT) is right',
      sysexit: 75,
    },
    'tcp-failed': { text: 'cannot connect to {address} ({why})', hint: 'check the network', sysexit: 75 },
    'connect-timeout': {
      text: 'no answer from {address} within {seconds} s ({stage})',
      hint: 'check the network, or raise CONNECT_TIMEOUT',
      sysexit: 75,
    },
    'connect-timeout-recent': {
      text: '{address} did not answer {ago} s ago',
      hint: 'it is tried again in {wait} s',
      sysexit: 75,
    },
    'not-ssh': {
      text: '{address} does not speak SSH ({why})',
      hint: 'check host and port (HOSTNAME, PORT)',
      sysexit: 78,
    },
    'no-common-algorithm': {
      text: 'no common {kind} algorithm with {address}: it offers {theirs}, we offer {ours}',
      hint: '{remedy}',
      sysexit: 78,
    },
    'algorithms-unknown': {
      text: '{key} of {alias} names nothing that TRANSPORT=ssh2 knows: {names}',
      hint: 'change {key}, or set TRANSPORT=openssh',
      sysexit: 78,
    },
    'proxy-command-failed': {
      text: 'PROXY_COMMAND for {address} ended ({how}){said}',
      hint: 'run it by hand; pine-rshctl log shows what it said',
      sysexit: 75,
    },
    'gateway-unknown': {
      text: 'no address found for {host} ({why})',
      hint: '{remedy}',
      sysexit: 75,
    },
    'gateway-refused': {
      text: '{address} refused the connection',
      hint: 'check that sshd runs there and that the port is right ({keys})',
      sysexit: 75,
    },
    'gateway-not-ssh': {
      text: '{address} does not speak SSH ({why})',
      hint: 'check host and port ({keys})',
      sysexit: 78,
    },
    'gateway-failed': { text: 'gateway {hop}: {why}', hint: '{remedy}', sysexit: 78 },
    'gateway-loop': {
      text: 'the way to {alias} leads in a circle: {route}',
      hint: 'check PROXY_JUMP in each of them',
      sysexit: 78,
    },
    'algorithm-not-allowed': {
      text: '{address} offers no {kind} that the system ssh allows: {theirs}',
      hint: 'allow one of them with {key}',
      sysexit: 78,
    },
    'connection-lost': {
      text: 'connection to {address} lost ({why})',
      hint: 'try again; pine-rshctl log shows more',
      sysexit: 75,
    },
    'ssh-missing': {
      text: 'ssh is not installed',
      hint: 'install the OpenSSH client, or remove TRANSPORT=openssh',
      sysexit: 78,
    },
    'ssh-unusable': {
      text: 'the system ssh cannot carry sessions ({why})',
      hint: 'it must be OpenSSH 7.6 or later; without TRANSPORT=openssh it is not needed',
      sysexit: 78,
    },
    'ssh-config-refused': {
      text: 'ssh refuses its configuration: {why}',
      hint: 'mend it, or set SSH_CONFIG=no',
      sysexit: 78,
    },

    // ---- host keys ----------------------------------------------------------------------------------------------
    'host-key-unknown': {
      text: 'host key of {host} is not known: {type} {fingerprint}',
      hint: 'run: pine-rshctl trust {alias}',
      sysexit: 77,
    },
    'host-key-changed': {
      text: 'host key of {host} changed: it sent {type} {fingerprint}, {place} holds another',
      hint: 'if that is expected run: pine-rshctl trust {alias}',
      sysexit: 77,
    },
    'host-key-revoked': {
      text: 'host key of {host} is revoked by {place}',
      hint: 'do not use this host before its administrator has explained it',
      sysexit: 77,
    },
    'host-key-pin': {
      text: 'host key of {host} is {fingerprint}, not the one in HOST_KEY_FINGERPRINT',
      hint: 'ask the administrator before changing HOST_KEY_FINGERPRINT',
      sysexit: 77,
    },
    'host-key-not-shown': {
      text: '{host} has no key with the fingerprint {fingerprint}; it has shown {shown}',
      hint: 'ask the administrator; nothing was recorded',
      sysexit: 77,
    },

    // ---- logging in ---------------------------------------------------------------------------------------------
    'identity-missing': {
      text: 'key file {file} does not exist',
      hint: 'check IDENTITY_FILE',
      sysexit: 78,
    },
    'identity-public': {
      text: '{file} is a public key, and no agent holds its private half',
      hint: 'load that with ssh-add, or name it in IDENTITY_FILE: {remedy}',
      sysexit: 78,
    },
    'identity-not-a-key': { text: '{file} is not a private key', hint: 'check IDENTITY_FILE', sysexit: 78 },
    'identity-unsupported': {
      text: 'key {file} cannot be used ({why})',
      hint: 'convert it with ssh-keygen -p -f {file}, load it into ssh-agent, or set TRANSPORT=openssh',
      sysexit: 78,
    },
    'identity-encrypted': {
      text: 'key {file} needs a passphrase',
      hint: 'load it with ssh-add, set PASSPHRASE_COMMAND, or run: pine-rshctl connect {alias}',
      sysexit: 77,
    },
    'identity-passphrase': {
      text: 'the passphrase for {file} is wrong',
      hint: 'check PASSPHRASE_COMMAND, or load the key with ssh-add',
      sysexit: 77,
    },
    'passphrase-command-failed': {
      text: 'PASSPHRASE_COMMAND gave no passphrase for {file} ({how})',
      hint: 'run it by hand; pine-rshctl log shows what it said',
      sysexit: 77,
    },
    'no-identity': {
      text: 'no key to log in with as {user}: {tried}',
      hint: 'set IDENTITY_FILE, load a key with ssh-add, or run: pine-rshctl connect {alias}',
      sysexit: 78,
    },
    'agent-silent': {
      text: 'the agent did not sign with {key} in time',
      hint: 'touch the key, or confirm its use when asked; ssh-add -T with its .pub file tells whether it signs',
      sysexit: 75,
    },
    'login-refused': {
      text: '{address} accepted no key for {user}; tried {tried}; it wants {wants}',
      hint: 'add the public key to ~/.ssh/authorized_keys there',
      sysexit: 77,
    },
    'login-too-many-keys': {
      text: '{address} hung up after {count} keys for {user}; tried {tried}',
      hint: 'name the right key in IDENTITY_FILE and set IDENTITIES_ONLY=yes',
      sysexit: 77,
    },
    'login-unfinished': {
      text: '{address} accepted {key} for {user} and wants {wants} too',
      hint: 'name one more key in IDENTITY_FILE, or run: pine-rshctl connect {alias}',
      sysexit: 77,
    },
    'login-needs-person': {
      text: '{address} asks {user} for more than a key ({wants})',
      hint: 'run: pine-rshctl connect {alias}',
      sysexit: 77,
    },
    'answers-refused': {
      text: '{address} did not let {user} in with the answers it got',
      hint: 'try again; some hosts lock out who errs too often',
      sysexit: 77,
    },
    'certificate-not-offered': {
      text: '{address} accepted no key for {user}; the certificate {file} was not offered',
      hint: 'set TRANSPORT=openssh: certificates need the system ssh',
      sysexit: 77,
    },

    // ---- the remote command -------------------------------------------------------------------------------------
    'exec-refused': {
      text: '{address} refused to run a command ({why})',
      hint: 'check the forced command of the key and the limits of sshd there',
      sysexit: 77,
    },
    'forward-failed': { text: '{address} cannot connect to {target} ({why})', hint: '{remedy}', sysexit: 75 },
    'forward-refused': {
      text: '{address} refused to connect to {target} ({why})',
      hint: 'check AllowTcpForwarding and permitopen there',
      sysexit: 77,
    },
    'imapd-missing': {
      text: 'no imapd found on {host} ({command})',
      hint: 'set IMAPD to the path of an imapd that greets with PREAUTH',
      sysexit: 78,
    },
    'imapd-ended': {
      text: 'imapd on {host} ended before its greeting ({how}){said}',
      hint: 'see what it says: {command}',
      sysexit: 75,
    },
    'imapd-not-preauth': {
      text: 'imapd on {host} wants a login (it said {greeting})',
      hint: 'set IMAPD to an imapd that greets with PREAUTH, such as /usr/lib/dovecot/imap',
      sysexit: 78,
    },
    'imapd-bye': { text: 'imapd on {host} refused: {greeting}', hint: 'ask its administrator', sysexit: 75 },
    'imapd-no-inbox': {
      text: 'imapd on {host} does not open INBOX: {said}',
      hint: 'its mail log says why; check IMAPD, or ask the administrator',
      sysexit: 75,
    },
    'imapd-noise': {
      text: '{bytes} bytes and no IMAP greeting from {host}; first: {sample}',
      hint: 'silence the login scripts there, or check IMAPD',
      sysexit: 78,
    },
    'imapd-silent': {
      text: 'no greeting from imapd on {host} within {seconds} s',
      hint: 'see what it says: {command}',
      sysexit: 75,
    },

    // ---- sending mail -------------------------------------------------------------------------------------------
    'mail-damaged': {
      text: 'message {id} is damaged',
      hint: 'what is left of it is in {file}',
      sysexit: 70,
    },
    'mail-missing': {
      text: 'no message {id} in the queue',
      hint: 'pine-rshctl queue list shows them',
      sysexit: 64,
    },
    'mail-not-kept': {
      text: 'cannot store the message in {dir} ({why})',
      hint: 'nothing was sent; make room or mend the folder, then send it again',
      sysexit: 75,
    },
    'mail-not-run': {
      text: '{host} did not run what stores a message ({how}){said}',
      hint: 'check the forced command of the key and the login scripts there; nothing was delivered',
      sysexit: 78,
    },
    'mail-unknown': {
      text: 'the message may or may not have been sent by {host} ({why})',
      hint: 'find out before you send it again',
      sysexit: 69,
    },
    'mail-unreadable': {
      text: 'message {id} cannot be read ({why})',
      hint: 'it is in {file}',
      sysexit: 75,
    },
    'mail-unread': {
      text: 'the message could not be read from standard input ({why})',
      hint: 'nothing was sent',
      sysexit: 75,
    },
    'mail-unsent': {
      text: 'the message did not get through to {host} ({why})',
      hint: 'nothing was delivered; send it again',
      sysexit: 75,
    },
    'queue-unusable': {
      text: 'cannot {what} the queue in {dir} ({why})',
      hint: 'mail may wait there unsent; {remedy}',
      sysexit: 75,
    },
    'sendmail-missing': {
      text: 'no sendmail found on {host} ({command})',
      hint: 'set SENDMAIL to its path there',
      sysexit: 78,
    },
    'sendmail-silent': {
      text: 'sendmail on {host} ended with status {status} and without a word',
      hint: 'the log of the mail system there may tell why',
      sysexit: 69,
    },

    // ---- commands for people ------------------------------------------------------------------------------------
    'alpine-missing': {
      text: 'alpine is not installed',
      hint: 'leave out --alpine, or install the package alpine',
      sysexit: 69,
    },
    'alias-exists': {
      text: '{file} is there already',
      hint: 'choose another name, or give --replace',
      sysexit: 64,
    },
    'broker-unusable': {
      text: 'no broker can hold the connection ({why})',
      hint: 'pine-rshctl log may show more; pine-rshctl stop --all ends what hangs',
      sysexit: 75,
    },
    'connect-not-shared': {
      text: 'SHARE=no: mail clients would not use a connection to {alias} that is there already',
      hint: 'remove SHARE=no from the alias, or from defaults.env',
      sysexit: 78,
    },
    'demo-failed': { text: 'the demo failed: {what}', hint: 'its log follows', sysexit: 70 },
    'forward-as-root': {
      text: 'forward does not run as root: what root listens on looks like the mail server of this machine',
      hint: 'run it as the user whose mail client connects',
      sysexit: 77,
    },
    'forward-peers-unknown': {
      text: 'this machine does not tell which user opens a connection',
      hint: 'use a socket, /path/socket:HOST:PORT, or let in every local user with --any-local-user',
      sysexit: 78,
    },
    'key-not-installed': {
      text: 'the key could not be put into ~/.ssh on {address} ({why})',
      hint: 'put the public key there by hand, then name the private one with --key',
      sysexit: 77,
    },
    'listen-failed': { text: 'cannot listen on {address}: {why}', hint: '{remedy}', sysexit: 75 },
    'mail-not-opened': { text: '{what}', hint: 'pine-rshctl log shows more', sysexit: 69 },
    'no-terminal': { text: '{what} needs a terminal', hint: '{remedy}', sysexit: 64 },
    'program-path-unusable': {
      text: '{path} cannot be rsh-path: Pine would not run it',
      hint: 'put a link to it where the path holds neither blanks nor $ nor quotes, and run pine-rshctl by a link beside it',
      sysexit: 78,
    },

    // ---- this machine -------------------------------------------------------------------------------------------
    'folder-relative': {
      text: '{variable} is a relative path',
      hint: 'set it to an absolute path, one that begins with /, or unset it',
      sysexit: 78,
    },
    'out-of-resources': {
      text: 'this machine is out of {what} ({why})',
      hint: 'close programs or raise the limit, then try again',
      sysexit: 75,
    },
    'output-unwritable': {
      text: 'standard output cannot be written ({why})',
      hint: 'make room where it goes; the rest of the output is lost',
      sysexit: 75,
    },
    internal: { text: 'internal error: {what}', hint: 'pine-rshctl log has the details', sysexit: 70 },
    interrupted: { text: 'ended by {signal}', hint: 'open it again', sysexit: 75 },
  } as const satisfies Record<string, { text: string; hint: string; sysexit: number }>;
}

type Reasons = ReturnType<typeof listReasons>;

let reasons: Reasons | undefined;

/** All codes with their wording. */
export function failureReasons(): Reasons {
  reasons ??= listReasons();
  return reasons;
}

/** Every way in which pine-rsh can fail. */
export type FailureCode = keyof Reasons;

type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholders<Rest>
  : never;

/** The facts that the sentence and the hint of `C` mention. */
export type FailureFacts<C extends FailureCode> = Record<
  Placeholders<Reasons[C]['text']> | Placeholders<Reasons[C]['hint']>,
  string | number
>;

function fill(template: string, facts: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => String(facts[name] ?? `{${name}}`));
}

/** An expected failure: `message` is the sentence, `hint` the cure. Bugs stay plain `Error`s and keep their stack. */
export class Failure<C extends FailureCode = FailureCode> extends Error {
  readonly code: C;
  readonly facts: Readonly<Record<string, string | number>>;
  readonly hint: string;
  /** sysexits.h status, for callers that act as a sendmail. */
  readonly sysexit: number;

  constructor(code: C, facts: FailureFacts<C>, options?: { cause?: unknown }) {
    const reason = failureReasons()[code];
    super(fill(reason.text, facts), options);
    this.name = 'Failure';
    this.code = code;
    this.facts = facts;
    this.hint = fill(reason.hint, facts);
    this.sysexit = reason.sysexit;
  }
}

/** Exit status of pine-rsh for its own failures (rsh and ssh use the same). */
export const EXIT_FAILURE = 255;

/** Turns whatever was thrown into a `Failure`; descriptors and memory that ran out get their own reason. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const code = errnoOf(thrown);
  const why = code ?? 'unknown';
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new Failure('out-of-resources', { what: 'file descriptors', why }, { cause: thrown });
  }
  if (code === 'ENOMEM' || code === 'EAGAIN') {
    return new Failure('out-of-resources', { what: 'memory or processes', why }, { cause: thrown });
  }
  return new Failure('internal', { what: toError(thrown).message }, { cause: thrown });
}

/** Whatever was thrown, as something with a message and a stack. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The `code` of a system error (`ENOENT`, ...), if `thrown` is one. */
export function errnoOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
