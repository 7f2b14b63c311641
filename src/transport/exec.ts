/** A command or a forwarded connection on an ssh2 connection, as a `RemoteStream`. */
import type { Readable } from 'node:stream';
import { PassThrough } from 'node:stream';
import type { Client, ClientChannel } from 'ssh2';
import { Failure } from '../errors.ts';
import { signalAfterEof } from './ssh2-internals.ts';
import type { RemoteCommand, RemoteExit, RemoteStream } from './transport.ts';

/**
 * Starts a command or subsystem.
 *
 * @param lost gives the reason once the connection is gone, undefined before
 */
export function execOnClient(
  client: Client,
  command: RemoteCommand,
  address: string,
  lost: () => Failure | undefined,
): Promise<RemoteStream> {
  return new Promise((resolve, reject) => {
    const opened = (error: Error | undefined, channel: ClientChannel): void => {
      if (error) {
        reject(lost() ?? new Failure('exec-refused', { address, why: plainReason(error) }, { cause: error }));
      } else resolve(wrapChannel(channel, channel.stderr, address, lost));
    };
    attempt(reject, lost, address, () => {
      if (command.kind === 'subsystem') client.subsys(command.text, opened);
      else client.exec(command.text, opened);
    });
  });
}

/** Opens a direct-tcpip channel (RFC 4254 section 7.2). */
export function forwardOnClient(
  client: Client,
  host: string,
  port: number,
  address: string,
  lost: () => Failure | undefined,
): Promise<RemoteStream> {
  return new Promise((resolve, reject) => {
    attempt(reject, lost, address, () => {
      client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
        if (error) {
          const target = `${host}:${port}`;
          reject(
            lost() ??
              new Failure('forward-refused', { address, target, why: plainReason(error) }, { cause: error }),
          );
        } else {
          const silence = new PassThrough();
          silence.end();
          resolve(wrapChannel(channel, silence, address, lost));
        }
      });
    });
  });
}

/** ssh2 throws instead of calling back when the connection has gone already. */
function attempt(
  reject: (reason: Failure) => void,
  lost: () => Failure | undefined,
  address: string,
  start: () => void,
): void {
  try {
    start();
  } catch (cause) {
    reject(lost() ?? new Failure('connection-lost', { address, why: 'it was closed' }, { cause }));
  }
}

/** `(SSH) Channel open failure: open failed` -> `open failed`. */
function plainReason(error: Error): string {
  return error.message.replace(/^\(SSH\) (?:Channel open failure: )?/, '') || 'no reason given';
}

function wrapChannel(
  channel: ClientChannel,
  stderr: Readable,
  address: string,
  lost: () => Failure | undefined,
): RemoteStream {
  let outcome: RemoteExit | undefined;
  const exit = new Promise<RemoteExit>((resolve) => {
    channel.on('exit', (status: number | null, signal?: string) => {
      outcome =
        status === null
          ? { kind: 'signal', signal: (signal ?? 'SIGKILL').replace(/^SIG/, '') }
          : { kind: 'status', status };
    });
    channel.on('close', () => {
      // A forwarded connection has no status (RFC 4254 section 6.10 is about sessions): its close is its success.
      if (channel.type === 'direct-tcpip' && lost() === undefined) outcome ??= { kind: 'status', status: 0 };
      outcome ??= {
        kind: 'lost',
        failure:
          lost() ?? new Failure('connection-lost', { address, why: 'the command ended without a status' }),
      };
      resolve(outcome);
    });
  });
  // Each stream needs its own: an error without a handler would end the process, and whoever reads or writes learns
  // of the end through `exit`.
  channel.on('error', () => {});
  stderr.on('error', () => {});
  return {
    stdin: channel,
    stdout: channel,
    stderr,
    exit,
    kill() {
      // A server that knows no signals (dropbear before 2020, OpenSSH before 7.9) closes the pipes, which an imapd obeys.
      if (channel.type !== 'direct-tcpip' && !signalAfterEof(channel, 'TERM')) channel.signal('TERM');
      channel.close();
    },
  };
}
