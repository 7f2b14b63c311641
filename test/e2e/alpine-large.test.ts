/** Large mail in the real Alpine: a folder of 20,000 messages, an attachment of 25 MB, there and back. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Alpine } from '../helpers/alpine.ts';
import { DESK_NEEDS, openAlpineDesk, SHARED, WAYS } from '../helpers/alpine-desk.ts';
import type { MailMessage } from '../helpers/mail-messages.ts';
import { waitUntil } from '../helpers/wait.ts';

const MANY = 20_000;
const HOUR_S = 3_600;
const START = Date.UTC(2024, 0, 1) / 1000;

/** Prime to MANY: subjects in the order of arrival are not in their own. */
const STEP = 7_919;

const noteOf = (index: number): string => `note ${String((index * STEP) % MANY).padStart(5, '0')}`;

function makeNotes(): MailMessage[] {
  return Array.from({ length: MANY }, (_, index) => {
    const [subject, date] = [noteOf(index), START + index * HOUR_S];
    const when = new Date(date * 1000).toUTCString().replace('GMT', '+0000');
    const head = `From: Ann <ann@example.org>\nTo: Pat <pat@example.org>\nSubject: ${subject}\nDate: ${when}\n`;
    return { subject, date, bytes: Buffer.from(`${head}Message-ID: <${index}@example.org>\n\nHello.\n`) };
  });
}

/** Selects by subject, deletes what is selected, expunges. */
async function expungeNotes(alpine: Alpine, subject: string, left: string): Promise<void> {
  // tmux takes a semicolon at the end of a word for its own.
  alpine.keys('\\;');
  await alpine.waitFor('SELECT criteria');
  alpine.type('t');
  await alpine.waitFor('Select based on');
  alpine.type('s');
  await alpine.answer('String in message SUBJECT to match :', subject);
  await alpine.waitFor('Select matched 10 messages');
  alpine.type('a');
  await alpine.waitFor('APPLY command');
  alpine.type('d');
  await alpine.waitFor(new RegExp(`^X D.*${subject}`, 'm'));
  alpine.type('x');
  await alpine.waitFor('Expunge 10 messages from Notes?');
  alpine.type('y');
  await alpine.waitFor(new RegExp(`Folder: Notes .*of ${left}`));
}

const SIZE = 25 * 1024 * 1024;

function makeFilm(data: Buffer): MailMessage {
  const [subject, boundary] = ['the film', '=_film'];
  const lines = data.toString('base64').replace(/.{76}/g, '$&\n');
  const text = `From: Ann <ann@example.org>
To: Pat <pat@example.org>
Subject: ${subject}
Date: Fri, 20 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="${boundary}"

--${boundary}
Content-Type: text/plain

Here it is.

--${boundary}
Content-Type: application/octet-stream; name="film.bin"
Content-Disposition: attachment; filename="film.bin"
Content-Transfer-Encoding: base64

${lines}
--${boundary}--
`;
  return { subject, date: START, bytes: Buffer.from(text) };
}

const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

describe('Large mail in Alpine', { skip: DESK_NEEDS, concurrency: 2 }, () => {
  test('A folder of 20,000 messages opens, is jumped through, sorted, searched and expunged', async (t) => {
    const desk = await openAlpineDesk(t, SHARED);
    const [work] = desk.places;
    assert.ok(work);
    work.host.makeMailbox('Notes', makeNotes());
    for (const [turn, way] of WAYS.entries()) {
      desk.go(way);
      const [found, now, left] =
        turn === 0 ? ['note 1234', '20,000', '19,990'] : ['note 0567', '19,990', '19,980'];
      const alpine = await desk.open();
      await alpine.goTo('Notes');
      await alpine.waitFor(new RegExp(`Folder: Notes .*of ${now}`));
      await alpine.jumpTo(1);
      await alpine.waitFor(noteOf(0));
      await alpine.jumpTo(Number(now.replace(',', '')));
      await alpine.waitFor(noteOf(MANY - 1));
      alpine.type('$');
      await alpine.waitFor('Choose type of sort');
      alpine.type('s');
      await alpine.waitFor(/note 12080\n.*note 12081\n/);
      await expungeNotes(alpine, found, left);
      await desk.leave(alpine);
    }
  });

  test('An attachment of 25 MB is saved to a file, and its message to another host, unchanged', async (t) => {
    const desk = await openAlpineDesk(t, SHARED, ['work', 'away']);
    const [work, away] = desk.places;
    assert.ok(work && away);
    const data = randomBytes(SIZE);
    const film = makeFilm(data);
    work.host.makeMailbox('Films', [film]);
    const file = join(desk.home.dir, 'film.bin');
    for (const way of WAYS) {
      desk.go(way);
      const alpine = await desk.open({
        collections: [`Mail ${work.mailbox}[]`, `Home ${away.mailbox}[]`],
      });
      await alpine.goTo('Films');
      await alpine.waitFor(/<Mail> Films .*of 1\b.*the film/s);
      alpine.keys('Enter');
      await alpine.waitFor(/MESSAGE TEXT.*Here it is\./s);
      alpine.type('v');
      await alpine.waitFor('ATTACHMENT INDEX');
      alpine.type('n');
      alpine.type('s');
      await alpine.waitFor('Copy attachment to file in home directory: film.bin');
      alpine.keys('Enter');
      await waitUntil('the attachment', () => existsSync(file) && statSync(file).size === SIZE, {
        timeout: 60_000,
        detail: alpine.text,
      });
      assert.equal(digest(readFileSync(file)), digest(data));
      rmSync(file);

      alpine.type('<');
      await alpine.waitFor('MESSAGE TEXT');
      alpine.type('s');
      await alpine.waitFor('in <Mail>');
      alpine.keys('C-n');
      const folder = `Films-${way.share}`;
      away.host.makeMailbox(folder);
      await alpine.answer('in <Home> [saved-messages] :', folder);
      await alpine.waitFor(/MESSAGE TEXT .* DEL/, { timeout: 60_000 });
      const saved: string[] = away.host.listMessages(folder).map(({ file }) => digest(readFileSync(file)));
      assert.deepEqual(saved, [digest(film.bytes)]);
      // For the next way.
      alpine.type('u');
      await alpine.waitFor(/MESSAGE TEXT (?!.* DEL)/);
      await desk.leave(alpine);
    }
  });
});
