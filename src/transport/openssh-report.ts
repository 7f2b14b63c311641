/**
 * What the system's ssh says on stderr (at LogLevel DEBUG1) -> how far it came, and the `Failure` that says to a person
 * why it got no further. OpenSSH does not translate its messages. Lines that are not known here cost a good reason,
 * never a session: that a login succeeded is told by the control socket alone.
 */
import { existsSync } from 'node:fs';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { STATUS_NOT_FOUND } from '../imap/imapd-command.ts';
import { LOG_SAMPLE_MAX, LOG_VALUE_MAX } from '../limits.ts';
import { shellWord } from '../shell-word.ts';
import { formatAddress } from './address.ts';
import type { Stage } from './attempt.ts';
import { explainGateway } from './gateway-failure.ts';
import { noIdentity } from './no-identity.ts';
import type { SshHost } from './openssh-options.ts';

/** What ssh finds no common one of, and the alias key that allows more of them. */
const ALGORITHM_KEYS: Readonly<Record<string, string>> = {
  'key exchange method': 'KEX_ALGORITHMS',
  'host key type': 'HOST_KEY_ALGORITHMS',
  cipher: 'CIPHERS',
  MAC: 'MACS',
};

export class SshReport {
  stage: Stage = 'connecting';
  /** A key wants to be touched: that takes as long as it takes. */
  waitsForPerson = false;
  readonly #route: readonly SshHost[];
  readonly #exists: (file: string) => boolean;
  /** Each host of the way is logged in to before the next one is spoken to. */
  #at = 0;
  #rest = '';
  #failure: Failure | undefined;
  #lastWords = '';
  #hostKey = { type: 'key', fingerprint: 'of an unknown fingerprint' };
  #offending: string | undefined;
  #offered: string[] = [];
  #accepted: string | undefined;
  /** Files that may need a passphrase: ssh signs with them, if it can read them, before the server has seen the key. */
  #unseen: string[] = [];
  #trying: string | undefined;
  #partial: string | undefined;
  #notSigned: string | undefined;
  #exposed: Failure | undefined;
  #commandEnd: string | undefined;
  #badLine: string | undefined;
  #badOption: string | undefined;

  /**
   * @param route the hosts ssh goes through, the last one being the one it is for
   * @param exists ssh names the files of all its default keys, there or not
   */
  constructor(route: readonly SshHost[], exists: (file: string) => boolean = existsSync) {
    this.#route = route;
    this.#exists = exists;
  }

  /** Takes what ssh printed; gives its whole lines. */
  push(chunk: Buffer): string[] {
    const lines = (this.#rest + chunk.toString('latin1')).split(/\r?\n/);
    this.#rest = (lines.pop() as string).slice(0, LOG_VALUE_MAX);
    for (const line of lines) this.#read(line);
    return lines.filter((line) => line !== '');
  }

  /** ssh may ask for a passphrase now: not before the server has accepted the key, as far as it can be read. */
  get mayAsk(): boolean {
    return this.#accepted !== undefined || this.#unseen.length > 0;
  }

  /** A keyword that this ssh does not know, in lower case. */
  get badOption(): string | undefined {
    return this.#badOption;
  }

  /** The login succeeded: whatever went wrong before did not matter. */
  forget(): void {
    this.#failure = undefined;
    this.#lastWords = '';
  }

  /** Why ssh ended. `status` is its exit status, null after a signal. */
  explain(status: number | null): Failure {
    if (this.#rest !== '') this.push(Buffer.from('\n'));
    if (this.#failure !== undefined) return this.#failure;
    if (status === STATUS_NOT_FOUND) return new Failure('ssh-missing', {});
    const ended = status === null ? 'ssh was ended' : `ssh ended with status ${status}`;
    return new Failure('connection-lost', {
      address: this.#address(),
      why: this.#lastWords || ended,
    });
  }

  #read(line: string): void {
    if (/^debug\d: /.test(line)) this.#readDebug(line.replace(/^debug\d: /, ''));
    else if (line.startsWith('Authenticated to ')) this.#goOn();
    else if (line !== '' && !isDecoration(line)) {
      this.#lastWords = line.slice(0, LOG_SAMPLE_MAX);
      // The first reason is the cause of all that follow.
      this.#failure ??= this.#nameGateway(this.#explainLine(line));
    }
  }

  #readDebug(text: string): void {
    if (/^(Connection established|Authenticating to )/.test(text)) this.stage = 'exchanging keys';
    else if (text.startsWith('SSH2_MSG_NEWKEYS received')) this.stage = 'logging in';
    const hostKey = /^Server host key: (\S+) (\S+)/.exec(text);
    if (hostKey !== null) this.#hostKey = { type: hostKey[1] as string, fingerprint: hostKey[2] as string };
    const offered = /^Offering public key: (.*)$/.exec(text)?.[1];
    if (offered !== undefined) this.#offered.push(labelOf(offered));
    this.#accepted = /^Server accepts key: (.*)$/.exec(text)?.[1] ?? this.#accepted;
    this.#readUnseen(text);
  }

  /** A file without a public half: the server's answer comes only where ssh could sign with it. */
  #readUnseen(text: string): void {
    if (text.startsWith('Authentications that can continue') && this.#trying !== undefined) {
      this.#offered.push(this.#trying);
      this.#unseen = this.#unseen.filter((file) => file !== this.#trying);
    }
    this.#trying = /^Trying private key: (.*)$/.exec(text)?.[1];
    if (this.#trying !== undefined && this.#exists(this.#trying)) this.#unseen.push(this.#trying);
  }

  /** Logged in to a host, which may be a gateway. */
  #goOn(): void {
    if (this.#at === this.#route.length - 1) return;
    this.#at += 1;
    this.stage = 'connecting';
    this.#offered = [];
    this.#accepted = undefined;
    this.#unseen = [];
    this.#trying = undefined;
    this.#partial = undefined;
    this.#notSigned = undefined;
    this.#exposed = undefined;
  }

  #explainLine(line: string): Failure | undefined {
    this.#offending = /^Offending .*key in (.+:\d+)$/.exec(line)?.[1] ?? this.#offending;
    if (/^Confirm user presence for key/.test(line)) this.waitsForPerson = true;
    return (
      this.#explainNetwork(line) ??
      this.#explainHostKey(line) ??
      this.#explainLogin(line) ??
      this.#explainSsh(line)
    );
  }

