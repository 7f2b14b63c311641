/**
 * Turns a failure into IMAP that the mail client shows: greet, then refuse politely. Alpine takes any other end (a
 * BYE as greeting, EOF, a crash) as "no rsh here" and opens TCP port 143 with a password prompt.
 *
 *     S: * PREAUTH [ALERT] pine-rsh: work: REASON; HINT     (a full page in Alpine)
 *     C: 00000000 CAPABILITY         S: * CAPABILITY IMAP4rev1     S: 00000000 OK done
 *     C: 00000001 SELECT INBOX       S: 00000001 NO REASON         S: * BYE REASON
 *
 * The reason stands in all three because clients differ in which one they show.
 */
import type { Readable, Writable } from 'node:stream';
import type { Failure } from '../errors.ts';
import {
  ALERT_WORD_MAX,
  COMMAND_LINE_MAX,
  REFUSAL_HINT_MAX,
  REFUSAL_LINGER_MS,
  REFUSAL_TEXT_MAX,
  REFUSAL_WAIT_MS,
} from '../limits.ts';

/**
 * The failure as one line of printable ASCII that fits into every client's buffer. The name may be unknown (''). A
 * reason that is too long is cut so that the hint stays.
 */
export function refusalText(aliasName: string, failure: Failure): string {
  const prefix = aliasName === '' ? 'pine-rsh' : `pine-rsh: ${aliasName}`;
  const hint = imapText(`; ${failure.hint}`, REFUSAL_HINT_MAX);
  return imapText(`${prefix}: ${failure.message}`, REFUSAL_TEXT_MAX - hint.length) + hint;
}

/**
 * Cuts words that Alpine cannot show. Its alert page drops the first letter of a word longer than the page is wide, and
 * of one a little longer the word and all that follows, the hint included. Paths and lists are cut behind a part.
 */
export function breakLongWords(text: string): string {
  const long = new RegExp(`\\S{${ALERT_WORD_MAX + 1},}`, 'g');
  const piece = new RegExp(`.{0,${ALERT_WORD_MAX - 1}}[/,:]|.{1,${ALERT_WORD_MAX}}`, 'g');
  return text.replace(long, (word) => (word.match(piece) as string[]).join(' '));
}

/**
 * Makes any string safe as the text of an IMAP response (RFC 3501 `text`: no CR, LF, NUL, 8-bit) and of a terminal.
 * What is not printable ASCII becomes `?`, as a reason must not depend on the client's character set.
 */
export function imapText(untrusted: string, max: number): string {
  const plain = untrusted.replace(/[^\x20-\x7e]+/gu, '?');
  return plain.length <= max ? plain : `${plain.slice(0, max - 3)}...`;
}

/** The two ends of the mail client's connection to us. */
export interface RefusalStreams {
  readonly input: Readable;
  readonly output: Writable;
}

/**
 * Holds the conversation until the client has its refusal; resolves when nothing more can be said.
 *
 * @param reason what `refusalText` gave
 * @param greetingSent bytes of the greeting that went out already (the lone early `*`)
 */
export async function refuse(
  reason: string,
  { input, output }: RefusalStreams,
  greetingSent: number,
): Promise<void> {
  const write = (data: string): Promise<void> =>
    new Promise((resolve) => {
      // A client that has gone is as good as refused: the error is the stream handler's affair.
      output.write(data, 'latin1', () => resolve());
    });
  const text = breakLongWords(reason);
  const greeting = `* PREAUTH [ALERT] ${text}\r\n`;
  await write(greeting.slice(greetingSent));
  let leave: NodeJS.Timeout | undefined;
  for await (const line of readLines(input)) {
    if (leave !== undefined) continue;
    const { answer, end } = answerCommand(line, text);
    await write(answer);
    if (end === 'now') return;
    // A client that has its next command under way would see a broken pipe, and tell that instead of the reason.
    if (end === 'soon') leave = setTimeout(() => input.destroy(), REFUSAL_LINGER_MS);
  }
  clearTimeout(leave);
}

/** The answer to one client line, and whether the connection ends after it. */
export function answerCommand(line: string, text: string): { answer: string; end: 'never' | 'soon' | 'now' } {
  const match = /^([^\s(){%*"\\\]+]+) +([A-Za-z]+)/.exec(line);
  // Without a tag there is nothing to answer to: BYE alone ends it.
  if (match === null) return { answer: `* BYE ${text}\r\n`, end: 'soon' };
  const tag = imapText(match[1] as string, REFUSAL_TEXT_MAX);
  const verb = (match[2] as string).toUpperCase();
  if (verb === 'CAPABILITY') {
    return { answer: `* CAPABILITY IMAP4rev1\r\n${tag} OK done\r\n`, end: 'never' };
  }
  if (verb === 'LOGOUT') return { answer: `* BYE ${text}\r\n${tag} OK done\r\n`, end: 'now' };
  return { answer: `${tag} NO ${text}\r\n* BYE ${text}\r\n`, end: 'soon' };
}

/** The client's lines without their ends; stops at EOF, at an endless line, or when the client says nothing. */
async function* readLines(input: Readable): AsyncGenerator<string> {
  let pending = '';
  const timer = setTimeout(() => input.destroy(), REFUSAL_WAIT_MS);
  try {
    for await (const chunk of input) {
      pending += (chunk as Buffer).toString('latin1');
      for (let end = pending.indexOf('\n'); end !== -1; end = pending.indexOf('\n')) {
        yield pending.slice(0, end).replace(/\r$/, '');
        pending = pending.slice(end + 1);
      }
      if (pending.length > COMMAND_LINE_MAX) return;
    }
  } catch {
    // The client's end broke: there is nobody left to refuse.
  } finally {
    clearTimeout(timer);
  }
}
