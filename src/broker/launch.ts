/** Starts a broker in the background and waits until its socket is there. */
import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { BROKER_PURGE_MS, BROKER_START_MS } from '../limits.ts';
import { selfCommand } from '../program.ts';
import { BrokerUseless } from './client.ts';
import { type BrokerSpec, encodeSpec } from './spec.ts';

/**
 * Bun's allocator gives memory back to the system after 10 ms and faults it in again for the next packets, which takes a
 * tenth of the time of a long upload (mimalloc's environment options).
 */
const ALLOCATOR: Readonly<Record<string, string>> =
  process.versions['bun'] === undefined ? {} : { MIMALLOC_PURGE_DELAY: String(BROKER_PURGE_MS) };

/** What the broker writes to its stdout once it listens, or once it knows that another one does. */
export const READY = 'ready\n';

/**
 * Resolves when a broker listens at `spec.socket`. Of several that are started at once one stays.
 *
 * The spec goes through stdin: command lines are public, and longer than some systems allow.
 *
 * @throws {BrokerUseless} if none came up in time
 */
export function launchBroker(spec: BrokerSpec): Promise<void> {
  const [file, ...args] = selfCommand();
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args, '--broker', spec.alias.name], {
      argv0: 'pine-rsh',
      cwd: '/',
      // A session of its own: no terminal, and no signal meant for the mail client.
      detached: true,
      env: { ...spec.settings.brokerEnv, ...ALLOCATOR },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // Without descriptors or memory for them there are no streams, whatever the types say.
    const streams: readonly (Readable | Writable | undefined)[] = [child.stdin, child.stdout];
    const done = (error?: Error): void => {
      clearTimeout(timer);
      for (const stream of streams) stream?.destroy();
      child.unref();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(
      () => done(new BrokerUseless('the broker did not start in time')),
      BROKER_START_MS,
    );
    child.on('error', (cause) => done(new BrokerUseless('the broker cannot be started', { cause })));
    for (const stream of streams) stream?.on('error', () => {});
    if (streams.includes(undefined)) return;
    child.stdout.once('data', () => done());
    child.stdout.once('end', () => done(new BrokerUseless('the broker ended at once')));
    child.stdin.end(encodeSpec(spec));
  });
}
