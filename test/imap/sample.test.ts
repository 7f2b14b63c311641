/** Of bytes that are no text a message shows the first few. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { sampleText } from '../../src/imap/sample.ts';

test('text is shown as it is, whatever its language, with what a terminal would obey', () => {
  for (const text of ['Welcome\x1b[2J\x07\n', 'Gr\u00fc\u00df Gott\r\n', '\u65e5\u672c\u8a9e', '']) {
    const latin1 = Buffer.from(text).toString('latin1');
    assert.equal(sampleText(latin1), latin1);
  }
});

test('of anything else its beginning is shown', () => {
  assert.equal(sampleText('\0'.repeat(300)), 'no text but 00 00 00 00 00 00 00 00 ...');
  assert.equal(sampleText('\x7fELF\x02\x01'), 'no text but 7f 45 4c 46 02 01');
  assert.match(sampleText(randomBytes(5000).toString('latin1')), /^no text but (?:[0-9a-f]{2} ){8}\.\.\.$/);
});
