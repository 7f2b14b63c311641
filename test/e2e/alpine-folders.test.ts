/** Folders of more than one kind and host in the real Alpine: incoming ones, collections, several at once, new mail. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type AlpineDesk, DESK_NEEDS, openAlpineDesk, SHARED, WAYS } from '../helpers/alpine-desk.ts';
import type { MailHost } from '../helpers/mail-host.ts';
import { type MailMessage, MESSAGE_COUNT, makeMessages, subjectOf } from '../helpers/mail-messages.ts';
import { findProcesses } from '../helpers/processes.ts';
import { waitUntil } from '../helpers/wait.ts';

/** A message that comes later than all of makeMessages(). */
function makeLateMessage(subject: string): MailMessage {
  const date = Date.UTC(2026, 10, 20) / 1000;
  const text = `From: Zoe <zoe@example.org>\nTo: Pat <pat@example.org>\nSubject: ${subject}\n\nHello.\n`;
  return { subject, date, bytes: Buffer.from(text) };
}

/** Alpine's sessions, and what they are on the server: imapds and SSH connections. */
function countSessions({ home, places }: AlpineDesk): {
  sessions: number;
  imapds: number;
  connections: number;
} {
  const host = places[0]?.host;
  const isSession = ({ command }: { command: string }) => / -l \S+ exec \/etc\/rimapd$/.test(command);
  const isImapd = ({ command }: { command: string }) => command.includes('dovecot.conf');
  return {
    sessions: findProcesses(home.dir).filter(isSession).length,
    imapds: host?.remoteProcesses().filter(isImapd).length ?? 0,
    connections: host?.sessionPids().length ?? 0,
  };
}

function countLogins(host: MailHost): number {
  return host.log().split('Accepted publickey').length - 1;
}

