/** An SSH connection and sessions on it whose fate a test decides. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { Failure } from '../../src/errors.ts';
import type { Connection, RemoteExit, RemoteStream } from '../../src/transport/transport.ts';

export interface FakeState {
  /** Whether it answers when it is asked. */
  alive: boolean;
  /** Set when it was closed from our side. */
  closed: boolean;
  /** When it was last heard, in milliseconds of performance.now(). */
  heard: number;
}

/** A connection that answers as long as `state` says so. */
export function fakeConnection(state: FakeState): Connection & { die(): void } {
  let die: () => void = () => {};
  const closed = new Promise<Failure>((resolve) => {
    die = () => resolve(new Failure('connection-lost', { address: 'mail:22', why: 'test' }));
  });
  const no = (): never => assert.fail('not asked for');
  return {
    exec: no,
    forward: no,
    closed,
    die,
    alive: async () => state.alive,
    prepare: () => {},
    lastHeard: () => state.heard,
    close: () => {
      state.closed = true;
      die();
    },
  };
}

export interface FakeStream extends RemoteStream {
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  readonly killed: boolean;
  /** Ends the remote command. */
  end(exit?: RemoteExit): void;
}

/** A session. Killed, it ends as a command does that got SIGTERM. */
export function fakeStream(): FakeStream {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let settle: (exit: RemoteExit) => void = () => {};
  const exit = new Promise<RemoteExit>((resolve) => {
    settle = resolve;
  });
  const stream = {
    stdin,
    stdout,
    stderr,
    exit,
    killed: false,
    end: (how: RemoteExit = { kind: 'status', status: 0 }) => {
      stdout.end();
      stderr.end();
      settle(how);
    },
    kill: () => {
      stream.killed = true;
      stream.end({ kind: 'signal', signal: 'TERM' });
    },
  };
  return stream;
}