  #nameGateway(failure: Failure | undefined): Failure | undefined {
    return failure && this.#isGateway() ? explainGateway(failure, this.#host()) : failure;
  }

  #explainNetwork(line: string): Failure | undefined {
    const dns = /^ssh: Could not resolve hostname (.+?): (.*)$/.exec(line);
    if (dns !== null) {
      return new Failure('dns-failed', { host: this.#role() + dns[1], why: dns[2] as string });
    }
    const tcp = /^ssh: connect to host (.+) port (\d+): (.*)$/.exec(line);
    if (tcp !== null) {
      const place = formatAddress(tcp[1] as string, Number(tcp[2]));
      return this.#explainTcp(this.#role() + place, tcp[3] as string);
    }
    const address = this.#address();
    if (/^Connection timed out during banner exchange|^Connection to .* timed out$/.test(line)) {
      return this.#timeout(address);
    }
    const offer = /no matching (.+) found\. Their offer: ?(.*)$/.exec(line);
    if (offer !== null) {
      const kind = offer[1] as string;
      const theirs = offer[2] || 'none';
      return new Failure('algorithm-not-allowed', {
        kind: kind.replace(' method', ''),
        address,
        theirs,
        key: ALGORITHM_KEYS[kind] ?? 'ssh_config',
      });
    }
    if (/^kex_exchange_identification: .*(closed|reset)/i.test(line)) {
      return new Failure('connection-lost', { address, why: 'it was closed before the key exchange' });
    }
    if (/invalid format|banner line|Bad packet length|Protocol major versions differ/.test(line)) {
      return new Failure('not-ssh', { address, why: line });
    }
    return undefined;
  }

  #explainTcp(address: string, why: string): Failure {
    if (why === 'Connection refused') return new Failure('tcp-refused', { address });
    return /timed out/.test(why) ? this.#timeout(address) : new Failure('tcp-failed', { address, why });
  }

  #timeout(address: string): Failure {
    const seconds = this.#host().connectTimeout;
    return new Failure('connect-timeout', { address, seconds, stage: this.stage });
  }

  /** ssh names the host as known_hosts does. */
  #explainHostKey(line: string): Failure | undefined {
    const match =
      /host key is known for (.+) and you have requested strict checking|^Host key for (.+) has changed and you have|host key for (.+) was revoked and you have|(^Host key verification failed)/.exec(
        line,
      );
    if (match === null) return undefined;
    const [, unknown, changed, revoked] = match;
    const alias = this.#host();
    const host = unknown ?? changed ?? revoked ?? alias.hostname;
    const { fingerprint } = this.#hostKey;
    if (alias.hostKeyFingerprint !== undefined && alias.hostKeyFingerprint !== fingerprint) {
      return new Failure('host-key-pin', { host, fingerprint });
    }
    if (revoked !== undefined) {
      return new Failure('host-key-revoked', { host, place: alias.knownHosts.join(', ') });
    }
    const facts = { host, alias: alias.name, ...this.#hostKey };
    if (changed === undefined) return new Failure('host-key-unknown', facts);
    return new Failure('host-key-changed', {
      ...facts,
      place: this.#offending ?? alias.knownHosts.join(', '),
    });
  }

  #explainLogin(line: string): Failure | undefined {
    if (/^Authenticated using .* with partial success/.test(line)) {
      this.#partial = this.#trying ?? this.#offered.at(-1);
    }
    const denied = /^\S+@\S+: Permission denied \((.*)\)\.$/.exec(line);
    const tooMany = /Too many authentication failures/.test(line);
    const alias = this.#host();
    const { user } = alias;
    const address = this.#address();
    const tried = [...this.#offered, ...(this.#notSigned === undefined ? [] : [this.#notSigned])].join(', ');
    if (tooMany)
      return new Failure('login-too-many-keys', { address, count: this.#offered.length, user, tried });
    if (denied === null) return undefined;
    const methods = denied[1] as string;
    const wants = methods.replaceAll(',', ', ');
    const facts = { address, user, wants, alias: alias.name };
    if (/keyboard-interactive|password/.test(methods) && !methods.includes('publickey')) {
      return new Failure('login-needs-person', facts);
    }
    if (this.#partial !== undefined) return new Failure('login-unfinished', { ...facts, key: this.#partial });
    if (this.#exposed !== undefined) return this.#exposed;
    // The server would have taken it, so the key itself is what is missing.
    const locked = this.#accepted === undefined ? this.#unseen[0] : fileOf(this.#accepted);
    if (locked !== undefined && this.#notSigned === undefined) return this.#explainLocked(locked, alias);
    if (tried === '' && methods.includes('publickey')) return noIdentity(alias);
    return new Failure('login-refused', { address, user, tried: tried || 'none', wants });
  }

  #explainLocked(file: string, { name, passphraseCommand }: Alias): Failure {
    if (passphraseCommand === undefined) return new Failure('identity-encrypted', { file, alias: name });
    const how = this.#commandEnd;
    if (how !== undefined) return new Failure('passphrase-command-failed', { file, how });
    return new Failure('identity-passphrase', { file });
  }

  #explainSsh(line: string): Failure | undefined {
    this.#notSigned = /^sign_and_send_pubkey: (.*)$/.exec(line)?.[1] ?? this.#notSigned;
    this.#commandEnd = /^PASSPHRASE_COMMAND ended with (.*)$/.exec(line)?.[1] ?? this.#commandEnd;
    const exposed = /^Load key "(.+)": bad permissions$/.exec(line)?.[1];
    if (exposed !== undefined) {
      const remedy = `chmod 600 ${shellWord(exposed)}`;
      this.#exposed ??= new Failure('file-untrusted', { file: exposed, why: 'others can read it', remedy });
    }
    const option = /Bad configuration option: (\S+)/.exec(line)?.[1];
    if (option !== undefined) this.#badOption ??= option.toLowerCase();
    // Of a bad line in a file ssh speaks first and ends later; there are harmless ones too.
    if (/ line \d+: /.test(line) && !/(Deprecated|Unsupported) option/.test(line)) this.#badLine ??= line;
    if (/^terminating, \d+ bad configuration options/.test(line) || /^command-line:? line 0: /.test(line)) {
      return refusedConfig(this.#badLine ?? line);
    }
    if (/^Bad owner or permissions on |^Can't open user config/.test(line)) return refusedConfig(line);
    return undefined;
  }

  #host(): Alias {
    return (this.#route[this.#at] as SshHost).alias;
  }

  #address(): string {
    const { hostname, port } = this.#host();
    return this.#role() + formatAddress(hostname, port);
  }

  #isGateway(): boolean {
    return this.#at < this.#route.length - 1;
  }

  #role(): string {
    return this.#isGateway() ? 'gateway ' : '';
  }
}

function refusedConfig(line: string): Failure {
  return new Failure('ssh-config-refused', { why: line.replace(/\.$/, '') });
}

/** No words about what happened: frames around warnings, ssh's own success, its farewell. */
function isDecoration(line: string): boolean {
  return /^(@|OpenSSH_|Authenticated to |Transferred: |Bytes per second: |Killed by signal |\s*$)/.test(line);
}

/** True for a line that is of interest only to somebody who looks for a fault. */
export function isDetail(line: string): boolean {
  return /^debug\d: /.test(line) || isDecoration(line);
}

/** `/home/pat/.ssh/id_ed25519 ED25519 SHA256:... explicit agent` -> its name, and who holds it. */
function labelOf(key: string): string {
  const name = key.replace(/ \S+ SHA256:.*$/, '');
  return / agent$/.test(key) ? `${name} (agent)` : name;
}

/** The file of a key that is no agent's and no token's. */
function fileOf(key: string): string | undefined {
  return / (agent|token)$/.test(key) ? undefined : key.replace(/ \S+ SHA256:.*$/, '');
}
