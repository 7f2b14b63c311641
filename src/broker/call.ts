/**
 * A call: how pine-rsh was started, as the broker gets it to find the alias itself. Which broker may have an imapd
 * ready for it is told by a second name of that broker's socket, a hash over the call: a mail client makes the same
 * call for each folder, and nothing has to be read or resolved to find that name.
 */
import { linkSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BUILD } from '../build-info.ts';
import { quickHash } from '../hash.ts';
import { CALLS_MAX } from '../limits.ts';
import { openRuntimeDir } from '../runtime-dir.ts';
import type { CallerSettings } from '../settings.ts';
import { inodeOf } from './inode.ts';

/** PROTOCOL.md, TAKE. */
export interface Call {
  /** The words after the program's name. */
  readonly args: readonly string[];
  /** `callEnv` of the settings. */
  readonly env: Readonly<Record<string, string>>;
}

const NAME = /^c-[0-9a-f]{16}$/;

/** Where a broker that served this call is found; undefined if there is none, or its folder is not safe. */
export function findCall(call: Call, settings: CallerSettings): string | undefined {
  const name = callFileName(call, settings.uid);
  for (const dir of settings.runtimeDirs) {
    const path = join(dir, name);
    if (inodeOf(path) === undefined) continue;
    return openRuntimeDir(settings) === dir ? path : undefined;
  }
  return undefined;
}

/**
 * Has the call lead to the broker at `socket`. Where there are too many already they are all forgotten: those that are
 * still made come back. Never fails: without it the next call takes the long way again.
 */
export function linkCall(call: Call, socket: string, uid: number): void {
  const dir = dirname(socket);
  const path = join(dir, callFileName(call, uid));
  try {
    if (inodeOf(path) === inodeOf(socket)) return;
    rmSync(path, { force: true });
    const calls = readdirSync(dir).filter((name) => NAME.test(name));
    if (calls.length >= CALLS_MAX) for (const name of calls) rmSync(join(dir, name), { force: true });
    linkSync(socket, path);
  } catch {
    // Another client may have been faster.
  }
}

/** Removes the names of brokers that have left. Never fails. */
export function removeDeadCalls(dir: string): void {
  try {
    const names = readdirSync(dir);
    // One that takes no more sessions has another name by now.
    const live = new Set(
      names.filter((name) => name.startsWith('b-')).map((name) => inodeOf(join(dir, name))),
    );
    for (const name of names) {
      const path = join(dir, name);
      if (NAME.test(name) && !live.has(inodeOf(path))) rmSync(path, { force: true });
    }
  } catch {
    // The next broker tries again.
  }
}

/** Two calls of one name are told apart by the broker, which looks them up. */
function callFileName({ args, env }: Call, uid: number): string {
  return `c-${quickHash(JSON.stringify([uid, args, env, BUILD.kind, BUILD.source]))}`;
}
