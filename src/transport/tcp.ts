/** TCP to a host, with the reasons of DNS and the network told apart. */
import { connect, isIP, type Socket } from 'node:net';
import { errnoOf, Failure } from '../errors.ts';
import { formatAddress } from './address.ts';

/**
 * Connects. Nagle's algorithm is off from the first byte: with it a login over ssh2 waits 200 ms for a delayed
 * acknowledgement (ssh2 never sets TCP_NODELAY). Errors that come later are seen by whoever asks `destroyed`.
 *
 * @param family 0: whatever the resolver gives, in RFC 8305 fashion
 * @param role what messages put before the host: `gateway `
 * @param onAttempt called when a connection is asked for, or there already
 * @throws {Failure} `dns-failed`, `family-mismatch`, `tcp-refused`, `tcp-failed`, `out-of-resources`
 * @throws the signal's reason
 */
export function openTcp(
  host: string,
  port: number,
  family: 0 | 4 | 6,
  signal: AbortSignal,
  role = '',
  onAttempt: () => void = () => {},
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    // Node looks at the family where it asks the resolver, and nowhere else.
    if (family !== 0 && ![0, family].includes(isIP(host))) {
      reject(new Failure('family-mismatch', { host: role + host, family }));
      return;
    }
    const socket = connect({ host, port, family, noDelay: true });
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    // Since Node 20.12.
    socket.once('connectionAttempt', onAttempt);
    socket.once('connect', () => {
      onAttempt();
      signal.removeEventListener('abort', abort);
      resolve(socket);
    });
    // Stays: the peer may reset the connection before anybody else listens.
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(explainTcpError(error, role + host, role + formatAddress(host, port)));
    });
  });
}

function explainTcpError(error: Error, host: string, address: string): Error {
  // With several addresses Node gives an AggregateError; the last attempt speaks for all.
  const one = error instanceof AggregateError ? (error.errors.at(-1) as Error) : error;
  const code = errnoOf(one) ?? one.message;
  const cause = { cause: error };
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new Failure('out-of-resources', { what: 'file descriptors', why: code }, cause);
  }
  if (/^(ENOTFOUND|EAI_|ENODATA|ESERVFAIL|ETIMEOUT|DNS_)/.test(code)) {
    return new Failure('dns-failed', { host, why: code }, cause);
  }
  if (code === 'ECONNREFUSED') return new Failure('tcp-refused', { address }, cause);
  return new Failure('tcp-failed', { address, why: code }, cause);
}
