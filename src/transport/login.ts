/**
 * SSH over a route: key exchange, host key check, login. Nobody else logs in by ssh2 (fetch-host-keys.ts ends before), and
 * never without a host key check.
 */
import ssh2 from 'ssh2';
import type { Alias } from '../alias/alias.ts';
import type { Failure } from '../errors.ts';
import { CLOSE_GRACE_MS, KEXINIT_SNIFF_MAX } from '../limits.ts';
import { type Algorithms, chooseAlgorithms } from './algorithms.ts';
import type { Attempt } from './attempt.ts';
import { execOnClient, forwardOnClient, type OpenClient } from './exec.ts';
import { CLOSED, explainAbort, explainSshError } from './explain.ts';
import { createHostVerifier, type HostVerifier, hostKeyAlgorithms, readKnownHosts } from './host-key.ts';
import { type Identities, type IdentityContext, loadIdentities } from './identity.ts';
import { joinWrites } from './joined-writes.ts';
import { KeyOffer } from './key-offer.ts';
import { LineRoom } from './line-room.ts';
import { PromptedMethods } from './prompted-methods.ts';
import type { Route } from './route.ts';
import {
  enforceWindow,
  joinIdentification,
  RoundTrips,
  reusePackets,
  supportedAlgorithms,
} from './ssh2-internals.ts';
import type { Connection } from './transport.ts';

/** A login as far as it can be made without the network: keys, known_hosts files and algorithms. */
export class LoginPlan {
  readonly #alias: Alias;
  readonly #context: IdentityContext;
  readonly #identities: Identities;
  readonly #verifier: HostVerifier;
  readonly #algorithms: Algorithms;

