/**
 * An alias -> an authenticated connection, over ssh2. The only place that makes an ssh2 client, and never one without
 * a host key check.
 */
import type { Socket } from 'node:net';
import ssh2 from 'ssh2';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { KEXINIT_SNIFF_MAX } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { chooseAlgorithms } from './algorithms.ts';
import { execOnClient, forwardOnClient } from './exec.ts';
import { explainSshError } from './explain.ts';
import { createHostVerifier, hostKeyAlgorithms, readKnownHosts } from './host-key.ts';
import { type Identity, type IdentitySet, loadIdentities } from './identity.ts';
import { formatAddress, openTcp } from './tcp.ts';
import type { Connection } from './transport.ts';

/** What dialling needs beside the alias. */
export interface DialContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly family: 0 | 4 | 6;
  /** Ends the attempt from outside; its reason is what `dial` throws. */
  readonly signal: AbortSignal;
  /** Called when a step is done, for the log: `tcp`, `kex`, `login`. */
  readonly onStep?: (step: string) => void;
}

/**
 * Connects and logs in within CONNECT_TIMEOUT.
 *
 * @throws {Failure} every code of the groups "reaching the host", "host keys" and "logging in"
 */
export async function dial(alias: Alias, context: DialContext): Promise<Connection> {
  const address = formatAddress(alias.hostname, alias.port);
  const attempt = new Attempt(alias, address, context.signal);
  try {
    // Key files and the agent are read while the network works.
    const [socket, identities] = await Promise.all([
      openTcp(alias.hostname, alias.port, context.family, attempt.signal),
      loadIdentities(alias, context.settings, context.log),
    ]);
    attempt.socket = socket;
    context.onStep?.('tcp');
    if (identities.identities.length === 0) throw noIdentity(alias, identities);
    return await login(alias, address, socket, identities, attempt, context);
  } catch (error) {
    attempt.socket?.destroy();
    throw error;
  } finally {
    attempt.end();
  }
}

/** One deadline for TCP, key exchange and login; knows how far it came. */
class Attempt {
  stage = 'connecting';
  socket: Socket | undefined;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #outer: AbortSignal;
  readonly #onOuterAbort = (): void => this.#controller.abort(this.#outer.reason);

  constructor(alias: Alias, address: string, outer: AbortSignal) {
    this.#outer = outer;
    if (outer.aborted) this.#onOuterAbort();
    else outer.addEventListener('abort', this.#onOuterAbort, { once: true });
    const seconds = alias.connectTimeout;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Failure('connect-timeout', { address, seconds, stage: this.stage }));
    }, seconds * 1000);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }
}

function noIdentity(alias: Alias, { unusable }: IdentitySet): Failure {
  const [first] = unusable;
  if (first !== undefined) return first;
  const tried =
    alias.identityFiles !== undefined
      ? 'the agent holds none'
      : 'none in ~/.ssh under a default name, none in the agent';
  return new Failure('no-identity', { user: alias.user, tried });
}

function login(
  alias: Alias,
  address: string,
  socket: Socket,
  identities: IdentitySet,
  attempt: Attempt,
  context: DialContext,
): Promise<Connection> {
  const knownHosts = readKnownHosts(alias, context);
  const verifier = createHostVerifier(alias, knownHosts, context);
  const algorithms = chooseAlgorithms(alias, hostKeyAlgorithms(alias, knownHosts));
  const client = new ssh2.Client();
  const keys = new KeyOffer(alias.user, identities.identities);

  // The server's algorithm lists, for the one error that needs them.
  let sniffed = Buffer.alloc(0);
  const sniff = (chunk: Buffer): void => {
    sniffed = Buffer.concat([sniffed, chunk]);
    if (sniffed.length > KEXINIT_SNIFF_MAX) socket.off('data', sniff);
  };
  socket.on('data', sniff);
  let heard = performance.now();
  socket.on('data', () => {
    heard = performance.now();
  });
  socket.pause();

  return new Promise((resolve, reject) => {
    let lost: Failure | undefined;
    let markClosed: (failure: Failure) => void = () => {};
    const closed = new Promise<Failure>((done) => {
      markClosed = done;
    });
    const abort = (): void => {
      client.destroy();
      reject(attempt.signal.reason);
    };
    attempt.signal.addEventListener('abort', abort, { once: true });

    const fail = (error: Error): void => {
      lost ??= explainSshError(error, { address, alias, algorithms, verifier, keys, identities, sniffed });
      reject(lost);
    };
    client.on('error', fail);
    client.on('close', () => {
      fail(new Error('the other side closed it'));
      markClosed(lost as Failure);
    });
    client.on('handshake', () => {
      socket.off('data', sniff);
      // Only now has the host proven that the key is its own.
      verifier.recordNewKey();
      attempt.stage = 'logging in';
      context.onStep?.('kex');
    });
    client.on('ready', () => {
      attempt.signal.removeEventListener('abort', abort);
      context.onStep?.('login');
      resolve(
        connectionOf(
          client,
          address,
          () => heard,
          () => lost,
          closed,
        ),
      );
    });
    attempt.stage = 'exchanging keys';
    client.connect({
      sock: socket,
      username: alias.user,
      algorithms: algorithms as unknown as ssh2.Algorithms,
      hostVerifier: verifier.verify,
      authHandler: ((methodsLeft: string[] | null) => keys.next(methodsLeft)) as ssh2.AuthHandlerMiddleware,
      // One deadline for all of it is kept above; ssh2's would count from now.
      readyTimeout: 0,
      keepaliveInterval: 0,
    });
  });
}

/** Offers one key after the other; remembers what was offered and what the server wanted instead. */
class KeyOffer {
  readonly tried: string[] = [];
  wants: readonly string[] = [];
  readonly #user: string;
  readonly #left: Identity[];

  constructor(user: string, identities: readonly Identity[]) {
    this.#user = user;
    this.#left = [...identities];
  }

  next(methodsLeft: string[] | null): object | false {
    if (methodsLeft !== null) {
      this.wants = methodsLeft;
      if (!methodsLeft.includes('publickey')) return false;
    }
    const identity = this.#left.shift();
    if (identity === undefined) return false;
    this.tried.push(identity.label);
    return identity.kind === 'file'
      ? { type: 'publickey', username: this.#user, key: identity.key }
      : { type: 'agent', username: this.#user, agent: identity.agent };
  }
}

export type { KeyOffer };

function connectionOf(
  client: ssh2.Client,
  address: string,
  lastHeard: () => number,
  lost: () => Failure | undefined,
  closed: Promise<Failure>,
): Connection {
  return {
    closed,
    lastHeard,
    exec: (command) => execOnClient(client, command, address, lost),
    forward: (host, port) => forwardOnClient(client, host, port, address, lost),
    alive: (withinMs) => probe(client, withinMs),
    close: () => {
      client.end();
    },
  };
}

/**
 * Asks for any answer: cancelling a forwarding that never existed (RFC 4254 section 7.1) is refused by every server
 * at once and changes nothing.
 */
function probe(client: ssh2.Client, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), withinMs);
    try {
      client.unforwardIn('127.0.0.1', 0, (error) => {
        clearTimeout(timer);
        resolve(error?.message !== 'No response from server');
      });
    } catch {
      clearTimeout(timer);
      resolve(false);
    }
  });
}
