/**
 * One forward as a person writes it: `LPORT:HOST:PORT`, or a socket's path in place of the port. ssh(1) -L without its
 * bind address: nothing but loopback is ever listened on. Pure.
 */
import { parseHostname, parsePort } from '../alias/host-value.ts';
import { Failure } from '../errors.ts';

/**
 * Who begins. In SMTP (RFC 5321 section 3.1) and NNTP (RFC 3977 section 5.1) the server does, so that a client that
 * talks first is something else, such as a web page's POST to localhost; `any` tells nothing.
 */
export type Dialogue = 'smtp' | 'nntp' | 'any';

export interface ForwardSpec {
  readonly listen:
    | { readonly kind: 'port'; readonly port: number }
    | { readonly kind: 'socket'; readonly path: string };
  readonly host: string;
  readonly port: number;
  readonly dialogue: Dialogue;
}

/** Where those services listen. On 465 and 563 TLS begins, and with it the client. */
const DIALOGUES: Readonly<Record<number, Dialogue>> = {
  25: 'smtp',
  587: 'smtp',
  2525: 'smtp',
  119: 'nntp',
  433: 'nntp',
};

const SHAPE =
  /^(?<listen>\d+|\/.*):(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]]+)):(?<port>\d+)(?:\/(?<dialogue>[^/:]*))?$/;
/** As ssh(1) takes it: with an address to listen on. */
const BOUND = /^(?<bind>[^/:]*|\[[^\]]*\]):\d+:[^:]+:\d+/;

/** @throws {Failure} `usage` */
export function parseForwardSpec(text: string): ForwardSpec {
  const found = SHAPE.exec(text)?.groups;
  if (found === undefined) {
    const bind = BOUND.exec(text)?.groups?.['bind'];
    if (bind !== undefined)
      throw misused(text, `only loopback is listened on; leave out ${bind || 'the first :'}`);
    if (/^\.|^[^:]*\//.test(text) && !text.startsWith('/'))
      throw misused(text, 'the path of a socket begins with /');
    throw misused(text, 'it is LPORT:HOST:PORT or /path/socket:HOST:PORT');
  }
  const host = parseHostname((found['v6'] ?? found['name']) as string, '');
  if (!('value' in host)) throw misused(text, 'HOST is a host name or an address, an IPv6 one in brackets');
  const port = readPort(text, 'PORT', found['port'] as string);
  const listen = found['listen'] as string;
  return {
    listen: listen.startsWith('/')
      ? { kind: 'socket', path: listen }
      : { kind: 'port', port: readPort(text, 'LPORT', listen) },
    host: host.value,
    port,
    dialogue: readDialogue(text, found['dialogue']) ?? DIALOGUES[port] ?? 'any',
  };
}

function readPort(text: string, name: string, digits: string): number {
  const parsed = parsePort(digits, '');
  if ('value' in parsed) return parsed.value;
  throw misused(text, `${name} is a number from 1 to 65535`);
}

function readDialogue(text: string, word: string | undefined): Dialogue | undefined {
  if (word === undefined || word === 'smtp' || word === 'nntp' || word === 'any') return word;
  throw misused(text, 'behind the last / stands smtp, nntp or any');
}

function misused(text: string, why: string): Failure {
  return new Failure('usage', { problem: `${text} is no forward: ${why}` });
}
