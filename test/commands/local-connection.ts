/** A connection whose commands run here, by /bin/sh in a home of their own: what a mail host's login shell would do. */
import { spawn } from 'node:child_process';
import type { Connection, RemoteExit } from '../../src/transport/transport.ts';

/** @param rewrite what the host makes of a command, as a key that is limited to one does; throws what `exec` would */
export function openLocalConnection(
  home: string,
  rewrite: (text: string) => string = (text) => text,
): Connection {
  const unused = (): never => {
    throw new Error('not for this test');
  };
  return {
    exec: async ({ text }) => {
      const env = { HOME: home, PATH: '/usr/bin:/bin' };
      const child = spawn('/bin/sh', ['-c', rewrite(text)], { cwd: home, env, detached: true });
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {});
      const exit = new Promise<RemoteExit>((resolve) => {
        child.once('close', (status, signal) =>
          resolve(signal === null ? { kind: 'status', status: status ?? 1 } : { kind: 'signal', signal }),
        );
      });
      const kill = (): void => {
        if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
      };
      return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit, kill };
    },
    prepare: unused,
    forward: unused,
    alive: unused,
    lastHeard: unused,
    closed: new Promise(() => {}),
    close: () => {},
  };
}
