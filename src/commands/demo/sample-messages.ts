/**
 * The mail in the demo's INBOX. Plain ASCII, a few hours old, one with an attachment so that a client has parts to
 * show. Addresses are of the domains that RFC 2606 keeps for examples.
 */

/** One message as it lies in the mailbox, with CRLF line ends. */
export interface SampleMessage {
  readonly from: string;
  readonly subject: string;
  readonly date: Date;
  readonly raw: Buffer;
}

interface Draft {
  readonly from: string;
  readonly subject: string;
  readonly hoursAgo: number;
  readonly lines: readonly string[];
  readonly attachment?: { readonly name: string; readonly lines: readonly string[] };
}

const DRAFTS: readonly Draft[] = [
  {
    from: 'Ada Lovelace <ada@example.org>',
    subject: 'Notes on the engine',
    hoursAgo: 50,
    lines: [
      'Dear Pat,',
      '',
      'the notes are attached. Mind table G: a loop within a loop, and it',
      'ends only if nobody drops a card.',
      '',
      'Ada',
    ],
    attachment: {
      name: 'table-g.txt',
      lines: ['step  operation  result', '1     V2 x V3    V4', '2     V4 - V1    V4', '3     repeat'],
    },
  },
  {
    from: 'Grace Hopper <grace@example.org>',
    subject: 'Found it: it was a moth',
    hoursAgo: 27,
    lines: ['In relay 70, panel F. I taped it into the log book.', '', 'Grace'],
  },
  {
    from: 'Postmaster <postmaster@example.net>',
    subject: 'rshd was switched off last night',
    hoursAgo: 9,
    lines: [
      'As announced, the mail host no longer answers rsh.',
      '',
      'Mail clients that log in over SSH notice nothing: they get the same',
      'imapd, and it still greets with PREAUTH.',
    ],
  },
  {
    from: 'Radia Perlman <radia@example.com>',
    subject: 'A tree that spans the office',
    hoursAgo: 5,
    lines: [
      'I think that I shall never see',
      'a cable plan as small as three.',
      '',
      'Can you bring the long ladder on Thursday?',
    ],
  },
  {
    from: 'Mark Crispin <mrc@example.edu>',
    subject: 'Re: do I still need a password for INBOX?',
    hoursAgo: 1,
    lines: [
      '> do I still need a password for INBOX?',
      '',
      'No. The login happened before the first byte of IMAP, so the server',
      'starts in the authenticated state. That is what PREAUTH is for.',
    ],
  },
];

const HOUR_MS = 3_600_000;

/** The sample messages, oldest first, dated back from `now`. */
export function writeSampleMessages(now: Date): SampleMessage[] {
  return DRAFTS.map((draft, index) => {
    const date = new Date(now.getTime() - draft.hoursAgo * HOUR_MS);
    const header = [
      `From: ${draft.from}`,
      'To: Pat <pat@example.org>',
      `Subject: ${draft.subject}`,
      `Date: ${date.toUTCString().replace('GMT', '+0000')}`,
      `Message-ID: <${date.getTime()}.${index}@example.org>`,
      'MIME-Version: 1.0',
    ];
    const lines = [...header, ...writeBody(draft), ''];
    return { from: draft.from, subject: draft.subject, date, raw: Buffer.from(lines.join('\r\n')) };
  });
}

function writeBody({ lines, attachment }: Draft): string[] {
  const text = ['Content-Type: text/plain; charset=us-ascii', '', ...lines];
  if (attachment === undefined) return text;
  const boundary = 'part-of-the-demo';
  return [
    `Content-Type: multipart/mixed; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    ...text,
    `--${boundary}`,
    `Content-Type: text/plain; charset=us-ascii; name="${attachment.name}"`,
    `Content-Disposition: attachment; filename="${attachment.name}"`,
    '',
    ...attachment.lines,
    `--${boundary}--`,
  ];
}
