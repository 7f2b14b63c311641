/** A small scripted IMAP conversation (RFC 3501): one command at a time, its answer as lines. */
import type { PineChild } from './run-as-pine.ts';
import { waitUntil } from './wait.ts';

export interface ImapAnswer {
  /** OK, NO or BAD. */
  readonly status: string;
  /** The tagged line's text after the status. */
  readonly text: string;
  /** Everything before it. Literals are not joined: their lines stand here as they came. */
  readonly lines: readonly string[];
}

export interface ImapClient {
  /** The first line. */
  greeting(): Promise<string>;
  /** Sends a command with a tag of its own and waits for the tagged answer. */
  ask(command: string): Promise<ImapAnswer>;
}

/** Talks IMAP over a program that was started as Pine starts it. */
export function openImapClient(child: PineChild): ImapClient {
  let read = 0;
  let count = 0;
  const unread = () => child.output().toString('latin1').slice(read);
  const readTo = async (what: string, pattern: RegExp): Promise<RegExpExecArray> => {
    const match = await waitUntil(what, () => pattern.exec(unread()) ?? undefined, {
      detail: () => `unread so far: ${JSON.stringify(unread().slice(-2000))}`,
    });
    read += match.index + match[0].length;
    return match;
  };

  return {
    greeting: async () => (await readTo('a greeting', /^(.*)\r\n/))[1] ?? '',
    ask: async (command) => {
      const tag = `a${++count}`;
      const from = read;
      child.write(`${tag} ${command}\r\n`);
      const match = await readTo(
        `the answer to ${command}`,
        new RegExp(`^${tag} (OK|NO|BAD) (.*)\\r\\n`, 'm'),
      );
      const all = child.output().toString('latin1').slice(from, read).split('\r\n');
      return { status: match[1] ?? '', text: match[2] ?? '', lines: all.slice(0, -2) };
    },
  };
}

/** The subjects of the first `count` messages of the selected mailbox, read by one FETCH. */
export async function fetchSubjects(client: ImapClient, count: number): Promise<string[]> {
  const { lines } = await client.ask(`FETCH 1:${count} (BODY.PEEK[HEADER.FIELDS (SUBJECT)])`);
  return lines.flatMap((line) => /^Subject: (.*)$/.exec(line)?.[1] ?? []);
}
