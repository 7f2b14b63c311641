/** The built-in IMAP server's commands, word by word: what the mail programs of `imap-clients.test.ts` do not ask for. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { serveImap } from '../../src/commands/demo/imap-server.ts';
import { MailStore } from '../../src/commands/demo/mail-store.ts';

const PLAIN = [
  'Date: Sun, 1 Nov 2026 09:05:00 +0000',
  'From: "Pat \\"P\\" Doe" <pat@example.org>',
  'Sender: list@example.org (the list)',
  'To: undisclosed, <>, root',
  'Subject: plain words',
  'X-Long: one',
  ' two',
  '',
  'The body says fish.',
  '',
].join('\r\n');

const MIXED = [
  'From: someone@example.org',
  'Subject: with parts',
  'Content-Type: multipart/mixed; boundary=cut',
  '',
  'not a part',
  '--cut',
  'Content-Type: text',
  '',
  'first',
  '--cut',
  'Content-Type: message/rfc822',
  '',
  'From: inner@example.org',
  'Subject: inner',
  '',
  'inner body',
  '--cut',
  'Content-Type: message/rfc822',
  '',
  'Subject: inner parts',
  'Content-Type: multipart/alternative; boundary="in"',
  '',
  '--in',
  '',
  'deep',
  '--in--',
  '--cut',
  'Content-Type: application/octet-stream; name="a.bin"',
  'Content-Disposition: attachment; filename="a.bin"',
  'Content-Transfer-Encoding: base64',
  '',
  'AAAA',
  '--cut--',
  '',
].join('\r\n');

interface Client {
  /** Sends bytes as they are and gives what came back. */
  send(bytes: string): Promise<string>;
  /** Sends a command with the tag `a` and gives what came back. */
  ask(command: string): Promise<string>;
  /** What came since the last answer. */
  news(): string;
  readonly line: Duplex;
  readonly ended: Promise<void>;
}

function openClient(store: MailStore): Client {
  let heard = '';
  const line = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      heard += chunk.toString('latin1');
      done();
    },
  });
  const ended = serveImap(line, store);
  const send = async (bytes: string): Promise<string> => {
    heard = '';
    line.push(Buffer.from(bytes, 'latin1'));
    await nextTurn();
    return heard;
  };
  return { line, ended, news: () => heard, send, ask: (command) => send(`a ${command}\r\n`) };
}

/** Two messages in INBOX, and an empty `Sent`. */
function makeStore(...messages: readonly string[]): MailStore {
  const store = new MailStore();
  store.create('Sent');
  const inbox = store.find('INBOX');
  for (const [index, text] of messages.entries())
    inbox?.append(
      Buffer.from(text, 'latin1'),
      index === 0 ? ['\\Seen', 'work'] : [],
      new Date(Date.UTC(2026, 10, 1 + index)),
    );
  return store;
}

async function openInbox(...messages: readonly string[]): Promise<Client> {
  const client = openClient(makeStore(...messages));
  await client.ask('SELECT INBOX');
  return client;
}

test('SEARCH finds by every key', async () => {
  const { ask } = await openInbox(PLAIN, MIXED);
  for (const [keys, found] of [
    ['ALL', '1 2'],
    ['OLD', '1 2'],
    ['NEW', ''],
    ['RECENT', ''],
    ['SEEN', '1'],
    ['UNSEEN', '2'],
    ['NOT 1', '2'],
    ['OR SUBJECT plain SUBJECT parts', '1 2'],
    ['UID *', '2'],
    ['KEYWORD work', '1'],
    ['UNKEYWORD work', '2'],
    [`LARGER ${PLAIN.length}`, '2'],
    [`SMALLER ${PLAIN.length + 1}`, '1'],
    ['FROM pat', '1'],
    ['HEADER X-Long "one two"', '1'],
    ['HEADER X-None x', ''],
    ['BODY FISH', '1'],
    ['BODY plain', ''],
    ['TEXT "plain words"', '1'],
    ['BEFORE 2-Nov-2026', '1'],
    ['ON 2-Nov-2026', '2'],
    ['SINCE 2-nov-2026', '2'],
    ['SENTBEFORE 2-Nov-2026', '1'],
    ['SENTON 1-Nov-2026', '1'],
    ['SENTSINCE 2-Nov-2026', ''],
    ['CHARSET UTF-8 (SEEN TO root)', '1'],
    ['2:*', '2'],
  ] as const)
    assert.equal(
      await ask(`SEARCH ${keys}`),
      `* SEARCH${found === '' ? '' : ' '}${found}\r\na OK done\r\n`,
      keys,
    );
  assert.match(await ask('SEARCH PURPLE'), /^a BAD bad sequence set PURPLE\r\n$/);
  assert.match(await ask('SEARCH ON Monday'), /^a BAD bad date Monday\r\n$/);
});

