/** Starting the process that sends waiting mail in the background. Light: sessions pass here when a folder opens. */
import { spawn } from 'node:child_process';
import { selfCommand } from '../program.ts';
import type { Settings } from '../settings.ts';
import { QueueFolder } from './queue-folder.ts';

/** Starts to send what waits for the host of this alias, if anything does; returns at once. */
export function sendWaitingMail(alias: string, settings: Settings): void {
  try {
    if (new QueueFolder(settings).isBusy(alias)) startFlusher(alias, settings);
  } catch {
    // A queue that cannot be read is told by `queue list`; the session is worth more.
  }
}

/** It ends by itself, and at once if another one is at it. */
export function startFlusher(alias: string, settings: Settings): void {
  const [file, ...args] = selfCommand();
  const child = spawn(file, [...args, '--flush', alias], {
    argv0: 'pine-rsh',
    cwd: '/',
    // A session of its own: no terminal, and no signal meant for the mail client.
    detached: true,
    env: settings.brokerEnv,
    stdio: 'ignore',
  });
  child.on('error', () => {});
  child.unref();
}
