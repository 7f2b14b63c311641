/**
 * pine-rsh's command line: rsh(1)'s argv, with the options that callers of ssh(1) pass (rsync -e, GIT_SSH, scp -S,
 * sftp -S, CVS_RSH). Pure; no yargs, because mail clients wait for this.
 *
 *     pine-rsh [-46dnKxqsv] [-l USER] [-p PORT] [-t SECONDS] [-o Key=Value]... [USER@]HOST [-l USER ...] [COMMAND ...]
 *
 * Options may stand on both sides of HOST, until the first word of COMMAND. What may follow HOST in a mail stream is
 * decided by `imap/mail-stream.ts` from `optionsAfterHost`: c-client splits a folder name at blanks, so a hostile
 * folder name arrives as such words (c-client tcp_unix.c, tcp_aopen).
 */
import { Failure } from './errors.ts';
import { NAME_MAX } from './limits.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A checked command line that asks for a session. */
export interface Invocation {
  /** As given; case kept. */
  readonly host: string;
  /** From `-l`, else `USER@HOST`, else `-o User=`; the last `-l` wins, as with rsh. */
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly family: 4 | 6 | 0;
  /** COMMAND's words; empty: the alias's imapd. */
  readonly words: readonly string[];
  readonly stdinFromNull: boolean;
  /** 0 normal, 1 and more: details in the log. */
  readonly verbosity: number;
  /** `-s`: COMMAND names a subsystem (RFC 4254 section 6.5). */
  readonly subsystem: boolean;
  /** `-W HOST:PORT`: pipe stdio to that address. */
  readonly forward: Address | undefined;
  /** `-G`: print the alias and end. */
  readonly printAlias: boolean;
  /** Alias keys from `-o` and `-t`, unchecked values. */
  readonly overrides: ReadonlyMap<string, string>;
  /** Options other than one `-l` that stood after HOST, as written. */
  readonly optionsAfterHost: readonly string[];
}

export type ParsedArgv =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'session'; readonly invocation: Invocation };

/** ssh_config keywords that `-o` may set, and the alias keys they become. All others are ignored. */
export const OVERRIDE_KEYWORDS: ReadonlyMap<string, string> = new Map([
  ['compression', 'COMPRESSION'],
  ['connecttimeout', 'CONNECT_TIMEOUT'],
  ['serveralivecountmax', 'SERVER_ALIVE_COUNT_MAX'],
  ['serveraliveinterval', 'SERVER_ALIVE_INTERVAL'],
  ['share', 'SHARE'],
]);

/** Flags of rsh and ssh that make no difference here. `-t` is one too when no number follows. */
const IGNORED_FLAGS = 'KxqaTC8';
const OPTIONS_WITH_VALUE = 'lpoW';

/** No regular expression: the first one that runs takes 0.1 ms, and a folder that opens waits for it. */
const NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:%-';

/** The state of one pass over argv. */
interface Draft {
  host: string | undefined;
  user: string | undefined;
  port: number | undefined;
  family: 4 | 6 | 0;
  stdinFromNull: boolean;
  verbosity: number;
  subsystem: boolean;
  forward: Address | undefined;
  printAlias: boolean;
  overrides: Map<string, string>;
  optionsAfterHost: string[];
  usersAfterHost: number;
}

/**
 * Parses the words after the program's name.
 *
 * @throws {Failure} `usage`, `host-name-refused`, `user-name-refused`
 */
export function parseArgv(args: readonly string[]): ParsedArgv {
  // Nothing else beside: a folder's host may be called so.
  if (args.length === 1 && args[0] === '--help') return { kind: 'help' };
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) return { kind: 'version' };

  const draft: Draft = {
    host: undefined,
    user: undefined,
    port: undefined,
    family: 0,
    stdinFromNull: false,
    verbosity: 0,
    subsystem: false,
    forward: undefined,
    printAlias: false,
    overrides: new Map(),
    optionsAfterHost: [],
    usersAfterHost: 0,
  };

  let at = 0;
  let optionsEnded = false;
  while (at < args.length) {
    const word = args[at] as string;
    if (!optionsEnded && word === '--') {
      optionsEnded = true;
      if (draft.host !== undefined) draft.optionsAfterHost.push(word);
      at += 1;
    } else if (!optionsEnded && word.startsWith('--')) {
      throw new Failure('usage', { problem: `unknown option ${visible(word)}` });
    } else if (!optionsEnded && word.startsWith('-') && word !== '-') {
      at = readOptions(args, at, draft);
    } else if (draft.host === undefined) {
      readHost(word, draft);
      // `HOST -- COMMAND` and `-- HOST -l USER COMMAND` both occur: each side of HOST has its own end of options.
      optionsEnded = false;
      at += 1;
    } else {
      break;
    }
  }
  if (draft.host === undefined) {
    throw new Failure('usage', {
      problem: args.length === 0 ? 'no host given' : 'no host after the options',
    });
  }
  const words = args.slice(at);
  // Alpine passes a folder's host as it is written: `{-v/user=pat}` makes the host an option, and `exec` the host.
  if (draft.host === 'exec' && isImapDaemonWord(words[0] ?? '')) {
    throw new Failure('host-name-refused', {
      host: 'that begins with -',
      why: 'it would be taken as an option',
    });
  }
  const { host, usersAfterHost: _, ...rest } = draft;
  return { kind: 'session', invocation: Object.freeze({ ...rest, host, words }) };
}

/** True for the command names that mark a mail stream even where argv itself is wrong. */
export function isImapDaemonWord(word: string): boolean {
  const name = word.slice(word.lastIndexOf('/') + 1);
  return name === 'imapd' || name === 'rimapd';
}

