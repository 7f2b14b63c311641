/** Words between blanks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitWords } from '../src/words.ts';

test('words are what blanks separate, however many', () => {
  assert.deepEqual(splitWords('exec /etc/rimapd'), ['exec', '/etc/rimapd']);
  assert.deepEqual(splitWords('  a   b '), ['a', 'b']);
  assert.deepEqual(splitWords("a\tb 'c d'"), ['a\tb', "'c", "d'"]);
  assert.deepEqual(splitWords(' '), []);
  assert.deepEqual(splitWords(''), []);
});
