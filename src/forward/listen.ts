/** The local end of a forward: a port of both loopback addresses, or a socket in a folder that only we can enter. */
import { lstatSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { checkPrivate } from '../alias/trusted-file.ts';
import { listenSocket, ownsSocket } from '../broker/socket.ts';
import { errnoOf, Failure } from '../errors.ts';
import { SOCKET_PATH_MAX } from '../limits.ts';
import { formatAddress } from '../transport/address.ts';
import type { ForwardSpec } from './forward-spec.ts';

export interface Listening {
  /** As a person writes them: `127.0.0.1:2025`, `/home/pat/mail/smtp`. */
  readonly addresses: readonly string[];
  /** Accepts nothing more. */
  close(): void;
}

/** @throws {Failure} `listen-failed`, `file-untrusted`, `file-unreadable`, `file-unusable` */
export async function openListener(
  spec: ForwardSpec,
  uid: number,
  onConnection: (socket: Socket) => void,
): Promise<Listening> {
  return spec.listen.kind === 'port'
    ? await listenOnLoopback(spec.listen.port, onConnection)
    : await listenOnSocket(spec.listen.path, uid, onConnection);
}

/** Both addresses or none: clients take `localhost` for either, and what is left free another user could take. */
async function listenOnLoopback(port: number, onConnection: (socket: Socket) => void): Promise<Listening> {
  const servers: Server[] = [];
  const addresses: string[] = [];
  const close = (): void => {
    for (const server of servers) server.close();
  };
  try {
    for (const host of ['127.0.0.1', '::1']) {
      const server = await listenOn(host, port, onConnection);
      if (server === undefined) continue;
      servers.push(server);
      addresses.push(formatAddress(host, port));
    }
  } catch (error) {
    close();
    throw error;
  }
  return { addresses, close };
}

/** What listen(2) says where IPv6 is switched off. */
const NO_IPV6 = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'];

async function listenOn(
  host: string,
  port: number,
  onConnection: (socket: Socket) => void,
): Promise<Server | undefined> {
  // Half-open: a client that has sent all its input still wants the output.
  const server = createServer({ allowHalfOpen: true }, onConnection);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, () => resolve());
    });
  } catch (error) {
    if (host === '::1' && NO_IPV6.includes(errnoOf(error) ?? '')) return undefined;
    throw explainListen(error, host, port);
  }
  // Out of descriptors: that client has to try again.
  server.on('error', () => {});
  return server;
}

function explainListen(error: unknown, host: string, port: number): Failure {
  const code = errnoOf(error) ?? 'unknown';
  const address = formatAddress(host, port);
  const [why, remedy] =
    code === 'EADDRINUSE'
      ? ['another program has it', `choose another port; ss -ltnp shows who has ${port}`]
      : code === 'EACCES'
        ? ['not permitted', 'ports below 1024 are for root; choose a higher one']
        : [code, 'choose another port'];
  return new Failure('listen-failed', { address, why, remedy }, { cause: error });
}

/** It is made under another name first: `.` and a process id. */
const TEMP_SUFFIX_LENGTH = '.4194304'.length;

async function listenOnSocket(
  path: string,
  uid: number,
  onConnection: (socket: Socket) => void,
): Promise<Listening> {
  checkPlace(path, uid);
  const max = SOCKET_PATH_MAX - TEMP_SUFFIX_LENGTH;
  if (Buffer.byteLength(path) > max) {
    const why = `its path is longer than ${max} bytes`;
    throw new Failure('listen-failed', { address: path, why, remedy: 'choose a shorter one' });
  }
  const listener = await listenSocket(path, uid, onConnection);
  if (listener === undefined) {
    const remedy = 'choose another one, or end the program that holds it';
    throw new Failure('listen-failed', { address: path, why: 'another program has it', remedy });
  }
  return {
    addresses: [path],
    close() {
      listener.server.close();
      if (ownsSocket(path, listener)) rmSync(path, { force: true });
    },
  };
}

/** Its folder is what keeps others out. A socket of ours that is there already may be a dead one's. */
function checkPlace(path: string, uid: number): void {
  const folder = dirname(path);
  try {
    checkPrivate(folder, uid);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const remedy = `make it: mkdir -m 700 ${folder}`;
    throw new Failure('file-unusable', { file: folder, why: 'does not exist', remedy });
  }
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || (stat.isSocket() && stat.uid === uid)) return;
  throw new Failure('file-unusable', {
    file: path,
    why: 'is not a socket of yours',
    remedy: 'choose another path',
  });
}
