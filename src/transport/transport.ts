/**
 * What carries a session: an authenticated connection to one host. `dial.ts` (ssh2) is one implementation, the
 * system's ssh will be the other; everything above (greeting guard, refusal, sharing) sees only these shapes.
 */
import type { Readable, Writable } from 'node:stream';
import type { ByteSource, TellingSink } from '../byte-flow.ts';
import type { Failure } from '../errors.ts';

/** How a remote command ended. A connection that is lost before the command ended is never success. */
export type RemoteExit =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'lost'; readonly failure: Failure };

/** A remote command's three streams and its end. All streams have error handlers already; none throws late. */
export interface SessionStream {
  /** Ending it sends EOF. */
  readonly stdin: TellingSink;
  readonly stdout: ByteSource;
  /** Must be read to its end: an unread stderr stalls the channel. */
  readonly stderr: ByteSource;
  /** Settles once, after the remote closed the channel; never rejects. */
  readonly exit: Promise<RemoteExit>;
  /** Asks the remote to end the command (SIGTERM) and closes the channel at once. */
  kill(): void;
}

/** The same as streams of Node's, as they come from a channel. */
export interface RemoteStream extends SessionStream {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** What to run: a command line for the remote shell, or a subsystem by name. */
export interface RemoteCommand {
  readonly kind: 'exec' | 'subsystem';
  readonly text: string;
}

/** An authenticated connection. */
export interface Connection {
  /** @throws {Failure} `exec-refused`, `connection-lost` */
  exec(command: RemoteCommand): Promise<RemoteStream>;
  /** Makes the next calls of `exec` faster where that is possible; may do nothing. */
  prepare(): void;
  /**
   * A direct-tcpip channel (RFC 4254 section 7.2).
   *
   * @throws {Failure} `forward-refused`, `forward-failed`, `connection-lost`
   */
  forward(host: string, port: number): Promise<RemoteStream>;
  /** Asks the peer for an answer. True if one came within `withinMs`. */
  alive(withinMs: number): Promise<boolean>;
  /** When the peer last sent anything, in milliseconds of `performance.now()`. */
  lastHeard(): number;
  /** Settles with the reason when the connection ends, whoever ended it. */
  readonly closed: Promise<Failure>;
  close(): void;
}