describe('Folders in Alpine', { skip: DESK_NEEDS, concurrency: 4 }, () => {
  // The longest of them, so it begins first.
  test('Mail that comes while Alpine sits in the index is shown at its next check', async (t) => {
    const desks = await Promise.all(
      WAYS.map(async (way) => {
        const desk = await openAlpineDesk(t, way);
        // The shortest that Alpine takes.
        return { desk, alpine: await desk.open({ pinerc: ['mail-check-interval=15'] }) };
      }),
    );
    await Promise.all(
      desks.map(async ({ desk, alpine }) => {
        await alpine.waitFor(/Folder: INBOX .*of 20/);
        for (const { host } of desk.places) host.deliver('INBOX', makeLateMessage('while you waited'));
        await alpine.waitFor(/New mail! From Zoe .*while you waited/, { timeout: 60_000 });
        await alpine.waitFor(/Folder: INBOX .*of 21/);
        await desk.leave(alpine);
      }),
    );
  });

  test('Incoming folders of two hosts show how much mail is unseen, and new mail when it comes', async (t) => {
    const desk = await openAlpineDesk(t, SHARED, ['work', 'away']);
    const [work, away] = desk.places;
    assert.ok(work && away);
    const alpine = await desk.open({
      pinerc: [
        `incoming-folders=Lists ${work.mailbox}Work, Away ${away.mailbox}INBOX`,
        'feature-list=enable-incoming-folders, enable-incoming-folders-checking',
      ],
    });
    alpine.type('l');
    await alpine.waitFor(/COLLECTION LIST.*Incoming-Folders/s);
    alpine.keys('Enter');
    await alpine.waitFor(/Incoming Message Folders.*INBOX \(20\) +Lists +Away \(20\)/s);
    work.host.deliver('Work', makeLateMessage('to the list'));
    away.host.deliver('INBOX', makeLateMessage('from home'));
    alpine.keys('C-l');
    await alpine.waitFor(/INBOX \(20\) +Lists \(1\) +Away \(21\)/);
    await desk.leave(alpine);
    assert.deepEqual([countLogins(work.host), countLogins(away.host)], [1, 1]);
  });

  test('Collections on two hosts are listed, and a folder of each opens', async (t) => {
    const desk = await openAlpineDesk(t, SHARED, ['work', 'away']);
    const [work, away] = desk.places;
    assert.ok(work && away);
    work.host.makeMailbox('Papers', makeMessages(3));
    away.host.makeMailbox('Garden', makeMessages(2));
    const alpine = await desk.open({
      collections: [`Mail ${work.mailbox}[]`, `Home ${away.mailbox}[]`],
    });
    alpine.type('l');
    await alpine.waitFor(/COLLECTION LIST.*Mail\n.*Home\n/s);
    alpine.keys('Enter');
    await alpine.waitFor(/FOLDER LIST.*INBOX.*Papers.*Work/s);
    alpine.type('<');
    await alpine.waitFor('COLLECTION LIST');
    alpine.type('n');
    alpine.keys('Enter');
    const list = await alpine.waitFor(/FOLDER LIST.*INBOX.*Garden.*Work/s);
    assert.doesNotMatch(list, /Papers/);
    // From INBOX to what is below INBOX, to Garden.
    alpine.type('nn');
    alpine.keys('Enter');
    await alpine.waitFor(/MESSAGE INDEX +<Home> Garden .*of 2\b/);
    await alpine.goTo('Papers');
    await alpine.waitFor(/MESSAGE INDEX +<Mail> Papers .*of 3\b/);
    await desk.leave(alpine);
  });

  test('A message saved to another host is the same there, byte for byte, and gone here', async (t) => {
    const saved = [7, 12];
    const desk = await openAlpineDesk(t, SHARED, ['work', 'away']);
    const [work, away] = desk.places;
    assert.ok(work && away);
    const alpine = await desk.open({
      collections: [`Mail ${work.mailbox}[]`, `Home ${away.mailbox}[]`],
    });
    for (const number of saved) {
      await alpine.jumpTo(number);
      alpine.type('s');
      await alpine.waitFor(`SAVE Msg #${number} to folder in <Mail>`);
      alpine.keys('C-n');
      await alpine.answer('to folder in <Home> [saved-messages] :', 'Work');
      await alpine.waitFor(new RegExp(`^ *D .*${subjectOf(number)}`, 'm'));
    }
    alpine.type('x');
    await alpine.waitFor('Expunge 2 messages from INBOX?');
    alpine.type('y');
    await alpine.waitFor(/Folder: INBOX .*of 18/);
    await desk.leave(alpine);
    const messages = makeMessages();
    assert.deepEqual(
      away.host.listMessages('Work').map(({ file }) => readFileSync(file, 'latin1')),
      saved.map((number) => messages[number - 1]?.bytes.toString('latin1')),
    );
    const left = work.host.listMessages('INBOX').map(({ subject }) => subject);
    assert.equal(left.length, MESSAGE_COUNT - saved.length);
    for (const number of saved) assert.ok(!left.includes(subjectOf(number)));
  });

  for (const way of WAYS) {
    test(`max-remote-connections bounds the folders that stay open beside INBOX (${way.name})`, async (t) => {
      const desk = await openAlpineDesk(t, way);
      const [work] = desk.places;
      assert.ok(work);
      const folders = ['A', 'B', 'C'];
      for (const folder of folders) work.host.makeMailbox(folder, makeMessages(1));
      const alpine = await desk.open({ pinerc: ['max-remote-connections=2'] });
      const expectSessions = async (expected: number): Promise<void> => {
        const isExpected = (): boolean => {
          const { sessions, imapds, connections } = countSessions(desk);
          // A shared connection keeps more imapds, for the next folders.
          if (way.share === 'yes') return sessions === expected && connections === 1 && imapds > expected;
          return sessions === expected && connections === expected && imapds === expected;
        };
        await waitUntil(`${expected} sessions`, isExpected, {
          detail: () => `${JSON.stringify(countSessions(desk))}\n${alpine.text()}`,
        });
      };
      await expectSessions(1);
      for (const [index, folder] of [...folders, 'A'].entries()) {
        await alpine.goTo(folder);
        await alpine.waitFor(new RegExp(`Folder: ${folder} .*of 1\\b`));
        await expectSessions(Math.min(index + 2, 3));
      }
      await alpine.goTo('INBOX');
      await alpine.waitFor(/Folder: INBOX .*of 20/);
      await expectSessions(3);
      await desk.leave(alpine);
      if (way.share === 'yes') assert.equal(countLogins(work.host), 1);
    });
  }
});
