/**
 * An alias: everything pine-rsh must know to open a session on one host. Made by `lookup.ts` from the alias file,
 * `defaults.env` and the command line; frozen; nobody checks its values again.
 */

/** Lists as in ssh_config(5): an optional `+`, `-` or `^` changes the default list, none replaces it. */
export interface AlgorithmList {
  readonly mode: 'replace' | 'append' | 'remove' | 'prepend';
  readonly names: readonly string[];
}

/** One hop of PROXY_JUMP: an alias name, or user, host and port. */
export interface JumpHost {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
}

export interface Alias {
  /** The file's name without `.env`: `work`, or `pat@work`. What messages and commands call it. */
  readonly name: string;
  /** The files its values came from, the alias file first. */
  readonly files: readonly string[];

  readonly hostname: string;
  /** 1 to 65535. */
  readonly port: number;
  readonly user: string;

  /** Absolute paths of private keys in the order to try; undefined: OpenSSH's default names. */
  readonly identityFiles: readonly string[] | undefined;
  readonly certificateFiles: readonly string[];
  /** An agent's socket; 'none': use no agent; undefined: SSH_AUTH_SOCK. */
  readonly identityAgent: string | undefined;
  readonly identitiesOnly: boolean;
  readonly passphraseCommand: string | undefined;

  /** Absolute paths of known_hosts files; the first is the one `accept-new` and `trust` write. */
  readonly knownHosts: readonly string[];
  readonly strictHostKeyChecking: 'yes' | 'accept-new';
  readonly hostKeyAlias: string | undefined;
  /** `SHA256:...` without padding, as ssh-keygen -l prints it. */
  readonly hostKeyFingerprint: string | undefined;

  readonly proxyJump: readonly JumpHost[];
  readonly proxyCommand: string | undefined;

  /** Seconds for TCP, key exchange and login of one hop. */
  readonly connectTimeout: number;
  /** Seconds; 0: never ask. */
  readonly serverAliveInterval: number;
  readonly serverAliveCountMax: number;

  /** The remote imapd command; 'auto': look in the usual places. */
  readonly imapd: string;
  /** The remote sendmail command; 'auto': look in the usual places. */
  readonly sendmail: string;
  readonly queue: boolean;
  readonly fallback: 'deny' | 'allow';

  readonly share: boolean;
  /** Seconds. */
  readonly persist: number;
  readonly warm: number;

  readonly ciphers: AlgorithmList | undefined;
  readonly macs: AlgorithmList | undefined;
  readonly kexAlgorithms: AlgorithmList | undefined;
  readonly hostKeyAlgorithms: AlgorithmList | undefined;
  readonly compression: boolean;
  readonly transport: 'ssh2' | 'openssh';
  readonly sshConfig: boolean;

  /** The names of the keys that a file set; everything else is a default (ssh_config may fill those). */
  readonly given: ReadonlySet<string>;
}
