/**
 * Stand-ins for a mail and a news server on loopback ports: they speak just enough SMTP (RFC 5321) and NNTP (RFC 3977)
 * for one dialogue, and keep what they were told.
 */
import { createServer, type Socket } from 'node:net';
import { defer, type Scope } from './scope.ts';

export interface LineServer {
  readonly port: number;
  /** Connections so far. */
  readonly connections: number;
  /** Everything that clients have sent. */
  received(): string;
}

export interface SmtpServer extends LineServer {
  /** The messages it has taken, with CRLF, without the dots of RFC 5321 section 4.5.2. */
  readonly messages: readonly string[];
}

export async function openSmtpServer(scope: Scope): Promise<SmtpServer> {
  const messages: string[] = [];
  const server = await openLineServer(scope, '220 mail.example.org ESMTP stand-in', (socket) => {
    let data: string[] | undefined;
    return (line) => {
      const say = (text: string): void => void socket.write(`${text}\r\n`);
      if (data !== undefined) {
        if (line !== '.') data.push(line.replace(/^\./, ''));
        else {
          messages.push(data.map((each) => `${each}\r\n`).join(''));
          data = undefined;
          say('250 kept');
        }
        return;
      }
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') say('250-mail.example.org\r\n250 8BITMIME');
      else if (verb === 'DATA') {
        data = [];
        say('354 go on');
      } else if (verb === 'QUIT') socket.end('221 bye\r\n');
      else if (['HELO', 'MAIL', 'RCPT', 'RSET', 'NOOP'].includes(verb)) say('250 fine');
      else say('500 what');
    };
  });
  return Object.assign(server, { messages });
}

export async function openNntpServer(scope: Scope): Promise<LineServer> {
  return await openLineServer(scope, '200 news.example.org stand-in, posting allowed', (socket) => (line) => {
    const verb = line.split(' ', 1)[0]?.toUpperCase();
    if (verb === 'DATE') socket.write('111 20260102030405\r\n');
    else if (verb === 'QUIT') socket.end('205 bye\r\n');
    else socket.write('500 what\r\n');
  });
}

async function openLineServer(
  scope: Scope,
  greeting: string,
  serve: (socket: Socket) => (line: string) => void,
): Promise<LineServer> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const onLine = serve(socket);
    let rest = '';
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      const lines = (rest + chunk.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
    socket.write(`${greeting}\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  defer(scope, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    get connections() {
      return connections;
    },
    received: () => Buffer.concat(chunks).toString('latin1'),
  };
}
