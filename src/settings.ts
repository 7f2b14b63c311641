/**
 * The environment and the platform's folders. The only reader of `process.env`; a broker has the environment of a call
 * read here, too.
 *
 * Folders follow the XDG Base Directory Specification; a relative path in one of its variables is ignored, as it demands.
 * In one of ours it is a mistake: without the aliases that it was to name every host would be unmanaged.
 */
import { isAbsolute, join } from 'node:path';
import { readAccount } from './account.ts';
import { Failure } from './errors.ts';

/** What the program knows about where it runs. All paths are absolute. */
export interface Settings {
  readonly uid: number;
  /** The local login name from the password database; Pine passes it when a folder has no `/user=`. */
  readonly loginName: string;
  readonly home: string;
  /** Each holds `hosts/` and `defaults.env`; what is found first counts: the user's, then the system's. */
  readonly configDirs: readonly [first: string, ...others: string[]];
  readonly stateDir: string;
  /** Where the broker's sockets may live, best first. */
  readonly runtimeDirs: readonly string[];
  /** ssh-agent's socket (SSH_AUTH_SOCK). */
  readonly agentSocket: string | undefined;
  /** The program that asks a person for a passphrase without a terminal (SSH_ASKPASS), if it may be used. */
  readonly askpass: string | undefined;
  readonly path: string;
  readonly noColor: boolean;
  /** False with PINE_RSH_SHORTCUTS=no: ssh2 is used as documented, with more round trips. For finding faults. */
  readonly shortcuts: boolean;
  /**
   * What the broker and the programs that alias files name are started with: the environment of the first caller, less
   * all that is nobody else's business.
   */
  readonly brokerEnv: Readonly<Record<string, string>>;
  /** All of the environment that decides which broker serves a call; a call is known and sent by it (broker/call.ts). */
  readonly callEnv: Readonly<Record<string, string>>;
  /** TERM of the person's terminal, '' without one. */
  readonly term: string;
}

/** What ssh, agents, askpass programs and password stores need; everything else stays with the caller. */
const BROKER_VARIABLES: readonly string[] = [
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'PATH',
  'TMPDIR',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'SSH_AUTH_SOCK',
  'SSH_ASKPASS',
  'SSH_ASKPASS_REQUIRE',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'XDG_RUNTIME_DIR',
  'XDG_CONFIG_HOME',
  'XDG_STATE_HOME',
  'XDG_DATA_HOME',
  'DBUS_SESSION_BUS_ADDRESS',
  'GNUPGHOME',
  'PASSWORD_STORE_DIR',
  'KRB5CCNAME',
  'PINE_RSH_CONFIG_DIR',
  'PINE_RSH_STATE_DIR',
  'PINE_RSH_RUNTIME_DIR',
  'PINE_RSH_SHORTCUTS',
];

/** What `brokerFileName` and the lookup of an alias depend on; a test compares. */
const CALL_VARIABLES: readonly string[] = [
  'HOME',
  'USER',
  'SSH_AUTH_SOCK',
  'XDG_CONFIG_HOME',
  'KRB5CCNAME',
  'PINE_RSH_CONFIG_DIR',
  'PINE_RSH_SHORTCUTS',
];

/** Our own folders; absolute, if they are set. */
const OWN_FOLDERS: readonly string[] = ['PINE_RSH_CONFIG_DIR', 'PINE_RSH_STATE_DIR', 'PINE_RSH_RUNTIME_DIR'];

/** `process.env`, or what a call came with. */
type Environment = Readonly<Record<string, string | undefined>>;

/** What it takes to find a broker. */
export type CallerSettings = Pick<Settings, 'uid' | 'runtimeDirs' | 'callEnv'>;

/**
 * That part of the settings for which no file has to be read; undefined where the system knows no user ids, and where
 * `readSettings` fails.
 */
export function readCallerSettings(env: Environment = process.env): CallerSettings | undefined {
  const uid = process.getuid?.();
  return uid === undefined || findMistake(env) !== undefined
    ? undefined
    : { uid, runtimeDirs: listRuntimeDirs(env, uid), callEnv: pickVariables(env, CALL_VARIABLES) };
}

/** Reads the environment. @throws {Failure} `folder-relative` */
export function readSettings(env: Environment = process.env): Settings {
  const mistake = findMistake(env);
  if (mistake !== undefined) throw new Failure('folder-relative', { variable: mistake });
  const account = readAccount(env);
  const folder = (name: string): string | undefined => readFolder(env, name);
  const home = folder('HOME') ?? account.home;
  return Object.freeze({
    uid: account.uid,
    loginName: account.name,
    home,
    configDirs: [
      folder('PINE_RSH_CONFIG_DIR') ?? join(folder('XDG_CONFIG_HOME') ?? join(home, '.config'), 'pine-rsh'),
      '/etc/pine-rsh',
    ] as const,
    stateDir:
      folder('PINE_RSH_STATE_DIR') ??
      join(folder('XDG_STATE_HOME') ?? join(home, '.local', 'state'), 'pine-rsh'),
    runtimeDirs: listRuntimeDirs(env, account.uid),
    agentSocket: folder('SSH_AUTH_SOCK'),
    askpass: chooseAskpass(env),
    path: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    noColor: (env['NO_COLOR'] ?? '') !== '',
    shortcuts: env['PINE_RSH_SHORTCUTS'] !== 'no',
    term: env['TERM'] ?? '',
    brokerEnv: pickVariables(env, BROKER_VARIABLES),
    callEnv: pickVariables(env, CALL_VARIABLES),
  });
}

/** The first of our variables that cannot count; an empty one is as good as none. */
function findMistake(env: Environment): string | undefined {
  for (const name of OWN_FOLDERS) {
    const value = env[name] ?? '';
    if (value !== '' && !isAbsolute(value)) return name;
  }
  return undefined;
}

function readFolder(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

function listRuntimeDirs(env: Environment, uid: number): string[] {
  const runtime = readFolder(env, 'PINE_RSH_RUNTIME_DIR');
  if (runtime !== undefined) return [runtime];
  const xdgRuntime = readFolder(env, 'XDG_RUNTIME_DIR');
  const common = `/tmp/pine-rsh-${uid}`;
  return xdgRuntime === undefined ? [common] : [join(xdgRuntime, 'pine-rsh'), common];
}

function pickVariables(env: Environment, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = env[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/** ssh(1) ENVIRONMENT: an askpass program needs a display, unless SSH_ASKPASS_REQUIRE says that it does not. */
function chooseAskpass(env: Environment): string | undefined {
  const program = env['SSH_ASKPASS'] || undefined;
  const require = env['SSH_ASKPASS_REQUIRE'];
  if (require === 'never') return undefined;
  if (require === 'prefer' || require === 'force') return program;
  return env['DISPLAY'] || env['WAYLAND_DISPLAY'] ? program : undefined;
}
