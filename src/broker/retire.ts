/**
 * Makes way for a broker: those that served the same caller and alias before it (another version of the program, an
 * alias file that was edited since) take no more sessions and end with the last one they have.
 */
import { lstatSync } from 'node:fs';
import { basename } from 'node:path';
import type { Settings } from '../settings.ts';
import { listBrokerSockets } from './socket-path.ts';
import { callerOf } from './spec.ts';
import { stopBroker } from './status.ts';

/** Retires the older siblings of the broker that listens at `socket`. Never fails: one that is hung stays as it is. */
export async function retireOlder(socket: string, settings: Settings): Promise<void> {
  const born = birthOf(socket);
  const whose = callerOf(basename(socket));
  const older = listSiblings(settings).filter(
    (other) => other !== socket && callerOf(basename(other)) === whose && birthOf(other) < born,
  );
  await Promise.all(older.map((other) => stopBroker(other, settings, false)));
}

function listSiblings(settings: Settings): string[] {
  try {
    return listBrokerSockets(settings);
  } catch {
    // A folder that can be entered and not read.
    return [];
  }
}

/** When a broker began to listen, as text that sorts; of two that start at once exactly one is older. */
function birthOf(socket: string): string {
  const time = lstatSync(socket, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
  return `${String(time).padStart(20, '0')} ${socket}`;
}
