/**
 * The machine's processes as /proc shows them: which of ours are left, whose children they are, what memory they
 * took. A test marks its processes by a folder of its own, which stands in their command line or environment.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { waitUntil } from './wait.ts';

export interface RunningProcess {
  readonly pid: number;
  readonly ppid: number;
  /** argv, joined by blanks. */
  readonly command: string;
  /** `NAME=value` each; empty when the process belongs to somebody else. */
  readonly environment: readonly string[];
}

/** All processes but zombies: those have ended, only nobody asked how. */
export function listProcesses(): RunningProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);
}

/** Processes with `mark` in their command line or environment, this one apart. */
export function findProcesses(mark: string): RunningProcess[] {
  return listProcesses().filter(
    (each) =>
      each.pid !== process.pid &&
      (each.command.includes(mark) || each.environment.some((line) => line.includes(mark))),
  );
}

/** Waits until no process carries `mark` (and `also` says yes to); names the ones that stay. */
export async function waitForNoProcess(
  mark: string,
  options: { timeout?: number; also?: (process: RunningProcess) => boolean } = {},
): Promise<void> {
  const left = () => findProcesses(mark).filter(options.also ?? (() => true));
  await waitUntil(`processes of ${mark} end`, () => left().length === 0, {
    timeout: options.timeout ?? 10_000,
    detail: () =>
      left()
        .map((each) => `${each.pid} (parent ${each.ppid}) ${each.command}`)
        .join('\n'),
  });
}

/** A background process of pine-rsh, which is meant to stay when the program that started it ends. */
export function isBroker({ command }: RunningProcess): boolean {
  return command.includes(' --broker ');
}

/** Children, their children and so on, those apart that `also` says no to. */
export function descendantsOf(
  pid: number,
  also: (process: RunningProcess) => boolean = () => true,
): number[] {
  const all = listProcesses().filter(also);
  const found = [pid];
  for (const parent of found)
    found.push(...all.filter((each) => each.ppid === parent).map((each) => each.pid));
  return found.slice(1);
}

export function isRunning(pid: number): boolean {
  return readProcess(pid) !== undefined;
}

/** Sends a signal; a process that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** The largest resident set the process ever had, in bytes (VmHWM of proc_pid_status(5)). */
export function peakMemoryOf(pid: number): number {
  return readMemory(pid, 'VmHWM');
}

/** Its resident set now, in bytes. */
export function residentMemoryOf(pid: number): number {
  return readMemory(pid, 'VmRSS');
}

/** The part of it that is no page of a file, which all processes of a program share. */
export function ownMemoryOf(pid: number): number {
  return readMemory(pid, 'RssAnon');
}

function readMemory(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kib === undefined) throw new Error(`no ${name} for process ${pid}`);
  return Number(kib) * 1024;
}

function readProcess(pid: number): RunningProcess | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command name is in parentheses and may hold blanks and parentheses itself.
    const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    return {
      pid,
      ppid: Number(ppid),
      command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trimEnd(),
      environment: readEnvironment(pid),
    };
  } catch {
    return undefined;
  }
}

function readEnvironment(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