test('FETCH gives headers, bodies and parts by their numbers', async () => {
  const { ask } = await openInbox(PLAIN, MIXED);
  const head = PLAIN.slice(0, PLAIN.indexOf('\r\n\r\n') + 4);
  const body = PLAIN.slice(head.length);
  const literal = (text: string) => `{${text.length}}\r\n${text}`;
  for (const [item, number, answer] of [
    ['RFC822', 1, `RFC822 ${literal(PLAIN)}`],
    ['RFC822.HEADER', 1, `RFC822.HEADER ${literal(head)}`],
    ['RFC822.TEXT', 1, `RFC822.TEXT ${literal(body)}`],
    ['BODY.PEEK[HEADER]', 1, `BODY[HEADER] ${literal(head)}`],
    ['BODY.PEEK[]<4.6>', 1, `BODY[]<4> ${literal(PLAIN.slice(4, 10))}`],
    [
      'BODY.PEEK[HEADER.FIELDS.NOT (DATE FROM SENDER TO SUBJECT)]',
      1,
      'BODY[HEADER.FIELDS.NOT (DATE FROM SENDER TO SUBJECT)] {21}\r\nX-Long: one\r\n two\r\n\r\n',
    ],
    ['BODY.PEEK[MIME]', 1, 'BODY[MIME] NIL'],
    ['BODY.PEEK[1]', 1, `BODY[1] ${literal(body)}`],
    ['BODY.PEEK[2]', 1, 'BODY[2] NIL'],
    ['BODY.PEEK[1]', 2, `BODY[1] ${literal('first')}`],
    ['BODY.PEEK[1.MIME]', 2, `BODY[1.MIME] ${literal('Content-Type: text\r\n\r\n')}`],
    [
      'BODY.PEEK[2.HEADER]',
      2,
      `BODY[2.HEADER] ${literal('From: inner@example.org\r\nSubject: inner\r\n\r\n')}`,
    ],
    ['BODY.PEEK[2.1]', 2, `BODY[2.1] ${literal('inner body')}`],
    ['BODY.PEEK[3.1]', 2, `BODY[3.1] ${literal('deep')}`],
    ['BODY.PEEK[3.2.TEXT]', 2, 'BODY[3.2.TEXT] NIL'],
    ['BODY.PEEK[4.TEXT]', 2, `BODY[4.TEXT] ${literal('AAAA')}`],
  ] as const)
    assert.equal(
      await ask(`FETCH ${number} ${item}`),
      `* ${number} FETCH (${answer})\r\na OK done\r\n`,
      item,
    );
  for (const [item, problem] of [
    ['BODY.PEEK[PURPLE]', 'bad section PURPLE'],
    ['PURPLE', 'unknown item PURPLE'],
  ] as const)
    assert.equal(await ask(`FETCH 1 ${item}`), `a BAD ${problem}\r\n`);
});

test('FETCH describes a message by its people and its parts', async () => {
  const { ask } = await openInbox(PLAIN, MIXED);
  assert.equal(
    await ask('FETCH 1 ENVELOPE'),
    '* 1 FETCH (ENVELOPE ("Sun, 1 Nov 2026 09:05:00 +0000" "plain words" (("Pat \\"P\\" Doe" NIL "pat" "example.org")) ' +
      '((NIL NIL "list" "example.org")) (("Pat \\"P\\" Doe" NIL "pat" "example.org")) ' +
      '((NIL NIL "undisclosed" "")(NIL NIL "root" "")) NIL NIL NIL NIL))\r\na OK done\r\n',
  );
  const inner =
    '(NIL "inner" ((NIL NIL "inner" "example.org")) ((NIL NIL "inner" "example.org")) ((NIL NIL "inner" "example.org")) NIL NIL NIL NIL NIL)';
  const structure = await ask('FETCH 2 BODY');
  assert.ok(
    structure.includes(
      'BODY (("text" "plain" NIL NIL NIL "7bit" 5 0)("message" "rfc822" NIL NIL NIL "7bit" ',
    ),
    structure,
  );
  assert.ok(structure.includes(` ${inner} ("text" "plain" NIL NIL NIL "7bit" 10 0) 3)`), structure);
  assert.ok(
    structure.includes('("application" "octet-stream" ("name" "a.bin") NIL NIL "base64" 4) "mixed")'),
    structure,
  );
  const extended = await ask('FETCH 2 BODYSTRUCTURE');
  assert.ok(extended.includes('("attachment" ("filename" "a.bin"))'), extended);
  assert.ok(extended.includes('"mixed" ("boundary" "cut") NIL NIL NIL)'), extended);
});

