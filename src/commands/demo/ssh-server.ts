/**
 * The demo's mail host: an SSH server on the loopback address that lets in one key and runs one command, imapd.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import type { KeyPair } from '../../transport/new-key.ts';

const LOOPBACK = '127.0.0.1';
/** What a shell says of a command it does not have. */
const COMMAND_NOT_FOUND = 127;

export interface DemoSshServer {
  readonly host: string;
  readonly port: number;
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}

export interface DemoSshOptions {
  readonly hostKey: KeyPair;
  readonly user: string;
  readonly userKey: KeyPair;
  /** Runs an imapd on the channel and gives its exit status; must not reject. */
  runImapd(channel: Duplex): Promise<number>;
}

/** Listens on a port that the kernel chooses. */
export async function openSshServer(options: DemoSshOptions): Promise<DemoSshServer> {
  const ssh = new ssh2.Server({ hostKeys: [options.hostKey.privateKey] }, (client) => {
    // A client that hangs up in the middle is no failure of the demo.
    client.on('error', () => client.end());
    client.on('authentication', (attempt) => {
      if (mayLogIn(attempt, options)) attempt.accept();
      else attempt.reject(['publickey']);
    });
    client.on('session', (accept) => serveSession(accept(), options));
  });
  // A listener of our own, because ssh2's cannot end connections whose client does not play along.
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    ssh.injectSocket(socket.setNoDelay());
  });
  listener.listen(0, LOOPBACK);
  await once(listener, 'listening');
  return {
    host: LOOPBACK,
    port: (listener.address() as AddressInfo).port,
    close: async () => {
      const closed = once(listener, 'close');
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function mayLogIn(attempt: ssh2.AuthContext, { user, userKey }: DemoSshOptions): boolean {
  if (attempt.method !== 'publickey' || attempt.username !== user) return false;
  if (!attempt.key.data.equals(userKey.blob)) return false;
  // Without a signature the client only asks whether this key would do.
  if (attempt.signature === undefined || attempt.blob === undefined) return true;
  const key = ssh2.utils.parseKey(userKey.publicKey);
  return !(key instanceof Error) && key.verify(attempt.blob, attempt.signature, attempt.hashAlgo) === true;
}

function serveSession(session: ssh2.Session, { runImapd }: DemoSshOptions): void {
  session.on('exec', (accept, _reject, { command }) => {
    const channel = accept();
    channel.on('error', () => channel.close());
    const ended = command.includes('imapd') ? runImapd(channel) : refuseCommand(channel, command);
    void ended.then((status) => {
      channel.exit(status);
      channel.end();
    });
  });
}

async function refuseCommand(channel: ssh2.ServerChannel, command: string): Promise<number> {
  channel.stderr.write(`the demo runs imapd only, not: ${command}\n`);
  return COMMAND_NOT_FOUND;
}
