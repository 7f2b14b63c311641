/**
 * Twenty messages such as a mailbox has: plain ones, one in Latin-1 with an encoded subject line, one with an
 * attachment. Subjects are `message 01` to `message 20`, one each day.
 */

export interface MailMessage {
  readonly subject: string;
  /** Seconds since 1970; also the order in the mailbox. */
  readonly date: number;
  /** The whole message, lines ended by LF as Maildir stores them. */
  readonly bytes: Buffer;
}

export const MESSAGE_COUNT = 20;

const FIRST_DATE = Date.UTC(2026, 9, 1, 8, 30) / 1000;
const DAY_S = 86_400;
const WITH_ACCENTS = 7;
const WITH_ATTACHMENT = 12;

const PEOPLE = ['Ann Lee <ann@example.org>', 'Bo Rask <bo@example.net>', 'Chidi Obi <chidi@example.com>'];

/** `message 01` ... */
export function subjectOf(number: number): string {
  return `message ${String(number).padStart(2, '0')}`;
}

/** The body line by which a test knows that it reads the right message. */
export function bodyLineOf(number: number): string {
  return `This is the body of message number ${number}.`;
}

export function makeMessages(count = MESSAGE_COUNT): MailMessage[] {
  return Array.from({ length: count }, (_, index) => makeMessage(index + 1));
}

function makeMessage(number: number): MailMessage {
  const date = FIRST_DATE + (number - 1) * DAY_S;
  const header = [
    `Return-Path: <list-owner@example.org>`,
    `Received: from mx.example.org (mx.example.org [192.0.2.${number}])`,
    `\tby mail.example.org with ESMTPS id ${number}; ${formatDate(date)}`,
    `From: ${number === WITH_ACCENTS ? '=?ISO-8859-1?Q?J=FCrgen_M=FCller?= <jm@example.de>' : PEOPLE[number % PEOPLE.length]}`,
    'To: Pat <pat@example.org>',
    `Subject: ${subjectOf(number)}`,
    `Date: ${formatDate(date)}`,
    `Message-ID: <${number}.${date}@example.org>`,
    'MIME-Version: 1.0',
  ];
  const text = `Hello Pat,\n\n${bodyLineOf(number)}\n\n${'A line of ordinary length that fills the message a little.\n'.repeat(number)}`;
  return { subject: subjectOf(number), date, bytes: Buffer.from(addBody(number, header, text), 'latin1') };
}

function addBody(number: number, header: readonly string[], text: string): string {
  if (number === WITH_ATTACHMENT) return addAttachment(header, text);
  const charset = number === WITH_ACCENTS ? 'ISO-8859-1' : 'US-ASCII';
  const accents = number === WITH_ACCENTS ? 'Gr\u00fc\u00dfe aus M\u00fcnchen\n' : '';
  return `${[
    ...header,
    `Content-Type: text/plain; charset=${charset}`,
    `Content-Transfer-Encoding: ${number === WITH_ACCENTS ? '8bit' : '7bit'}`,
  ].join('\n')}\n\n${text}${accents}`;
}

function addAttachment(header: readonly string[], text: string): string {
  const boundary = '=_part_12';
  const data = Buffer.from(Array.from({ length: 3000 }, (_, index) => (index * 7) % 256));
  const lines = data.toString('base64').replace(/.{76}/g, '$&\n');
  return `${[...header, `Content-Type: multipart/mixed; boundary="${boundary}"`].join('\n')}

--${boundary}
Content-Type: text/plain; charset=US-ASCII

${text}
--${boundary}
Content-Type: application/octet-stream; name="figures.bin"
Content-Disposition: attachment; filename="figures.bin"
Content-Transfer-Encoding: base64

${lines}
--${boundary}--
`;
}

/** RFC 5322 section 3.3. */
function formatDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString().replace('GMT', '+0000');
}
