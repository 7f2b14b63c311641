/**
 * An OpenSSH from before `restrict`, as far as authorized_keys goes: no such version runs on the systems of today. A
 * line with an option that it does not know lets nobody in.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { makeKeyPair } from '../../src/transport/new-key.ts';
import { defer, type Scope } from './scope.ts';
import { makeTempDir } from './temp-dir.ts';

/** sshd(8) of OpenSSH 7.1, AUTHORIZED_KEYS FILE FORMAT. */
const KNOWN =
  /^(?:cert-authority|command="[^"]*"|environment="[^"]*"|from="[^"]*"|no-(?:agent|port|X11)-forwarding|no-pty|no-user-rc|permitopen="[^"]*"|principals="[^"]*"|tunnel="[^"]*")$/;

export interface OldSshd {
  /** `USER@HOST:PORT` */
  readonly place: string;
  readonly fingerprintLine: string;
  readonly home: string;
  /** The lines of ~/.ssh/authorized_keys. */
  authorizedKeys(): string[];
}

/** Announces `software`, such as `OpenSSH_7.1`; lets in with the password and with the keys of its home. */
export async function openOldSshd(scope: Scope, software: string, password: string): Promise<OldSshd> {
  const home = makeTempDir(scope, 'old-sshd');
  mkdirSync(join(home, '.ssh'), { mode: 0o700 });
  const file = join(home, '.ssh', 'authorized_keys');
  const authorizedKeys = (): string[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [];
  const hostKey = makeKeyPair('host');
  const server = new ssh2.Server({ hostKeys: [hostKey.privateKey], ident: software }, (client) => {
    let forced: string | undefined;
    client.on('error', () => client.end());
    client.on('authentication', (attempt) => {
      if (attempt.method === 'password' && attempt.password === password) return attempt.accept();
      if (attempt.method !== 'publickey') return attempt.reject(['publickey', 'password']);
      const line = findLine(authorizedKeys(), attempt.key.data);
      if (line === undefined) return attempt.reject(['publickey', 'password']);
      forced = line.command;
      attempt.accept();
    });
    client.on('session', (accept) => {
      accept().on('exec', (open, _reject, { command }) => {
        const channel = open();
        const child = spawn('/bin/sh', ['-c', forced ?? command], {
          env: { HOME: home, PATH: '/usr/bin:/bin', SSH_ORIGINAL_COMMAND: command },
        });
        channel.on('error', () => child.kill());
        child.stdin.on('error', () => {});
        channel.pipe(child.stdin);
        child.stdout.pipe(channel, { end: false });
        child.stderr.pipe(channel.stderr, { end: false });
        child.on('close', (status) => {
          channel.exit(status ?? 1);
          channel.end();
        });
      });
    });
  });
  const listener = createServer((socket) => server.injectSocket(socket));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  defer(scope, () => void listener.close());
  const { port } = listener.address() as AddressInfo;
  return {
    place: `pat@127.0.0.1:${port}`,
    fingerprintLine: `[127.0.0.1]:${port} ${hostKey.publicKey.trim()}`,
    home,
    authorizedKeys,
  };
}

function findLine(
  lines: readonly string[],
  blob: Buffer,
): { readonly command: string | undefined } | undefined {
  for (const line of lines) {
    const [, options = '', base64 = ''] =
      /^(?:(\S*(?:"[^"]*"\S*)*) )?(?:ssh|ecdsa)-\S+ (\S+)/.exec(line) ?? [];
    if (!Buffer.from(base64, 'base64').equals(blob)) continue;
    const list = options.match(/[^,"]+(?:"[^"]*")?/g) ?? [];
    if (!list.every((option) => KNOWN.test(option))) return undefined;
    return { command: /command="([^"]*)"/.exec(options)?.[1] };
  }
  return undefined;
}
