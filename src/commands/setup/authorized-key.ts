/** A public key in authorized_keys on a host, with what it may do there; put there and taken away over a connection. */
import { Failure } from '../../errors.ts';
import type { Connection } from '../../transport/transport.ts';
import { runRemote } from '../remote-program.ts';
import { shellQuote } from './server-commands.ts';

/** What a key may do. */
export interface KeyRights {
  /** The one command; undefined: none at all. */
  readonly command: string | undefined;
  /** `HOST:PORT` that it may connect to. */
  readonly forwards: readonly string[];
}

/** What a server understands in authorized_keys. */
export interface KeyDialect {
  /** `restrict` takes everything away, also what later versions may bring; else what it takes away, one by one. */
  readonly restrict: true | readonly string[];
  /** `permitlisten`, without which a key that may connect onwards may listen, too. */
  readonly permitlisten: boolean;
}

const NO_MORE = ['no-agent-forwarding', 'no-port-forwarding', 'no-pty', 'no-X11-forwarding'] as const;

/**
 * By what a server calls itself. A line with an option that its server does not know lets nobody in. OpenSSH has
 * `restrict` since 7.2 and `permitlisten` since 7.8 (its release notes); dropbear has `restrict` in late versions only,
 * and nothing beyond the four it would take away (dropbear(8)). Others are taken for a new OpenSSH.
 */
export function dialectOf(software: string): KeyDialect {
  if (/^dropbear|^Sun_SSH/.test(software)) return { restrict: NO_MORE, permitlisten: false };
  const [, major, minor] = /^OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)/.exec(software) ?? [];
  const since = (a: number, b: number): boolean =>
    major === undefined || Number(major) > a || (Number(major) === a && Number(minor) >= b);
  return {
    restrict: since(7, 2) || [...NO_MORE, 'no-user-rc'],
    permitlisten: since(7, 8),
  };
}

/**
 * The options of a line of authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 *
 * @throws {Failure} `usage` for a command that no line can hold
 */
export function formatKeyOptions(
  { command, forwards }: KeyRights,
  { restrict, permitlisten }: KeyDialect,
): string {
  // `exit 1` means the same to every login shell.
  const text = command ?? 'exit 1';
  if (/["\\\r\n]/.test(text)) {
    throw new Failure('usage', {
      problem: 'a command with quotes or backslashes cannot stand in authorized_keys',
    });
  }
  const leads = forwards.length > 0;
  const taken =
    restrict === true
      ? ['restrict', ...(leads ? ['port-forwarding'] : [])]
      : restrict.filter((option) => !leads || option !== 'no-port-forwarding');
  const options = [
    ...taken,
    ...forwards.map((target) => `permitopen="${target}"`),
    ...(leads && permitlisten ? [`permitlisten="${NOWHERE}"`] : []),
  ];
  return [...options, `command="${text}"`].join(',');
}

/**
 * `port-forwarding` gives back both directions, and there is no way to say "listen nowhere" but a port that only root
 * can listen on.
 */
const NOWHERE = 'localhost:1';

// Every login shell can start these, csh and fish too: no exclamation mark, backslash or newline.

/** The line comes on stdin, its length as the number: a line that is cut changes nothing. */
const ADD_KEY = (size: number): string =>
  script([
    'umask 077',
    'cd "$HOME" || exit 1',
    'mkdir -p .ssh || exit 1',
    't=.ssh/pine-rsh.$$ f=.ssh/authorized_keys',
    'cat >$t || exit 1',
    `if test $(wc -c <$t) -ne ${size}; then rm -f $t; exit 1; fi`,
    'if test -f $f && grep -qxFf $t $f; then rm -f $t; echo KEY present; exit 0; fi',
    'if test -s $f && test -n "$(tail -c 1 $f)"; then echo >>$f; fi',
    'if cat $t >>$f; then rm -f $t; echo KEY added; else rm -f $t; exit 1; fi',
  ]);

/** The file stays the same one, with its mode. */
const REMOVE_KEY = script([
  'umask 077',
  'cd "$HOME" || exit 1',
  't=.ssh/pine-rsh.$$ f=.ssh/authorized_keys',
  'cat >$t && test -s $t || exit 1',
  'grep -vxFf $t $f >$t.new',
  'if cat $t.new >$f; then echo KEY removed; fi',
  'rm -f $t $t.new',
]);

const addScript = (name: string, size: number): string =>
  script([
    'umask 077',
    'cd "$HOME" || exit 1',
    'mkdir -p .ssh || exit 1',
    `cat >.ssh/${name}.new || exit 1`,
    `if test $(wc -c <.ssh/${name}.new) -ne ${size}; then rm -f .ssh/${name}.new; exit 1; fi`,
    `rm -f .ssh/${name}.old`,
    `if test -f .ssh/${name}; then mv .ssh/${name} .ssh/${name}.old; fi`,
    `mv .ssh/${name}.new .ssh/${name} && echo "SCRIPT $(pwd)"`,
  ]);

function script(lines: readonly string[]): string {
  return `exec /bin/sh -c '${lines.join('; ')}'`;
}

/** Puts the line into authorized_keys; false if it is there already. @throws {Failure} `key-not-installed` */
export async function installKey(connection: Connection, line: string, address: string): Promise<boolean> {
  const input = Buffer.from(`${line}\n`);
  const answer = await runRemote(connection, ADD_KEY(input.length), input);
  const said = /^KEY (present|added)$/m.exec(answer.stdout)?.[1];
  if (said !== undefined) return said === 'added';
  throw new Failure('key-not-installed', { address, why: answer.stderr.trim() || 'it did not say why' });
}

/** Takes the line out again, as far as that is possible. */
export async function removeKey(connection: Connection, line: string): Promise<void> {
  await runRemote(connection, REMOVE_KEY, Buffer.from(`${line}\n`)).catch(() => {});
}

/**
 * Lines that an earlier setup has written for the same alias and key, and that say something else. The first line of a
 * key is the one that counts.
 */
export async function findFormerLines(
  connection: Connection,
  line: string,
  publicKey: string,
): Promise<string[]> {
  const answer = await runRemote(connection, script(['cd "$HOME" && cat .ssh/authorized_keys']));
  return answer.stdout.split('\n').filter((each) => each.endsWith(` ${publicKey}`) && each !== line);
}

/**
 * Puts a script into ~/.ssh there; one that is there is kept as NAME.old.
 *
 * @returns the command that runs it
 * @throws {Failure} `key-not-installed`
 */
export async function installScript(
  connection: Connection,
  name: string,
  text: string,
  address: string,
): Promise<string> {
  const input = Buffer.from(text);
  const answer = await runRemote(connection, addScript(name, input.length), input);
  const home = /^SCRIPT (\/.*)$/m.exec(answer.stdout)?.[1];
  if (home !== undefined) return `exec /bin/sh ${shellQuote(`${home.replace(/\/$/, '')}/.ssh/${name}`)}`;
  throw new Failure('key-not-installed', { address, why: answer.stderr.trim() || 'it did not say why' });
}

/** Takes the script away again; the one before it comes back. */
export async function restoreScript(connection: Connection, name: string): Promise<void> {
  const restore = script([
    'cd "$HOME" || exit 1',
    `rm -f .ssh/${name} .ssh/${name}.new`,
    `if test -f .ssh/${name}.old; then mv .ssh/${name}.old .ssh/${name}; fi`,
  ]);
  await runRemote(connection, restore).catch(() => {});
}
