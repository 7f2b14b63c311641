/** A command or a forwarded connection on an ssh2 connection, as a `RemoteStream`. */
import type { Readable } from 'node:stream';
import { PassThrough } from 'node:stream';
import type { Client, ClientChannel } from 'ssh2';
import { Failure } from '../errors.ts';
import { formatAddress } from './address.ts';
import { forwardFailure } from './forward-failure.ts';
import type { LineRoom } from './line-room.ts';
import { awaitLine, growWindow, type RoundTrips, signalAfterEof } from './ssh2-internals.ts';
import type { RemoteCommand, RemoteExit, RemoteStream } from './transport.ts';

/** A connection that commands are started on. */
export interface OpenClient {
  readonly client: Client;
  /** As messages call the host. */
  readonly address: string;
  /** Why the connection is gone; undefined while it is not. */
  readonly lost: () => Failure | undefined;
  readonly room: LineRoom;
  /** Undefined: ssh2 as documented. */
  readonly roundTrips: RoundTrips | undefined;
}

/** Starts a command or subsystem. */
export function execOnClient(
  { client, address, lost, room, roundTrips }: OpenClient,
  command: RemoteCommand,
): Promise<RemoteStream> {
  return new Promise((resolve, reject) => {
    const asked = performance.now();
    const opened = (error: Error | undefined, channel: ClientChannel): void => {
      if (error) {
        reject(lost() ?? new Failure('exec-refused', { address, why: plainReason(error) }, { cause: error }));
      } else {
        const roundTrip = performance.now() - asked;
        resolve(wrapChannel(channel, { stderr: channel.stderr, address, lost, room, roundTrip }));
      }
    };
    attempt(reject, lost, address, () => {
      if (command.kind === 'subsystem') client.subsys(command.text, opened);
      else if (!roundTrips?.startPrepared(command.text, opened)) {
        roundTrips?.announce(command.text);
        client.exec(command.text, opened);
      }
    });
  });
}

/** Opens a direct-tcpip channel (RFC 4254 section 7.2). */
export function forwardOnClient(
  { client, address, lost, room }: OpenClient,
  host: string,
  port: number,
): Promise<RemoteStream> {
  return new Promise((resolve, reject) => {
    const asked = performance.now();
    attempt(reject, lost, address, () => {
      client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
        if (error) {
          const facts = { address, target: formatAddress(host, port), why: plainReason(error) };
          const { reason } = error as { reason?: number };
          reject(lost() ?? forwardFailure(facts, reason, { cause: error }));
        } else {
          const silence = new PassThrough();
          silence.end();
          const roundTrip = performance.now() - asked;
          resolve(wrapChannel(channel, { stderr: silence, address, lost, room, roundTrip }));
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

interface ChannelFacts extends Pick<OpenClient, 'address' | 'lost' | 'room'> {
  readonly stderr: Readable;
  /** Milliseconds that the opening took: a round trip at least. */
  readonly roundTrip: number;
}

function wrapChannel(
  channel: ClientChannel,
  { stderr, address, lost, room, roundTrip }: ChannelFacts,
): RemoteStream {
  awaitLine(channel, (done) => room.whenClear(done));
  const releaseWindow = growWindow(channel, roundTrip);
  let outcome: RemoteExit | undefined;
  const exit = new Promise<RemoteExit>((resolve) => {
    channel.on('exit', (status: number | null, signal?: string) => {
      outcome =
        status === null
          ? { kind: 'signal', signal: (signal ?? 'SIGKILL').replace(/^SIG/, '') }
          : { kind: 'status', status };
    });
    channel.on('close', () => {
      releaseWindow();
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
      releaseWindow();
      // A server that knows no signals (dropbear before 2020, OpenSSH before 7.9) closes the pipes, which an imapd obeys.
      if (channel.type !== 'direct-tcpip' && !signalAfterEof(channel, 'TERM')) channel.signal('TERM');
      channel.close();
    },
  };
}
