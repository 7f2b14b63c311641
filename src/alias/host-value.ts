/**
 * Values that name hosts, users and SSH algorithms. Hosts and users end in command lines (`%h` and `%r` of
 * PROXY_COMMAND, ssh's argv), so that what a shell or an option parser would take for something else is refused here,
 * as OpenSSH does (valid_hostname and valid_ruser in ssh.c). Pure.
 */
import type { AlgorithmList, JumpHost } from './alias.ts';
import { numberBetween, type Parsed, type ValueParser } from './value.ts';

const PORT = numberBetween(1, 65535);

const HOST = /^[A-Za-z0-9_:%+.][A-Za-z0-9._\-+:%]*$/;
const USER = /^[^\s\-'"`$\\;&<>|(){}@:/][^\s'"`$\\;&<>|(){}]*$/;
/** An alias pattern: `*`, `?` and a leading `!` as in ssh_config(5) PATTERNS. */
const PATTERN = /^!?[A-Za-z0-9_:%+*?.][A-Za-z0-9._\-+:%*?]*$/;
const ALGORITHM = /^[A-Za-z0-9@.*?_-]+$/;

/** A TCP port. */
export const parsePort: ValueParser<number> = PORT;

/** A host name or address. `%h` in it is replaced later by the host that was asked for. */
export const parseHostname: ValueParser<string> = (text) => {
  if (HOST.test(text) && !/^[^:]*:\d+$/.test(text)) return { value: text };
  if (text.includes('@')) return { problem: 'holds a user too', remedy: 'write the user as USER=...' };
  if (/^[^:]+:\d+$/.test(text) || /\]:\d+$/.test(text)) {
    return { problem: 'holds a port too', remedy: 'write the port as PORT=...' };
  }
  return { wants: 'a host name or an address (IPv6 without brackets)' };
};

/** A login name on a remote host. */
export const parseUser: ValueParser<string> = (text) =>
  USER.test(text)
    ? { value: text }
    : { wants: 'a login name, without blanks, quotes and other characters that a shell would take apart' };

/** One name or glob of ALIASES. */
export const parseAliasPattern: ValueParser<string> = (text) =>
  PATTERN.test(text)
    ? { value: text }
    : { wants: 'host names and globs such as mail.example.org or *.example.org, separated by commas' };

/** One hop: `[user@]host[:port]` or an ssh URI of the same (ssh_config(5) ProxyJump). */
export const parseJumpHost: ValueParser<JumpHost> = (text) => {
  const wants = { wants: 'alias names or user@host:port, separated by commas' };
  const bare = text.startsWith('ssh://') ? text.slice('ssh://'.length).replace(/\/$/, '') : text;
  const split = bare.lastIndexOf('@');
  const named = split === -1 ? undefined : bare.slice(0, split);
  const place = /^\[([^\]]+)\](?::(\d+))?$|^([^:]+)(?::(\d+))?$|^([^[\]]*:[^[\]]*:[^[\]]*)$/.exec(
    bare.slice(split + 1),
  );
  if (place === null) return wants;
  const digits = place[2] ?? place[4];
  const host = accept(parseHostname((place[1] ?? place[3] ?? place[5]) as string, ''));
  const login = named === undefined ? undefined : accept(parseUser(named, ''));
  const number = digits === undefined ? undefined : accept(PORT(digits, ''));
  if (host === undefined) return wants;
  if (named !== undefined && login === undefined) return wants;
  if (digits !== undefined && number === undefined) return wants;
  return { value: { host, user: login, port: number } };
};

function accept<T>(parsed: Parsed<T>): T | undefined {
  return 'value' in parsed ? parsed.value : undefined;
}

const MODES = { '+': 'append', '-': 'remove', '^': 'prepend' } as const;

/** Algorithm names in order, with the prefixes of ssh_config(5) Ciphers. */
export const parseAlgorithms: ValueParser<AlgorithmList> = (text) => {
  const sign = text[0];
  const mode = sign === '+' || sign === '-' || sign === '^' ? MODES[sign] : 'replace';
  const names = (mode === 'replace' ? text : text.slice(1)).split(',').map((name) => name.trim());
  if (names.every((name) => ALGORITHM.test(name))) return { value: { mode, names } };
  return { wants: 'algorithm names separated by commas, after +, - or ^ to change the default list' };
};
