/** TCP to a host, with the reasons of DNS and the network told apart. */
import { connect, type Socket } from 'node:net';
import { errnoOf, Failure } from '../errors.ts';

/** How an address is written in messages: `mail.example.org:22`, `[::1]:22`. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Connects. Nagle's algorithm is off from the first byte: with it a login over ssh2 waits 200 ms for a delayed
 * acknowledgement (ssh2 never sets TCP_NODELAY).
 *
 * @param family 0: whatever the resolver gives, in RFC 8305 fashion
 * @throws {Failure} `dns-failed`, `tcp-refused`, `tcp-failed`, `out-of-resources`
 */
export function openTcp(host: string, port: number, family: 0 | 4 | 6, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, family, noDelay: true });
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(explainTcpError(error, host, port));
    });
  });
}

function explainTcpError(error: Error, host: string, port: number): Error {
  // With several addresses Node gives an AggregateError; the last attempt speaks for all.
  const one = error instanceof AggregateError ? ((error.errors.at(-1) as Error | undefined) ?? error) : error;
  const code = errnoOf(one) ?? one.message;
  const address = formatAddress(host, port);
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
