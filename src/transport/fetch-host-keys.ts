/**
 * The keys of a host, for people who are to decide whether they trust them. One key exchange for each type of key,
 * without a login: a server shows the others only to those who ask for them.
 *
 * A key counts when its host has proven that it is its own. ssh2 asks its verifier before it has checked the signature
 * (RFC 4253 section 8), so a key is noted there and given out after the handshake; then the line is cut, before any
 * word about a user.
 */
import type { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import type { Alias } from '../alias/alias.ts';
import { errnoOf, Failure } from '../errors.ts';
import { KEXINIT_SNIFF_MAX } from '../limits.ts';
import { formatAddress } from './address.ts';
import { type Algorithms, chooseAlgorithms } from './algorithms.ts';
import { Attempt } from './attempt.ts';
import { type DialContext, dialGateways, openRoute } from './dial.ts';
import { CLOSED, explainSshError } from './explain.ts';
import { hostKeyAlgorithms } from './host-key.ts';
import type { Route } from './route.ts';
import { joinIdentification, supportedAlgorithms } from './ssh2-internals.ts';
import type { Connection } from './transport.ts';

/**
 * Fetches the host's keys of all types that the alias allows, in wire format, best type first.
 *
 * @param alias with what ssh_config adds to it
 * @param gateways the way to it (`resolveGateways`); they are logged in to
 * @throws {Failure} every code of the group "reaching the host", `algorithms-unknown`; for gateways whatever `dial` throws
 */
export async function fetchHostKeys(
  alias: Alias,
  gateways: readonly Alias[],
  context: DialContext,
): Promise<Buffer[]> {
  const through = await dialGateways(gateways, context);
  const keys: Buffer[] = [];
  let missed: Failure | undefined;
  try {
    for (const names of groupAlgorithms(alias)) {
      try {
        keys.push(await fetchHostKey(alias, names, through, context));
      } catch (error) {
        if (!isNoSuchKey(error) && !isCut(error)) throw error;
        if (missed === undefined || isCut(error)) missed = error;
      }
    }
  } finally {
    through?.close();
  }
  if (keys.length === 0 && missed !== undefined) throw missed;
  return keys;
}

/** The algorithms that the alias allows, those of one type of key together. */
function groupAlgorithms(alias: Alias): string[][] {
  const groups = new Map<string, string[]>();
  const { serverHostKey } = chooseAlgorithms(alias, hostKeyAlgorithms(alias, []), supportedAlgorithms());
  for (const name of serverHostKey) {
    const type = /ecdsa|rsa/.exec(name)?.[0] ?? name;
    groups.set(type, [...(groups.get(type) ?? []), name]);
  }
  return [...groups.values()];
}

function isNoSuchKey(error: unknown): error is Failure {
  return (
    error instanceof Failure && error.code === 'no-common-algorithm' && error.facts['kind'] === 'host key'
  );
}

/** dropbear 2022.83 offers RSA without having such a key, and falls over when somebody asks for it. */
function isCut(error: unknown): error is Failure {
  if (!(error instanceof Failure) || error.code !== 'connection-lost') return false;
  return /^it was closed/.test(String(error.facts['why'])) || errnoOf(error.cause) === 'ECONNRESET';
}

async function fetchHostKey(
  alias: Alias,
  names: readonly string[],
  through: Connection | undefined,
  context: DialContext,
): Promise<Buffer> {
  const attempt = new Attempt(
    formatAddress(alias.hostname, alias.port),
    alias.connectTimeout,
    context.signal,
  );
  try {
    const route = await openRoute(alias, '', through, context, attempt);
    attempt.stage = 'exchanging keys';
    try {
      return await exchangeKeys(route, alias, names, { ...context, signal: attempt.signal });
    } finally {
      // The gateway's connection is for the next type, too.
      if (through === undefined) route.close();
      else route.stream.destroy();
    }
  } finally {
    attempt.end();
  }
}

/** One key exchange. */
function exchangeKeys(
  route: Route,
  alias: Alias,
  names: readonly string[],
  { signal, onStep }: Pick<DialContext, 'signal' | 'onStep'>,
): Promise<Buffer> {
  const { stream } = route;
  // The names are what the alias allows already.
  const wanted = { ...alias, hostKeyAlgorithms: undefined };
  const algorithms = chooseAlgorithms(wanted, names, supportedAlgorithms());
  const client = new ssh2.Client();
  const sniffed = sniff(stream);
  return new Promise<Buffer>((resolve, reject) => {
    let shown: Buffer | undefined;
    const fail = (error: Error): void =>
      reject(explain(error, { alias, algorithms, route, sniffed: sniffed() }));
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    client.on('error', fail);
    client.on('close', () => fail(new Error(CLOSED)));
    client.on('handshake', () => {
      if (shown === undefined) reject(new TypeError('a handshake without a host key'));
      else resolve(shown);
      onStep?.('software', parseSoftware(sniffed()));
      // At once: ssh2 goes on to the login when this returns.
      stream.destroy();
    });
    client.connect({
      sock: stream,
      username: alias.user,
      algorithms: algorithms as unknown as ssh2.Algorithms,
      hostVerifier: (blob: Buffer) => {
        // ssh2 may reuse the memory.
        shown = Buffer.from(blob);
        return true;
      },
      authHandler: (() => false) as ssh2.AuthHandlerMiddleware,
      readyTimeout: 0,
      keepaliveInterval: 0,
    });
    joinIdentification(client);
  });
}

/** The server's first bytes: its algorithm lists, for the one error that needs them. */
function sniff(stream: Duplex): () => Buffer {
  let sniffed = Buffer.alloc(0);
  const take = (chunk: Buffer): void => {
    sniffed = Buffer.concat([sniffed, chunk]);
    if (sniffed.length > KEXINIT_SNIFF_MAX) stream.off('data', take);
  };
  stream.on('data', take);
  stream.pause();
  return () => sniffed;
}

/** What the server calls itself (RFC 4253 section 4.2): `OpenSSH_9.2p1`, `dropbear_2022.83`; '' if it does not. */
function parseSoftware(sniffed: Buffer): string {
  return /^SSH-[\d.]+-([!-~]*)/m.exec(sniffed.toString('latin1'))?.[1] ?? '';
}

function explain(
  error: Error,
  facts: {
    readonly alias: Alias;
    readonly algorithms: Algorithms;
    readonly route: Route;
    readonly sniffed: Buffer;
  },
): Failure {
  const { alias, algorithms, route, sniffed } = facts;
  return explainSshError(error, {
    address: formatAddress(alias.hostname, alias.port),
    alias,
    algorithms,
    sniffed,
    verifier: { failure: undefined },
    keys: { tried: [], wants: [] },
    identities: { unusable: [] },
    routeFailure: () => route.failure(),
  });
}
