/** The real ssh-agent on a socket of its own. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signalProcess } from './processes.ts';
import { programPath } from './requirements.ts';
import { defer, type Scope } from './scope.ts';
import { makeTempDir } from './temp-dir.ts';
import { waitUntil } from './wait.ts';

export interface SshAgent {
  /** For SSH_AUTH_SOCK. */
  readonly socket: string;
  /** Loads private keys in this order. A key's certificate beside it comes too. */
  add(...files: readonly string[]): void;
  /** `add` for a key with a passphrase. */
  addLocked(file: string, passphrase: string): void;
  stop(): void;
}

/** Starts an agent; it ends with the test. */
export async function openSshAgent(scope: Scope): Promise<SshAgent> {
  const dir = makeTempDir(scope, 'agent');
  const socket = join(dir, 'agent');
  const child = spawn(programPath('ssh-agent'), ['-D', '-a', socket], { stdio: 'ignore', env: {} });
  const { pid } = child;
  if (pid === undefined) throw new Error('ssh-agent does not start');
  const stop = (): void => signalProcess(pid, 'SIGKILL');
  defer(scope, stop);
  await waitUntil('ssh-agent listens', () => existsSync(socket));
  const add = (files: readonly string[], env: Record<string, string>): void => {
    for (const file of files) {
      const done = spawnSync(programPath('ssh-add'), ['-q', file], {
        encoding: 'utf8',
        env: { SSH_AUTH_SOCK: socket, ...env },
      });
      if (done.status !== 0) throw new Error(`ssh-add ${file}: ${done.stderr}`);
    }
  };
  return {
    socket,
    add: (...files) => add(files, {}),
    addLocked: (file, passphrase) => {
      // ssh-add runs this in place of asking on a terminal.
      const askpass = join(dir, 'askpass');
      writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$TEST_PASSPHRASE"\n', { mode: 0o700 });
      add([file], { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', TEST_PASSPHRASE: passphrase });
    },
    stop,
  };
}
