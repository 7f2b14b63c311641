/** Reads a server's algorithm lists from its first bytes, so that "nothing in common" can name both sides. Pure. */
import { WireReader } from './ssh-wire.ts';

const MSG_KEXINIT = 20;
const COOKIE_LENGTH = 16;
/** How long the packet and its padding are. */
const PACKET_HEAD_LENGTH = 5;

/** The name-lists of SSH_MSG_KEXINIT (RFC 4253 section 7.1), each in the server's order. */
export interface KexInit {
  readonly kex: readonly string[];
  readonly hostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
}

/**
 * Parses what a server sends before encryption starts: lines up to the one that begins with `SSH-` (RFC 4253
 * section 4.2), then one unencrypted packet (section 6). Undefined if the bytes are something else or too few.
 */
export function parseKexInit(bytes: Buffer): KexInit | undefined {
  const version = /^SSH-[^\n]*\n/m.exec(bytes.toString('latin1'));
  if (version === null) return undefined;
  const payload = version.index + version[0].length + PACKET_HEAD_LENGTH;
  if (bytes[payload] !== MSG_KEXINIT) return undefined;
  const fields = new WireReader(bytes, payload + 1 + COOKIE_LENGTH);
  const list = (): string[] => fields.text().split(',').filter(Boolean);
  try {
    // Ciphers and MACs stand there for either direction, ours to the server first.
    const [kex, hostKey, cipher, , mac] = [list(), list(), list(), list(), list()];
    return { kex, hostKey, cipher, mac };
  } catch {
    return undefined;
  }
}
