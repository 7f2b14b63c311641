/**
 * Makes untrusted text safe for a terminal.
 *
 * What a remote host, a message or a file name says may hold escape sequences that move the cursor, set the title
 * or answer on the keyboard, and characters that reorder or hide what stands beside them (Unicode TR 36, "bidi
 * override" and "invisible characters"). They are shown, not obeyed.
 */

/**
 * Controls (C0, DEL, C1), formats (bidi controls, invisible characters, tags), line and paragraph separators, lone
 * surrogates. The two joiners stay: scripts and emoji need them, and alone they do nothing.
 */
const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** One well-formed UTF-8 sequence beyond ASCII (RFC 3629 section 4), each byte as one latin-1 character. */
const UTF8_SEQUENCE =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}/y;

/**
 * Makes every unsafe character visible: `\x1b` below U+0100, `\u{202e}` above, `\xff` for a byte that is not UTF-8.
 * Line feeds and tabs count as unsafe: whoever shows several lines splits them first.
 */
export function escapeForTerminal(text: string | Uint8Array): string {
  if (typeof text === 'string') return escapeCharacters(text);
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('latin1');
  let out = '';
  let run = 0;
  for (let at = 0; at < bytes.length; ) {
    if (bytes.charCodeAt(at) < 0x80) {
      at++;
      continue;
    }
    UTF8_SEQUENCE.lastIndex = at;
    const length = UTF8_SEQUENCE.exec(bytes)?.[0].length;
    if (length !== undefined) {
      at += length;
      continue;
    }
    out += decodeRun(bytes.slice(run, at)) + hexByte(bytes.charCodeAt(at));
    at++;
    run = at;
  }
  return out + decodeRun(bytes.slice(run));
}

/** The same for text of several lines: their ends, LF or CRLF, and tabs stay. */
export function escapeLines(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .split(/(\r?\n|\t)/)
    .map((part, index) => (index % 2 === 1 ? part : escapeForTerminal(Buffer.from(part, 'latin1'))))
    .join('');
}

function decodeRun(latin1: string): string {
  return escapeCharacters(Buffer.from(latin1, 'latin1').toString('utf8'));
}

function escapeCharacters(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const point = character.codePointAt(0) ?? 0;
    return point < 0x100 ? hexByte(point) : `\\u{${point.toString(16)}}`;
  });
}

function hexByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