test('a message without an end, or of endless depth, is described all the same', async () => {
  const open = 'Content-Type: multipart/mixed; boundary=cut\r\n\r\n--cut\r\n\r\nnever closed';
  const nested = 'Content-Type: message/rfc822\r\n\r\n'.repeat(40);
  const { ask } = await openInbox('Subject: only a header', open, nested);
  assert.match(
    await ask('FETCH 1 (ENVELOPE RFC822.TEXT)'),
    /\(NIL "only a header" .*RFC822\.TEXT \{0\}\r\n/s,
  );
  assert.match(await ask('FETCH 2 BODY'), /BODY \(\("text" "plain" NIL NIL NIL "7bit" 12 0\) "mixed"\)/);
  assert.equal((await ask('FETCH 3 BODY')).match(/"message"/g)?.length, 21);
});

test('flags are set, added and taken away, and a client may ask not to be told', async () => {
  const { ask } = await openInbox(PLAIN, MIXED);
  assert.equal(await ask('STORE 1 FLAGS (\\Flagged)'), '* 1 FETCH (FLAGS (\\Flagged))\r\na OK done\r\n');
  assert.equal(
    await ask('UID STORE 1 +FLAGS \\Draft'),
    '* 1 FETCH (UID 1 FLAGS (\\Flagged \\Draft))\r\na OK done\r\n',
  );
  assert.equal(await ask('STORE 1 -FLAGS.SILENT (\\Flagged)'), 'a OK done\r\n');
  assert.equal(await ask('FETCH 1 FLAGS'), '* 1 FETCH (FLAGS (\\Draft))\r\na OK done\r\n');
  assert.equal(await ask('STORE 1 PURPLE (\\Seen)'), 'a BAD bad STORE\r\n');
  assert.match(await ask('FETCH 2 BODY[TEXT]'), /FLAGS \(\\Seen\)\)\r\na OK done\r\n$/);
});

test('UID EXPUNGE takes only the deleted messages that it names', async () => {
  const { ask } = await openInbox(PLAIN, MIXED);
  await ask('STORE 1:2 +FLAGS.SILENT (\\Deleted)');
  assert.equal(await ask('UID EXPUNGE 2'), '* 2 EXPUNGE\r\na OK done\r\n');
  assert.equal(await ask('EXPUNGE'), '* 1 EXPUNGE\r\na OK done\r\n');
  assert.equal(await ask('UID SEARCH ALL'), '* SEARCH\r\na OK done\r\n');
  assert.equal(await ask('UID FETCH 1:* FLAGS'), 'a OK done\r\n');
});

