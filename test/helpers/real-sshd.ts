/**
 * A real sshd on a loopback port, with host keys, configuration, login key and session HOME of its own. Nothing of
 * /etc/ssh is read; whoever runs the tests runs the server.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from './free-port.ts';
import { HOST_KEY_TYPES, type HostKeyType, makeKey, readHostKeys, writeHostKeys } from './host-keys.ts';
import { findLoginUser, giveTo, type LoginUser } from './login-user.ts';
import { descendantsOf, isRunning, listProcesses, type RunningProcess, signalProcess } from './processes.ts';
import { findProgram, programPath } from './requirements.ts';
import { defer, type Scope } from './scope.ts';
import { formatSshdConfig } from './sshd-config.ts';
import { makeTempDir } from './temp-dir.ts';
import type { AliasKeys } from './temp-home.ts';
import { waitUntil } from './wait.ts';

export interface SshdOptions {
  /** More lines for sshd_config; they win over ours. Lines from a `Match` on go to its end. */
  readonly config?: readonly string[];
  /** What stands before the key in authorized_keys, such as `restrict,command="..."`. */
  readonly keyOptions?: string;
  /** Environment of the sessions, beside HOME. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface RealSshd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly login: LoginUser;
  /** Ed25519 without passphrase; `.pub` beside it. */
  readonly identityFile: string;
  readonly knownHostsFile: string;
  /** Public host keys as `type base64`, in the order of sshd_config. */
  readonly hostKeys: Readonly<Record<HostKeyType, string>>;
  /** The server's own folder, readable by the login user; stands in the environment of every session. */
  readonly dir: string;
  /** HOME of the sessions, owned by the login user. */
  readonly home: string;
  readonly authorizedKeysFile: string;
  /** What an alias file needs to reach this server. */
  readonly aliasKeys: AliasKeys;
  /** sshd's log so far (LogLevel VERBOSE). */
  log(): string;
  /** One process for each connection now open. */
  sessionPids(): number[];
  /** What runs in the sessions, their shells included. */
  remoteProcesses(): { pid: number; command: string }[];
  /** Ends server and connections and starts it again on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const PORT_ATTEMPTS = 5;

/** Starts a server; it ends with the test. */
export async function openRealSshd(scope: Scope, options: SshdOptions = {}): Promise<RealSshd> {
  const login = await findLoginUser();
  const dir = makeTempDir(scope, 'sshd');
  chmodSync(dir, 0o755);
  const home = join(dir, 'home');
  mkdirSync(home);
  giveTo(login, home);

  const hostKeyFiles = writeHostKeys(dir);
  const identityFile = join(dir, 'id_ed25519');
  makeKey('ed25519', identityFile);
  const authorizedKeysFile = join(dir, 'authorized_keys');
  const keyOptions = options.keyOptions === undefined ? '' : `${options.keyOptions} `;
  writeFileSync(authorizedKeysFile, keyOptions + readFileSync(`${identityFile}.pub`, 'utf8'), {
    mode: 0o644,
  });

  const files = { config: join(dir, 'sshd_config'), log: join(dir, 'sshd.log') };
  const env = { HOME: home, LANG: 'C.UTF-8', ...options.env };
  const start = async (port: number): Promise<ChildProcess | undefined> => {
    writeFileSync(
      files.config,
      formatSshdConfig({ port, hostKeyFiles, authorizedKeysFile, env, more: options.config ?? [] }),
    );
    return await startSshd(files.config, files.log);
  };

  let port = 0;
  let server: ChildProcess | undefined;
  for (let attempt = 0; server === undefined && attempt < PORT_ATTEMPTS; attempt++) {
    port = await findFreePort();
    server = await start(port);
  }
  if (server === undefined) throw new Error(`sshd found no free port\n${readFileSync(files.log, 'utf8')}`);

  const hostKeys = readHostKeys(hostKeyFiles);
  const knownHostsFile = join(dir, 'known_hosts');
  writeFileSync(
    knownHostsFile,
    HOST_KEY_TYPES.map((type) => `[127.0.0.1]:${port} ${hostKeys[type]}\n`).join(''),
  );

  const stop = async (): Promise<void> => {
    const listener = server?.pid;
    server = undefined;
    if (listener !== undefined) await endTree(listener);
  };
  defer(scope, stop);

  return {
    host: '127.0.0.1',
    port,
    user: login.name,
    login,
    identityFile,
    knownHostsFile,
    hostKeys,
    dir,
    home,
    authorizedKeysFile,
    aliasKeys: {
      HOSTNAME: '127.0.0.1',
      PORT: port,
      USER: login.name,
      IDENTITY_FILE: identityFile,
      KNOWN_HOSTS: knownHostsFile,
    },
    log: () => readFileSync(files.log, 'utf8'),
    sessionPids: () => childrenOf(server?.pid),
    remoteProcesses: () =>
      listProcesses()
        .filter((each) => isSessionProcess(each, home))
        .map(({ pid, command }) => ({ pid, command })),
    restart: async () => {
      await stop();
      server = await waitUntil(`port ${port} again`, () => start(port));
    },
    stop,
  };
}

/** Starts sshd and waits until it listens; undefined if somebody else took the port. */
async function startSshd(config: string, log: string): Promise<ChildProcess | undefined> {
  if (process.getuid?.() === 0 && !existsSync('/run/sshd'))
    mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  rmSync(log, { force: true });
  const words = [...endWithParent(), programPath('sshd'), '-D', '-f', config, '-E', log];
  const server = spawn('/usr/bin/env', words, { stdio: 'ignore', env: {} });
  const read = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  const listening = await waitUntil<'yes' | 'no'>(
    'sshd listens',
    () => {
      if (/Server listening on/.test(read())) return 'yes';
      return server.exitCode !== null || server.signalCode !== null ? 'no' : undefined;
    },
    { detail: read },
  );
  if (listening === 'yes') return server;
  if (/Address already in use/.test(read())) return undefined;
  throw new Error(`sshd did not start\n${read()}`);
}

/** A test run that is killed cleans nothing up; the server should not outlive it even then. */
function endWithParent(): string[] {
  const setpriv = findProgram('setpriv');
  return setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'TERM', '--'];
}

/** Dovecot wipes its environment; its command line names the configuration in the session's HOME. */
function isSessionProcess({ command, environment }: RunningProcess, home: string): boolean {
  const itsHome = environment.find((line) => line.startsWith('HOME='));
  return itsHome === undefined ? command.includes(`${home}/`) : itsHome === `HOME=${home}`;
}

function childrenOf(pid: number | undefined): number[] {
  return pid === undefined ? [] : listProcesses().flatMap((each) => (each.ppid === pid ? each.pid : []));
}

/** Ends a process and all below it; connections would outlive the listener otherwise. */
async function endTree(pid: number): Promise<void> {
  const all = [...descendantsOf(pid), pid];
  for (const each of all) signalProcess(each, 'SIGCONT');
  for (const each of all) signalProcess(each, 'SIGTERM');
  try {
    await waitUntil('sshd ends', () => !all.some(isRunning), { timeout: 3_000 });
  } catch {
    for (const each of all) signalProcess(each, 'SIGKILL');
    await waitUntil('sshd ends', () => !all.some(isRunning));
  }
}
