/**
 * A master of the system's ssh (ssh(1) -M): one authenticated connection with a control socket in a folder that only
 * we can enter. It is ours alone and ends with us, even when we are killed: beside it waits a shell that reads a pipe
 * from us and ends ssh, and all that ssh has started, at its end.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type Failure, toFailure } from '../errors.ts';
import {
  CLOSE_GRACE_MS,
  CONTROL_SOCKET_POLL_MS,
  CONTROL_SOCKET_SUFFIX,
  SOCKET_PATH_MAX,
  SSH_END_SECONDS,
} from '../limits.ts';
import type { Log } from '../log.ts';
import { openRuntimeDir } from '../runtime-dir.ts';
import type { Settings } from '../settings.ts';
import type { Askpass } from './openssh-askpass.ts';
import { type SshHost, YOUNG_KEYWORDS } from './openssh-options.ts';
import { isDetail, SshReport } from './openssh-report.ts';

type MasterProcess = ChildProcessByStdio<Writable, null, Readable>;

/**
 * $1 the private folder, $2 an askpass program or nothing, then ssh's words. The shell becomes ssh, so that its pid,
 * which is that of the process group too, is ssh's. An ssh that is just about to wait sleeps over a SIGTERM (9.2).
 */
const SCRIPT = `
folder=$1 askpass=$2
shift 2
exec 3<&0 </dev/null
(
  trap '' TERM HUP INT
  read -r line
  kill -s TERM -- "-$$"
  rm -rf -- "$folder"
  sleep ${SSH_END_SECONDS}
  kill -s KILL -- "-$$"
) <&3 >/dev/null 2>&1 &
if [ -n "$askpass" ]; then
  SSH_ASKPASS=$askpass SSH_ASKPASS_REQUIRE=force DISPLAY=\${DISPLAY:-none}
  export SSH_ASKPASS SSH_ASKPASS_REQUIRE DISPLAY
fi
exec ssh "$@" 3<&-
`;

const SOCKET_NAME = 's';
const FOLDER_PREFIX = 'o-';

export interface MasterPlan {
  /** The gateways in the order of the way, then the host. */
  readonly route: readonly SshHost[];
  /** The words for ssh with this control socket; `unknown`: keywords that this ssh does not know. */
  readonly words: (controlPath: string, unknown: ReadonlySet<string>) => readonly string[];
  /** Makes the program that answers ssh's questions, if there is one. */
  readonly askpass: (folder: string) => Askpass | undefined;
}

export interface MasterContext {
  readonly settings: Settings;
  readonly log: Log;
  /** Ends the attempt; its reason is thrown. */
  readonly signal: AbortSignal;
  /** Called when ssh has said something. */
  readonly onReport: (report: SshReport) => void;
}

/** A master that is logged in. */
export interface Master {
  readonly controlPath: string;
  /** Settles with the reason when ssh has ended. */
  readonly ended: Promise<Failure>;
  /** Ends ssh, and all that ssh has started. */
  stop(): void;
}

/**
 * Starts ssh and waits until it is logged in.
 *
 * @throws {Failure} every code of the groups "reaching the host", "host keys" and "logging in"
 */
export async function startMaster(plan: MasterPlan, context: MasterContext): Promise<Master> {
  const unknown = new Set<string>();
  for (;;) {
    const report = new SshReport(plan.route);
    try {
      return await startOnce(plan, unknown, report, context);
    } catch (error) {
      const { badOption } = report;
      if (badOption === undefined || unknown.has(badOption) || !YOUNG_KEYWORDS.includes(badOption))
        throw error;
      unknown.add(badOption);
    }
  }
}

async function startOnce(
  plan: MasterPlan,
  unknown: ReadonlySet<string>,
  report: SshReport,
  { settings, log, signal, onReport }: MasterContext,
): Promise<Master> {
  signal.throwIfAborted();
  const folder = makeFolder(settings);
  const controlPath = join(folder, SOCKET_NAME);
  const askpass = plan.askpass(folder);
  const words = [
    '-c',
    SCRIPT,
    'pine-rsh',
    folder,
    askpass?.program ?? '',
    ...plan.words(controlPath, unknown),
  ];
  const child = spawn('/bin/sh', words, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'pipe'] });
  child.stdin.on('error', () => {});
  child.stderr.on('data', (chunk: Buffer) => {
    for (const text of report.push(chunk)) {
      const fields = { alias: plan.route.at(-1)?.alias.name, text };
      if (isDetail(text)) log.detail('ssh', fields);
      else log.record('ssh', fields);
    }
    onReport(report);
  });
  const ended = watchEnd(child, report);
  const master = { controlPath, ended, stop: () => child.stdin.end() };
  try {
    await waitForSocket(master, child, signal);
  } catch (error) {
    master.stop();
    throw error;
  } finally {
    askpass?.stop();
  }
  report.forget();
  return master;
}

/** A folder for one connection; the shell beside ssh removes it. */
function makeFolder(settings: Settings): string {
  const dir = openRuntimeDir(settings);
  if (dir !== undefined) {
    const longest =
      Buffer.byteLength(join(dir, `${FOLDER_PREFIX}XXXXXX`, SOCKET_NAME)) + CONTROL_SOCKET_SUFFIX;
    if (longest <= SOCKET_PATH_MAX) return mkdtempSync(join(dir, FOLDER_PREFIX));
  }
  return mkdtempSync(`/tmp/pine-rsh-${FOLDER_PREFIX}`);
}

function watchEnd(child: MasterProcess, report: SshReport): Promise<Failure> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(toFailure(error)));
    child.once('exit', (status) => {
      child.stdin.end();
      const explain = (): void => resolve(report.explain(status));
      child.once('close', explain);
      // A program that ssh has started may hold stderr open.
      setTimeout(explain, CLOSE_GRACE_MS);
    });
  });
}

/** ssh listens once it is logged in, and puts the socket in place when it listens (OpenSSH mux.c). */
function waitForSocket(
  { controlPath, ended }: Master,
  child: MasterProcess,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (how: () => void): void => {
      clearInterval(poll);
      child.stderr.off('data', look);
      signal.removeEventListener('abort', onAbort);
      how();
    };
    const look = (): void => {
      if (existsSync(controlPath)) settle(resolve);
    };
    const onAbort = (): void => settle(() => reject(signal.reason));
    const poll = setInterval(look, CONTROL_SOCKET_POLL_MS);
    child.stderr.on('data', look);
    signal.addEventListener('abort', onAbort, { once: true });
    void ended.then((failure) => settle(() => reject(failure)));
  });
}
