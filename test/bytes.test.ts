/** The same bytes as Buffer makes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { joinBytes, latin1Bytes, utf8Bytes } from '../src/bytes.ts';

describe('bytes', () => {
  it('of a text are its UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.deepEqual(Buffer.from(utf8Bytes(text)), Buffer.from(text, 'utf8'));
      }),
    );
  });

  it('of latin1 are what was read as latin1', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.deepEqual(latin1Bytes(Buffer.from(bytes).toString('latin1')), bytes);
      }),
    );
  });

  it('are joined in their order', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (first, second) => {
        assert.deepEqual(Buffer.from(joinBytes(first, second)), Buffer.concat([first, second]));
      }),
    );
  });
});