  /**
   * Reads the files, and asks the agent if it comes first.
   *
   * @throws {Failure} of `loadIdentities` and `readKnownHosts`; `algorithms-unknown`
   */
  constructor(alias: Alias, context: IdentityContext) {
    this.#alias = alias;
    this.#context = context;
    this.#identities = loadIdentities(alias, context);
    const knownHosts = readKnownHosts(alias, context);
    this.#verifier = createHostVerifier(alias, knownHosts, context);
    this.#algorithms = chooseAlgorithms(
      alias,
      hostKeyAlgorithms(alias, knownHosts),
      supportedAlgorithms(),
      (key, names) =>
        context.log.record('algorithms-skipped', { alias: alias.name, key, names: names.join(',') }),
    );
  }

  /**
   * Logs in. The route belongs to the connection from here on; if the login fails, the caller closes it.
   *
   * @throws {Failure} every code of the groups "host keys" and "logging in", and what ends a connection
   */
  login(over: LoginRoute): Promise<Connection> {
    const [alias, identities] = [this.#alias, this.#identities];
    const [verifier, algorithms] = [this.#verifier, this.#algorithms];
    return logIn({ ...this.#context, ...over, alias, identities, verifier, algorithms });
  }
}

/** What a login goes over. */
interface LoginRoute {
  /** As messages call the host. */
  readonly address: string;
  readonly route: Route;
  readonly attempt: Attempt;
  readonly onStep: ((step: string, detail?: string) => void) | undefined;
}

interface LoginOptions extends IdentityContext, LoginRoute {
  readonly alias: Alias;
  readonly identities: Identities;
  readonly verifier: HostVerifier;
  readonly algorithms: Algorithms;
}

function logIn(options: LoginOptions): Promise<Connection> {
  const { alias, address, route, identities, verifier, algorithms, attempt, log, prompt, onStep } = options;
  const { stream } = route;
  const client = new ssh2.Client();
  const keys = new KeyOffer(identities.listOffers(attempt), {
    user: alias.user,
    client,
    attempt,
    onUnusable: (error) => identities.skip(error),
    onOffer: (label) => onStep?.('key', label),
  });
  let roundTrips: RoundTrips | undefined;
  const prompted =
    prompt &&
    new PromptedMethods(alias.user, address, (request) => attempt.waitForPerson(() => prompt(request)));

  // The server's algorithm lists, for the one error that needs them.
  let sniffed = Buffer.alloc(0);
  const sniff = (chunk: Buffer): void => {
    sniffed = Buffer.concat([sniffed, chunk]);
    if (sniffed.length > KEXINIT_SNIFF_MAX) stream.off('data', sniff);
  };
  let heard = performance.now();
  stream.on('data', sniff);
  stream.on('data', () => {
    heard = performance.now();
  });
  stream.pause();
  const room = new LineRoom(stream);

  return new Promise((resolve, reject) => {
    let lost: Failure | undefined;
    let markClosed: (failure: Failure) => void = () => {};
    const closed = new Promise<Failure>((done) => {
      markClosed = done;
    });
    const fail = (error: Error): void => {
      if (lost === undefined && isKeyTrouble(error)) {
        log.record('key-skipped', { why: error.message });
        return;
      }
      lost ??= explainSshError(error, {
        ...{ address, alias, algorithms, verifier, keys, identities, sniffed },
        stage: attempt.stage,
        asked: prompted?.asked === true,
        routeFailure: () => route.failure(),
      });
      reject(lost);
      closeSoon();
    };
    const closeSoon = (): void => {
      // A peer that is gone would never answer the end of a connection.
      // Not unref'd: where a program carried the connection nothing else may be left that would tell of its end.
      setTimeout(() => route.close(), CLOSE_GRACE_MS);
    };
    const abort = (): void => {
      reject(explainAbort(attempt, address, sniffed));
      route.close();
    };
    if (attempt.signal.aborted) return abort();
    attempt.signal.addEventListener('abort', abort, { once: true });
    client.on('error', fail);
    client.on('close', () => {
      fail(new Error(CLOSED));
      route.close();
      markClosed(lost as Failure);
    });
    client.on('handshake', (agreed) => {
      if (attempt.stage !== 'exchanging keys') return;
      stream.off('data', sniff);
      // Only now has the host proven that the key is its own.
      verifier.recordNewKey();
      attempt.stage = 'logging in';
      onStep?.('kex', listAgreed(agreed));
    });
    client.on('ready', () => {
      attempt.signal.removeEventListener('abort', abort);
      attempt.stage = 'open';
      onStep?.('login');
      const open: OpenClient = { client, address, lost: () => lost, room, roundTrips };
      const { last } = keys;
      if (last !== undefined) identities.learn(last.offer, last.wasFirst);
      resolve({
        closed,
        lastHeard: () => heard,
        exec: (command) => execOnClient(open, command),
        prepare: () => roundTrips?.prepare(),
        forward: (host, port) => forwardOnClient(open, host, port),
        alive: (withinMs) => probe(client, withinMs),
        close: () => {
          client.end();
          closeSoon();
        },
      });
    });
    // Closed while the keys were read: ssh2 would wait for what has been.
    if (stream.destroyed) return fail(new Error(CLOSED));
    attempt.stage = 'exchanging keys';
    joinWrites(stream);
    client.connect({
      sock: stream,
      username: alias.user,
      algorithms: algorithms as unknown as ssh2.Algorithms,
      hostVerifier: verifier.verify,
      // Keys first. What needs a person comes after them, and only where there is one.
      authHandler: ((
        methodsLeft: string[] | null,
        partial: boolean | null,
        go: (method: unknown) => void,
      ) => {
        const next = async (): Promise<unknown> =>
          (await keys.next(methodsLeft, partial, roundTrips)) || (await prompted?.next(methodsLeft)) || false;
        next().then(go).catch(fail);
      }) as unknown as ssh2.AuthHandlerMiddleware,
      // One deadline for all of it is kept outside; ssh2's would count from now.
      readyTimeout: 0,
      keepaliveInterval: 0,
    });
    joinIdentification(client);
    enforceWindow(client, () => {
      fail(new Error('it sent more than it was allowed to'));
      route.close();
    });
    if (options.settings.shortcuts) {
      roundTrips = RoundTrips.save(client);
      reusePackets(client);
    }
  });
}

/** Key exchange, host key, cipher and, unless the cipher has its own, MAC towards us. */
function listAgreed({ kex, serverHostKey, sc }: ssh2.NegotiatedAlgorithms): string {
  return [kex, serverHostKey, sc.cipher, sc.mac].filter((name) => name !== '').join(', ');
}

/** A key that cannot sign: ssh2 tells, and goes on with the next one. */
function isKeyTrouble(error: Error): boolean {
  return (
    (error as { level?: string }).level === 'agent' || /^Error signing data with key/.test(error.message)
  );
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
