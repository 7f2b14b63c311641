/**
 * The greeting guard: finds the IMAP greeting (RFC 3501 section 7.1.4, RFC 9051 section 7.1.4) behind whatever login
 * scripts print before it. Pure: bytes in, verdict out. What comes after the greeting is never looked at.
 *
 * Alpine opens TCP port 143 and asks for the password when the first line is not a greeting with CRLF, or is longer
 * than 1,022 characters; other clients give up (c-client imap4r1.c imap_reply, tcp_unix.c tcp_getline).
 */
import { GREETING_LINE_MAX, GREETING_NOISE_MAX } from '../limits.ts';

const LF = 0x0a;
const CR = 0x0d;

export type GreetingVerdict =
  /** More bytes are needed. */
  | { readonly kind: 'more' }
  /** `greeting` ends in CRLF and is shorter than 1,000 bytes; `rest` follows it unchanged; `noise` came before. */
  | { readonly kind: 'preauth'; readonly greeting: Buffer; readonly rest: Buffer; readonly noise: Buffer }
  /** A server that wants a login, or refuses. `line` is untrusted and without its line end. */
  | { readonly kind: 'ok' | 'bye'; readonly line: string; readonly noise: Buffer }
  /** More than the allowed noise and no greeting. */
  | { readonly kind: 'noise'; readonly noise: Buffer };

/** Collects a remote's first bytes until they tell what it is. */
export class GreetingGuard {
  #bytes: Buffer = Buffer.alloc(0);
  /** Start of the first line that is not known to be noise. */
  #lineStart = 0;
  /** Everything before this holds no LF that was not looked at. */
  #scanned = 0;

  /** All bytes so far, for a report about a remote that ended without a greeting. */
  get seen(): Buffer {
    return this.#bytes;
  }

  push(chunk: Buffer): GreetingVerdict {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const end = this.#bytes.indexOf(LF, this.#scanned);
      if (end === -1) {
        this.#scanned = this.#bytes.length;
        break;
      }
      const verdict = this.#judgeLine(end);
      if (verdict !== undefined) return verdict;
      this.#lineStart = end + 1;
      this.#scanned = end + 1;
      if (this.#lineStart > GREETING_NOISE_MAX) break;
    }
    // A line still open counts as noise once it cannot be a greeting's beginning any more.
    if (this.#bytes.length > GREETING_NOISE_MAX && !this.#openLineMayBeGreeting()) {
      return { kind: 'noise', noise: this.#bytes.subarray(0, GREETING_NOISE_MAX) };
    }
    return { kind: 'more' };
  }

  #openLineMayBeGreeting(): boolean {
    const open = this.#bytes.subarray(this.#lineStart);
    return this.#lineStart <= GREETING_NOISE_MAX && open.length <= GREETING_NOISE_MAX && isStatusStart(open);
  }

  #judgeLine(end: number): GreetingVerdict | undefined {
    const stop = this.#bytes[end - 1] === CR ? end - 1 : end;
    const line = this.#bytes.subarray(this.#lineStart, stop);
    const noise = this.#bytes.subarray(0, this.#lineStart);
    const kind = classifyLine(line);
    if (kind === undefined) return undefined;
    if (kind === 'preauth') {
      return { kind, greeting: mendGreeting(line), rest: this.#bytes.subarray(end + 1), noise };
    }
    return { kind, line: line.toString('latin1'), noise };
  }
}

/** Could these first bytes of a line become `* PREAUTH`, `* OK` or `* BYE`? */
function isStatusStart(open: Buffer): boolean {
  const text = open.subarray(0, '* PREAUTH '.length).toString('latin1').toUpperCase();
  return ['* PREAUTH ', '* OK ', '* BYE '].some((start) => start.startsWith(text) || text.startsWith(start));
}

/**
 * A motd may begin with `* `, even with `* hello`: only the three greetings of RFC 3501 count. OK and BYE must be in
 * capitals, as all servers send them, because `* ok` at the start of a line is prose more often than IMAP.
 */
function classifyLine(line: Buffer): 'preauth' | 'ok' | 'bye' | undefined {
  const start = line.subarray(0, '* PREAUTH '.length).toString('latin1');
  if (/^\* PREAUTH(?: |$)/i.test(start)) return 'preauth';
  if (/^\* OK(?: |$)/.test(start)) return 'ok';
  if (/^\* BYE(?: |$)/.test(start)) return 'bye';
  return undefined;
}

/**
 * Gives a greeting CRLF and a length that every client can read. A long `[CAPABILITY ...]` code is dropped (clients
 * ask again without one: RFC 3501 section 7.1); what is still too long is cut, for it is only prose. A bare CR or NUL
 * inside would end the line early in some clients.
 */
export function mendGreeting(line: Buffer): Buffer {
  let text = line.toString('latin1').replace(/[\r\0]/g, ' ');
  const max = GREETING_LINE_MAX - '\r\n'.length - 1;
  if (text.length > max) {
    const code = /^(\* PREAUTH )\[[^\]]*\] ?/i.exec(text);
    if (code !== null) text = `${code[1]}${text.slice(code[0].length)}`;
    text = text.slice(0, max);
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
