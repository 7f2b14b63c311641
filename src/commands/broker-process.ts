/**
 * Whose socket that of a broker is, by Linux's /proc (proc(5), proc_net_unix): one that hangs cannot be asked. Other
 * systems do not tell.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

export interface BrokerProcess {
  readonly alias: string;
  readonly pid: number;
}

/** The broker of ours that listens at `socket`; undefined where that cannot be told. */
export function findBrokerProcess(socket: string, uid: number): BrokerProcess | undefined {
  const links = findListeners(socket);
  if (links.size === 0) return undefined;
  for (const name of listOrNothing('/proc')) {
    const alias = /^\d+$/.test(name) ? readAlias(name, uid) : undefined;
    if (alias !== undefined && holdsOne(name, links)) return { alias, pid: Number(name) };
  }
  return undefined;
}

/** __SO_ACCEPTCON of the kernel's net.h. */
const LISTENS = '00010000';

/** What /proc/PID/fd shows for sockets that listen there. They were made under another name: `.` and a process id. */
function findListeners(socket: string): ReadonlySet<string> {
  const links = new Set<string>();
  for (const row of readOrNothing('/proc/net/unix').split('\n')) {
    // Num RefCount Protocol Flags Type St Inode Path
    const [, flags, inode, path = ''] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+) (.*)$/.exec(row) ?? [];
    if (flags === LISTENS && path.replace(/\.\d+$/, '') === socket) links.add(`socket:[${inode}]`);
  }
  return links;
}

/** The alias that a broker's command line names, if that is one. */
function readAlias(pid: string, uid: number): string | undefined {
  try {
    if (statSync(`/proc/${pid}`).uid !== uid) return undefined;
  } catch {
    return undefined;
  }
  const words = readOrNothing(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trimEnd();
  return /^pine-rsh --broker (\S+)$/.exec(words)?.[1];
}

function holdsOne(pid: string, links: ReadonlySet<string>): boolean {
  const folder = `/proc/${pid}/fd`;
  return listOrNothing(folder).some((fd) => {
    try {
      return links.has(readlinkSync(`${folder}/${fd}`));
    } catch {
      return false;
    }
  });
}

function listOrNothing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
