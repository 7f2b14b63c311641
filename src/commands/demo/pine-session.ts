/** Pine's part in the demo: opens the mailbox over pine-rsh and lists what is in it. */
import { Failure } from '../../errors.ts';
import { RSH_OPEN_MS } from '../limits.ts';
import { openPineProcess, type PineProcess } from '../pine-process.ts';

/** One message as the demo lists it, fields as the server sent them. */
export interface ListedMessage {
  readonly from: string;
  readonly subject: string;
  readonly date: string;
}

export interface PineSession extends PineProcess {
  /** Opens INBOX read-only and lists all messages in it. */
  list(): Promise<ListedMessage[]>;
}

/** Something did not go as a mail client needs it; `what` may quote the other side. */
export function demoFailed(what: string): Failure {
  return new Failure('demo-failed', { what });
}

/** @throws {Failure} `demo-failed` when no `* PREAUTH` comes within the time Alpine waits */
export async function openPineSession(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<PineSession> {
  const pine = await openPineProcess({ argv, env, signal, withinMs: RSH_OPEN_MS, fail: demoFailed });
  return {
    ...pine,
    async list() {
      await pine.ask('EXAMINE INBOX');
      return parseFetched(await pine.ask('FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])'));
    },
  };
}

/** Reads the header literals of FETCH responses (RFC 3501 section 7.4.2). */
function parseFetched(text: string): ListedMessage[] {
  return [...text.matchAll(/^\* \d+ FETCH .*\{(\d+)\}\r\n/gm)].map((match) => {
    const start = match.index + match[0].length;
    const header = text.slice(start, start + Number(match[1])).replace(/\r\n(?=[ \t])/g, '');
    const field = (name: string): string => new RegExp(`^${name}:[ \t]*(.*)`, 'im').exec(header)?.[1] ?? '';
    return { from: field('From'), subject: field('Subject'), date: field('Date') };
  });
}
