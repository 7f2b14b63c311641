/** Reads a server's algorithm lists from its first bytes, so that "nothing in common" can name both sides. Pure. */

const MSG_KEXINIT = 20;
const COOKIE_LENGTH = 16;

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
  const version = bytes.indexOf('SSH-');
  if (version === -1) return undefined;
  const packet = bytes.indexOf('\n', version) + 1;
  if (packet === 0 || bytes.length < packet + 6) return undefined;
  const payload = packet + 5;
  if (bytes[payload] !== MSG_KEXINIT) return undefined;
  let at = payload + 1 + COOKIE_LENGTH;
  const lists: string[][] = [];
  // kex, host key, cipher and MAC to the server, cipher and MAC from it: the six that matter stand first.
  for (let i = 0; i < 6; i += 1) {
    if (bytes.length < at + 4) return undefined;
    const length = bytes.readUInt32BE(at);
    const end = at + 4 + length;
    if (bytes.length < end) return undefined;
    lists.push(
      bytes
        .toString('latin1', at + 4, end)
        .split(',')
        .filter(Boolean),
    );
    at = end;
  }
  const [kex = [], hostKey = [], cipher = [], , mac = []] = lists;
  return { kex, hostKey, cipher, mac };
}
