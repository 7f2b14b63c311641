/**
 * What the system's ssh says on stderr (at LogLevel DEBUG1) -> how far it came, and the `Failure` that says to a person
 * why it got no further. OpenSSH does not translate its messages. Lines that are not known here cost a good reason,
 * never a session: that a login succeeded is told by the control socket alone.
 */
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { STATUS_NOT_FOUND } from '../imap/mail-stream.ts';
import { LOG_SAMPLE_MAX, LOG_VALUE_MAX } from '../limits.ts';
import { formatAddress } from './address.ts';
import { nameHost } from './known-hosts.ts';
import type { SshHost } from './openssh-options.ts';

export type SshStage = 'connecting' | 'exchanging keys' | 'logging in';

/** What ssh finds no common one of, and the alias key that allows more of them. */
const ALGORITHM_KEYS: Readonly<Record<string, string>> = {
  'key exchange method': 'KEX_ALGORITHMS',
  'host key type': 'HOST_KEY_ALGORITHMS',
  cipher: 'CIPHERS',
  MAC: 'MACS',
};

export class SshReport {
  stage: SshStage = 'connecting';
  /** A key wants to be touched: that takes as long as it takes. */
  waitsForPerson = false;
  readonly #route: readonly SshHost[];
  #partial = '';
  #failure: Failure | undefined;
  #lastWords = '';
  #hostKey = { type: 'key', fingerprint: 'of an unknown fingerprint' };
  #offending: string | undefined;
  #offered: string[] = [];
  #accepted: string | undefined;
  #notSigned: string | undefined;
  #badLine: string | undefined;
  #badOption: string | undefined;

  /** @param route the hosts ssh goes through, the last one being the one it is for */
  constructor(route: readonly SshHost[]) {
    this.#route = route;
  }

  /** Takes what ssh printed; gives its whole lines. */
  push(chunk: Buffer): string[] {
    const lines = (this.#partial + chunk.toString('latin1')).split(/\r?\n/);
    this.#partial = (lines.pop() ?? '').slice(0, LOG_VALUE_MAX);
    for (const line of lines) this.#read(line);
    return lines.filter((line) => line !== '');
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
    if (this.#partial !== '') this.push(Buffer.from('\n'));
    if (this.#failure !== undefined) return this.#failure;
    if (status === STATUS_NOT_FOUND) return new Failure('ssh-missing', {});
    const ended = status === null ? 'ssh was ended' : `ssh ended with status ${status}`;
    return new Failure('connection-lost', { address: this.#address(), why: this.#lastWords || ended });
  }

  #read(line: string): void {
    if (/^debug\d: /.test(line)) this.#readDebug(line.replace(/^debug\d: /, ''));
    else if (line !== '' && !isDecoration(line)) {
      this.#lastWords = line.slice(0, LOG_SAMPLE_MAX);
      // The first reason is the cause of all that follow.
      this.#failure ??= this.#explainLine(line);
    }
  }

  #readDebug(text: string): void {
    if (/^(Connecting to|Executing proxy command)/.test(text)) this.#enter('connecting');
    else if (text.startsWith('Connection established')) this.#enter('exchanging keys');
    else if (text.startsWith('Authenticating to ')) this.#enter('exchanging keys');
    else if (text.startsWith('SSH2_MSG_NEWKEYS received')) this.#enter('logging in');
    const hostKey = /^Server host key: (\S+) (\S+)/.exec(text);
    if (hostKey !== null) this.#hostKey = { type: hostKey[1] as string, fingerprint: hostKey[2] as string };
    const offered = /^Offering public key: (.*)$/.exec(text)?.[1];
    if (offered !== undefined) this.#offered.push(labelOf(offered));
    this.#accepted = /^Server accepts key: (.*)$/.exec(text)?.[1] ?? this.#accepted;
  }

  #enter(stage: SshStage): void {
    if (stage === 'connecting') {
      this.#offered = [];
      this.#accepted = undefined;
      this.#notSigned = undefined;
      this.#offending = undefined;
    }
    this.stage = stage;
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

  #explainNetwork(line: string): Failure | undefined {
    const dns = /^ssh: Could not resolve hostname (.+?): (.*)$/.exec(line);
    if (dns !== null) return new Failure('dns-failed', { host: dns[1] as string, why: dns[2] as string });
    const tcp = /^ssh: connect to host (.+) port (\d+): (.*)$/.exec(line);
    if (tcp !== null)
      return this.#explainTcp(formatAddress(tcp[1] as string, Number(tcp[2])), tcp[3] as string);
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
    const seconds = this.#last().alias.connectTimeout;
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
    const host = unknown ?? changed ?? revoked ?? this.#last().alias.hostname;
    const alias = this.#find((each) => namesOf(each).includes(host.toLowerCase()));
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
    const denied = /^(\S+)@(\S+): Permission denied \((.*)\)\.$/.exec(line);
    const tooMany = /Too many authentication failures/.test(line);
    if (denied === null && !tooMany) return undefined;
    const last = this.#last().alias;
    const host = denied?.[2] ?? last.hostname;
    const alias = this.#find((each) => each.hostname.toLowerCase() === host.toLowerCase());
    // The server would have taken it, so the key itself is what is missing.
    const locked = this.#accepted === undefined ? undefined : fileOf(this.#accepted);
    if (locked !== undefined && this.#notSigned === undefined) return lockedFailure(locked, alias);
    const tried = [...this.#offered, ...(this.#notSigned === undefined ? [] : [this.#notSigned])];
    return new Failure('login-refused', {
      address: formatAddress(alias.hostname, alias.port),
      user: denied?.[1] ?? alias.user,
      tried: tried.join(', ') || 'none',
      wants: tooMany ? 'fewer attempts' : (denied?.[3] ?? '').replaceAll(',', ', '),
    });
  }

  #explainSsh(line: string): Failure | undefined {
    this.#notSigned = /^sign_and_send_pubkey: (.*)$/.exec(line)?.[1] ?? this.#notSigned;
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

  #address(): string {
    const { hostname, port } = this.#last().alias;
    return formatAddress(hostname, port);
  }

  #last(): SshHost {
    return this.#route.at(-1) as SshHost;
  }

  #find(isMeant: (alias: Alias) => boolean): Alias {
    return (this.#route.find(({ alias }) => isMeant(alias)) ?? this.#last()).alias;
  }
}

function namesOf({ hostname, port, hostKeyAlias }: Alias): readonly (string | undefined)[] {
  return nameHost(hostname, port, hostKeyAlias);
}

function lockedFailure(file: string, { name, passphraseCommand }: Alias): Failure {
  return passphraseCommand === undefined
    ? new Failure('identity-encrypted', { file, alias: name })
    : new Failure('identity-passphrase', { file });
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
