/** The figures in README are those of the last whole run of `npm run bench`, whatever somebody edits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawPicture, readPicture } from '../../bench/picture.ts';
import { formatBlock, readBlock } from '../../bench/readme.ts';
import { readResults } from '../../bench/results.ts';

test('README says what bench/results.json holds', () => {
  assert.equal(readBlock(), formatBlock(readResults()), 'run: npm run bench');
});

test('The picture shows what bench/results.json holds', () => {
  assert.equal(readPicture(), drawPicture(readResults().measures), 'run: npm run bench');
});