test('a mailbox that was examined cannot be changed', async () => {
  const client = openClient(makeStore(PLAIN));
  const { ask } = client;
  assert.match(await ask('EXAMINE inbox'), /a OK \[READ-ONLY\]/);
  for (const command of ['STORE 1 FLAGS (\\Deleted)', 'EXPUNGE'])
    assert.equal(await ask(command), 'a NO mailbox is read-only\r\n');
  assert.match(await ask('FETCH 1 BODY[]'), /^\* 1 FETCH \(BODY\[\] /);
  assert.equal(await ask('CLOSE'), 'a OK done\r\n');
  assert.equal(await ask('FETCH 1 FLAGS'), 'a BAD no mailbox is selected\r\n');
});

test('mailboxes are listed, subscribed to, made, renamed and deleted', async () => {
  const { ask } = openClient(makeStore(PLAIN));
  const listed = (verb: string, ...names: readonly string[]) =>
    `${names.map((name) => `* ${verb} (\\NoInferiors) "/" "${name}"\r\n`).join('')}a OK done\r\n`;
  assert.equal(await ask('LIST "" inbox'), listed('LIST', 'INBOX'));
  assert.equal(await ask('LIST "" S%'), listed('LIST', 'Sent'));
  assert.equal(await ask('LIST "" ""'), '* LIST (\\Noselect) "/" ""\r\na OK done\r\n');
  assert.equal(await ask('UNSUBSCRIBE Sent'), 'a OK done\r\n');
  assert.equal(await ask('LSUB "" *'), listed('LSUB', 'INBOX'));
  assert.equal(await ask('SUBSCRIBE Sent'), 'a OK done\r\n');
  assert.equal(await ask('LSUB "" *'), listed('LSUB', 'INBOX', 'Sent'));
  assert.equal(await ask('SUBSCRIBE none'), 'a NO no such mailbox\r\n');
  assert.equal(await ask('CREATE a/b'), 'a NO the mailbox exists\r\n');
  for (const [from, to] of [
    ['none', 'x'],
    ['Sent', 'INBOX'],
    ['INBOX', 'x'],
  ] as const)
    assert.equal(await ask(`RENAME ${from} ${to}`), 'a NO cannot be renamed so\r\n');
  assert.equal(await ask('RENAME Sent Old'), 'a OK done\r\n');
  assert.equal(await ask('DELETE Old'), 'a OK done\r\n');
  assert.equal(await ask('DELETE INBOX'), 'a NO no such mailbox, or INBOX\r\n');
  assert.equal(await ask('SELECT Old'), 'a NO no such mailbox\r\n');
});

test('STATUS says what is in a mailbox', async () => {
  const { ask } = openClient(makeStore(PLAIN, MIXED));
  assert.equal(
    await ask('STATUS INBOX (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY)'),
    '* STATUS "INBOX" (MESSAGES 2 RECENT 0 UNSEEN 1 UIDNEXT 3 UIDVALIDITY 1)\r\na OK done\r\n',
  );
  assert.equal(await ask('STATUS none (MESSAGES)'), 'a NO no such mailbox\r\n');
});

test('APPEND and COPY put messages where there is a mailbox', async () => {
  const { ask, send } = await openInbox(PLAIN);
  assert.equal(await send('a APPEND Sent {1}\r\n'), '+ go ahead\r\n');
  assert.equal(await send('x\r\n'), 'a OK [APPENDUID 2 1] done\r\n');
  assert.equal(
    await send('a APPEND INBOX (\\Seen) "01-Nov-2026 09:05:00 +0000" {1+}\r\ny\r\n'),
    '* 2 EXISTS\r\n* 0 RECENT\r\na OK [APPENDUID 1 2] done\r\n',
  );
  assert.equal(await ask('APPEND none {0+}\r\n'), 'a NO [TRYCREATE] no such mailbox\r\n');
  assert.equal(await ask('APPEND Sent x'), 'a BAD missing message\r\n');
  assert.equal(await ask('COPY 9 Sent'), 'a OK done\r\n');
  assert.equal(await ask('COPY 1 none'), 'a NO [TRYCREATE] no such mailbox\r\n');
  assert.equal(await ask('COPY 1:2 {4+}\r\nSent'), 'a OK [COPYUID 2 1,2 2,3] done\r\n');
});

test('a client in IDLE is told what others do', async () => {
  const store = makeStore(PLAIN);
  const idler = openClient(store);
  const other = openClient(store);
  await idler.ask('SELECT INBOX');
  await other.ask('SELECT INBOX');
  assert.equal(await idler.ask('IDLE'), '+ idling\r\n');
  await other.ask('STORE 1 +FLAGS (\\Deleted)');
  await other.ask('EXPUNGE');
  assert.equal(idler.news(), '+ idling\r\n* 1 FETCH (FLAGS (\\Seen work \\Deleted))\r\n* 1 EXPUNGE\r\n');
  assert.equal(await idler.send('done\r\n'), 'a OK done\r\n');
  await idler.ask('IDLE');
  assert.equal(await idler.send('a NOOP\r\n'), 'a NO expected DONE\r\n');
  assert.equal(await idler.ask('IDLE'), '+ idling\r\n');
  idler.line.push(null);
  await idler.ended;
});

test('what is no command is refused, and what is no IMAP ends the session', async () => {
  const { ask, send, ended } = openClient(new MailStore());
  assert.equal(await send('\r\n'), '');
  assert.equal(await ask('PURPLE\x01'), 'a BAD unknown command PURPLE?\r\n');
  assert.equal(await ask('UID PURPLE'), 'a BAD unknown command UID PURPLE\r\n');
  assert.equal(await send('()\r\n'), '* BAD missing argument\r\n');
  assert.equal(await send('a NOOP {999999999}\r\n'), '* BYE literal too large\r\n');
  await ended;
});

test('a client that logs out or hangs up is served no more', async () => {
  const polite = openClient(new MailStore());
  assert.equal(await polite.send('a LOGOUT\r\nb NOOP\r\n'), '* BYE see you\r\na OK done\r\n');
  await polite.ended;
  const gone = openClient(makeStore(PLAIN));
  await gone.ask('SELECT INBOX');
  await gone.ask('IDLE');
  gone.line.destroy();
  await gone.ended;
});