/** Reads one word of bundled options (`-nl`, `pat`) and its value; returns the position after them. */
function readOptions(args: readonly string[], start: number, draft: Draft): number {
  const word = args[start] as string;
  const afterHost = draft.host !== undefined;
  let next = start + 1;
  for (let i = 1; i < word.length; i += 1) {
    const flag = word[i] as string;
    if (flag === 't') {
      // rsh: a timeout. ssh: a terminal, often doubled; there is never one here.
      const value = word.slice(i + 1) || args[next];
      if (value !== undefined && /^\d+$/.test(value)) {
        draft.overrides.set('CONNECT_TIMEOUT', value);
        if (i + 1 === word.length) next += 1;
        noteAfterHost(draft, afterHost, word);
        return next;
      }
      noteAfterHost(draft, afterHost, word);
    } else if (OPTIONS_WITH_VALUE.includes(flag)) {
      const attached = word.slice(i + 1);
      const value = attached !== '' ? attached : args[next];
      if (value === undefined) throw new Failure('usage', { problem: `option -${flag} needs a value` });
      if (attached === '') next += 1;
      applyValue(flag, value, draft);
      if (flag === 'l' && afterHost && i === 1) {
        draft.usersAfterHost += 1;
        if (draft.usersAfterHost > 1) noteAfterHost(draft, afterHost, word);
      } else noteAfterHost(draft, afterHost, word);
      return next;
    } else {
      applyFlag(flag, draft);
      noteAfterHost(draft, afterHost, word);
    }
  }
  return next;
}

function noteAfterHost(draft: Draft, afterHost: boolean, word: string): void {
  if (afterHost && draft.optionsAfterHost[draft.optionsAfterHost.length - 1] !== word)
    draft.optionsAfterHost.push(word);
}

function applyFlag(flag: string, draft: Draft): void {
  if (flag === '4' || flag === '6') draft.family = flag === '4' ? 4 : 6;
  else if (flag === 'n') draft.stdinFromNull = true;
  else if (flag === 'd' || flag === 'v') draft.verbosity += 1;
  else if (flag === 's') draft.subsystem = true;
  else if (flag === 'G') draft.printAlias = true;
  else if (!IGNORED_FLAGS.includes(flag)) {
    throw new Failure('usage', { problem: `unknown option -${visible(flag)}` });
  }
}

function applyValue(flag: string, value: string, draft: Draft): void {
  if (flag === 'l') draft.user = checkUser(value);
  else if (flag === 'p') draft.port = parsePort(value, '-p');
  else if (flag === 'W') draft.forward = parseAddress(value);
  else applyOverride(value, draft);
}

/** `Key=Value` or `Key Value`, as ssh(1) takes them. */
function applyOverride(option: string, draft: Draft): void {
  const match = /^\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*$/s.exec(option);
  if (match === null) throw new Failure('usage', { problem: 'option -o is Key=Value' });
  const keyword = (match[1] as string).toLowerCase();
  const value = match[2] as string;
  if (keyword === 'port') draft.port ??= parsePort(value, '-o Port');
  else if (keyword === 'user') draft.user ??= checkUser(value);
  else {
    const key = OVERRIDE_KEYWORDS.get(keyword.replaceAll('_', ''));
    // ssh: the first value of a keyword counts.
    if (key !== undefined && !draft.overrides.has(key)) draft.overrides.set(key, value);
  }
}

function readHost(word: string, draft: Draft): void {
  const split = word.lastIndexOf('@');
  if (split !== -1) draft.user ??= checkUser(word.slice(0, split));
  draft.host = checkHost(word.slice(split + 1));
}

function parsePort(value: string, option: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (!isPort(port)) throw new Failure('usage', { problem: `${option} is a number from 1 to 65535` });
  return port;
}

/** Whether something that was read is a TCP port. */
export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 0xffff;
}

function parseAddress(value: string): Address {
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:/[\]]+)):(\d+)$/.exec(value);
  if (match === null) throw new Failure('usage', { problem: 'option -W is HOST:PORT' });
  return {
    host: checkHost((match[1] ?? match[2]) as string),
    port: parsePort(match[3] as string, 'the port of -W'),
  };
}

/** Checks a host name that will become a file name. @throws {Failure} `host-name-refused` */
function checkHost(host: string): string {
  const why = refuseName(host);
  if (why !== undefined) throw new Failure('host-name-refused', { host: visible(host), why });
  return host;
}

/** Checks a user name that will become a file name. @throws {Failure} `user-name-refused` */
function checkUser(user: string): string {
  const why = refuseName(user);
  if (why !== undefined) throw new Failure('user-name-refused', { user: visible(user), why });
  return user;
}

/** Why a name of a host or user cannot be a file name; undefined if it can. */
export function refuseName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.length > NAME_MAX) return `it is longer than ${NAME_MAX} characters`;
  if (name.startsWith('-')) return 'it begins with -';
  if (name.startsWith('.')) return 'it begins with .';
  for (let at = 0; at < name.length; at += 1) {
    if (NAME_CHARACTERS.includes(name.charAt(at))) continue;
    const odd = String.fromCodePoint(name.codePointAt(at) as number);
    return `it contains ${odd === ' ' ? 'a blank' : visible(odd)}`;
  }
  return undefined;
}

/** Quotes a word from argv for a message: nothing but printable ASCII, and short. */
function visible(word: string): string {
  const short = word.length > NAME_MAX ? `${word.slice(0, NAME_MAX)}...` : word;
  return (
    short.replace(/[^\x21-\x7e]/gu, (char) => `\\u{${(char.codePointAt(0) as number).toString(16)}}`) || "''"
  );
}
