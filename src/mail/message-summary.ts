/** What a person needs to know a message again. */
import { toError } from '../errors.ts';
import { MAIL_HEADER_MAX } from '../limits.ts';
import type { MailEntry, MailState, QueueFolder } from './queue-folder.ts';
import { openMail, type StoredMail } from './spool.ts';

export interface MailSummary {
  readonly id: string;
  readonly alias: string;
  readonly state: MailState;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** What happened last. This and all below is untrusted, and empty where it is not known. */
  readonly note: string;
  /** Bytes; undefined for a damaged message. */
  readonly size: number | undefined;
  readonly args: readonly string[];
  readonly to: string;
  readonly subject: string;
}

/** Undefined if the message is gone. */
export function summarizeMail(folder: QueueFolder, entry: MailEntry): MailSummary | undefined {
  const { id, alias, state, time } = entry;
  const known = { id, alias, state, time };
  let mail: StoredMail | undefined;
  try {
    mail = openMail(folder, entry);
  } catch (error) {
    const note = state === 'new' ? 'not read to its end; none of it was sent' : toError(error).message;
    return { ...known, note, size: undefined, args: [], to: '', subject: '' };
  }
  if (mail === undefined) return undefined;
  try {
    const start = Buffer.alloc(Math.min(MAIL_HEADER_MAX, mail.size));
    const fields = parseHeader(start.subarray(0, mail.read(start, 0)).toString('utf8'));
    const { note, size, envelope } = mail;
    return {
      ...known,
      note,
      size,
      args: envelope.args,
      to: fields.get('to') ?? '',
      subject: fields.get('subject') ?? '',
    };
  } finally {
    mail.close();
  }
}

/** Header fields (RFC 5322 section 2.2), unfolded; the first of each name, in lower case. */
function parseHeader(text: string): ReadonlyMap<string, string> {
  const [head = ''] = text.replaceAll('\r\n', '\n').split('\n\n', 1);
  const fields = new Map<string, string>();
  for (const line of head.replace(/\n[ \t]+/g, ' ').split('\n')) {
    const [, name, value] = /^([!-9;-~]+):\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined && !fields.has(name.toLowerCase())) {
      fields.set(name.toLowerCase(), value.trim());
    }
  }
  return fields;
}
