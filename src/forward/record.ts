/**
 * What a running forward tells about itself, for `pine-rshctl status`: a socket in the runtime folder that answers
 * every connection with one JSON object. A socket and not a file, because one whose process has gone answers nobody.
 */
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { listenSocket, ownsSocket } from '../broker/socket.ts';
import { errnoOf } from '../errors.ts';
import { BROKER_HELLO_MS, FORWARD_RECORD_MAX } from '../limits.ts';
import { listRuntimeDir, openRuntimeDir } from '../runtime-dir.ts';
import type { Settings } from '../settings.ts';
import type { Dialogue } from './forward-spec.ts';

export interface ForwardRecord {
  readonly alias: string;
  readonly pid: number;
  readonly age_s: number;
  /** Now, and since it started. */
  readonly open: number;
  readonly served: number;
  readonly refused: number;
  readonly forwards: readonly {
    readonly listen: readonly string[];
    readonly target: string;
    readonly dialogue: Dialogue;
  }[];
}

/** `127.0.0.1:2025 and [::1]:2025 to mail:25 (smtp)`. */
export function formatForward({ listen, target, dialogue }: ForwardRecord['forwards'][number]): string {
  return `${listen.join(' and ')} to ${target}${dialogue === 'any' ? '' : ` (${dialogue})`}`;
}

const NAME = /^f-\d+$/;

/** Answers until `close` is called. Without a safe runtime folder nobody is answered, and nothing else is lost. */
export async function openRecord(
  settings: Settings,
  describe: () => ForwardRecord,
): Promise<{ close(): void }> {
  const dir = openRuntimeDir(settings);
  if (dir === undefined) return { close() {} };
  const path = join(dir, `f-${process.pid}`);
  const listener = await listenSocket(path, settings.uid, (socket) => {
    socket.on('error', () => {});
    socket.end(JSON.stringify(describe()));
    socket.resume();
  });
  return {
    close() {
      if (listener === undefined) return;
      listener.server.close();
      if (ownsSocket(path, listener)) rmSync(path, { force: true });
    },
  };
}

/**
 * All forwards that run, the oldest first; what dead ones left behind is removed.
 *
 * @throws {Failure} `file-unusable`
 */
export async function listForwards(settings: Settings): Promise<ForwardRecord[]> {
  const paths = listRuntimeDir(settings, (name) => NAME.test(name));
  const found = await Promise.all(paths.map(readRecord));
  return found.flatMap((record) => record ?? []).toSorted((a, b) => b.age_s - a.age_s);
}

function readRecord(path: string): Promise<ForwardRecord | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(), BROKER_HELLO_MS);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.length > FORWARD_RECORD_MAX) socket.destroy();
    });
    socket.on('error', (error) => {
      if (errnoOf(error) === 'ECONNREFUSED') rmSync(path, { force: true });
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(parseRecord(text));
    });
  });
}

/** The text comes from a socket in our own folder. */
function parseRecord(text: string): ForwardRecord | undefined {
  try {
    return JSON.parse(text) as ForwardRecord;
  } catch {
    return undefined;
  }
}
