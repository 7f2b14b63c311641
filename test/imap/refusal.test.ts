import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Failure } from '../../src/errors.ts';
import { answerCommand, imapText, refusalText, refuse } from '../../src/imap/refusal.ts';
import { COMMAND_LINE_MAX, REFUSAL_TEXT_MAX } from '../../src/limits.ts';
import { caseCount } from '../helpers/cases.ts';

const TEXT = 'pine-rsh: work: no route; check the network';

async function converse(input: string[], text = TEXT, sent = 0): Promise<string> {
  const client = new PassThrough();
  const server = new PassThrough();
  const done = refuse(text, { input: client, output: server }, sent);
  for (const chunk of input) client.write(chunk);
  client.end();
  await done;
  server.end();
  return Buffer.concat(await server.toArray()).toString('latin1');
}

describe('the refusal', () => {
  it('greets with the alert, answers CAPABILITY, refuses the first other command, and ends', async () => {
    assert.equal(
      await converse(['00000000 CAPABILITY\r\n', '00000001 SELECT INBOX\r\n', '00000002 LOGOUT\r\n']),
      `* PREAUTH [ALERT] ${TEXT}\r\n* CAPABILITY IMAP4rev1\r\n00000000 OK done\r\n` +
        `00000001 NO ${TEXT}\r\n* BYE ${TEXT}\r\n`,
    );
  });

  it('takes its leave at LOGOUT', async () => {
    assert.match(await converse(['a LOGOUT\r\n']), /\* BYE .*\r\na OK done\r\n$/);
  });

  it('goes on after an early byte', async () => {
    assert.match(await converse([], TEXT, 1), /^ PREAUTH \[ALERT\] pine-rsh/);
  });

  it('ends with EOF, without waiting for a command', async () => {
    assert.equal(await converse([]), `* PREAUTH [ALERT] ${TEXT}\r\n`);
  });

  it('answers a client that speaks no IMAP with BYE', async () => {
    assert.match(await converse(['* hello\r\n']), /\r\n\* BYE /);
  });

  it('listens to no endless line', async () => {
    const client = new PassThrough();
    client.write('a '.padEnd(COMMAND_LINE_MAX + 1, 'x'));
    await refuse(TEXT, { input: client, output: new PassThrough() }, 0);
    assert.ok(client.destroyed);
  });

  it('takes lines cut anywhere', async () => {
    const whole = await converse(['a CAPABILITY\r\nb NOOP\r\n']);
    assert.equal(await converse([...'a CAPABILITY\r\nb NOOP\r\n']), whole);
  });

  it('never gives more or other lines than designed, whatever the reason and the client', async () => {
    const hostile = fc.string({ unit: 'binary', maxLength: 10_000 });
    await fc.assert(
      fc.asyncProperty(hostile, hostile, async (reason, command) => {
        const text = refusalText('work', new Failure('internal', { what: reason }));
        assert.ok(text.length <= REFUSAL_TEXT_MAX);
        const output = await converse([`${command}\r\n`], text);
        const lines = output.split('\r\n');
        assert.equal(lines.pop(), '');
        assert.match(lines[0] ?? '', /^\* PREAUTH \[ALERT\] pine-rsh: work: /);
        for (const line of lines) {
          assert.match(line, /^[\x20-\x7e]*$/);
          assert.ok(line.length < 1_000 + REFUSAL_TEXT_MAX);
        }
        for (const line of lines.slice(1)) {
          assert.match(
            line,
            /^(?:\* (?:BYE pine-rsh: |CAPABILITY IMAP4rev1$)|\S+ (?:OK done$|NO pine-rsh: ))/,
          );
        }
      }),
      { numRuns: caseCount(300) },
    );
  });

  it('escapes what is not printable ASCII', () => {
    assert.equal(imapText('a\r\n* BYE\u001b[2Jü\0b', 100), 'a?* BYE?[2J?b');
    assert.equal(imapText('x'.repeat(50), 10), 'xxxxxxx...');
  });

  it('answers tagged lines only to tags', () => {
    assert.equal(answerCommand('a b', TEXT).answer.startsWith('a NO '), true);
    assert.equal(answerCommand('(a) b', TEXT).answer.startsWith('* BYE '), true);
  });
});
