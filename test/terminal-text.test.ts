/** Properties of what reaches a terminal: nothing is obeyed, nothing is lost, nothing is wider than asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import './helpers/cases.ts';
import { clipText, displayWidth, padText, wrapText } from '../src/terminal-columns.ts';
import { escapeForTerminal, escapeLines } from '../src/terminal-text.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 200 });
const UNSAFE_LEFT = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

test('no text keeps a control, bidi or invisible character', () => {
  fc.assert(fc.property(anyText, (text) => !UNSAFE_LEFT.test(escapeForTerminal(text))));
});

test('no bytes keep a control, bidi or invisible character, nor a replacement character', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const shown = escapeForTerminal(bytes);
      return !UNSAFE_LEFT.test(shown) && (bytes.includes(0xef) || !shown.includes('\ufffd'));
    }),
  );
});

test('of several lines their ends and tabs stay, and nothing else that is obeyed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const lines = escapeLines(Buffer.from(bytes)).split(/\r?\n|\t/);
      return lines.every((line) => !UNSAFE_LEFT.test(line));
    }),
  );
  assert.equal(escapeLines(Buffer.from('a\tb\r\nc\rd\n')), 'a\tb\r\nc\\x0dd\n');
});

test('well-formed UTF-8 is shown like the text it holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      fc.pre(text.isWellFormed());
      return escapeForTerminal(Buffer.from(text)) === escapeForTerminal(text);
    }),
  );
});

test('plain text is left alone', () => {
  assert.equal(escapeForTerminal('Grüße, 世界 👩‍🚀 \\x1b'), 'Grüße, 世界 👩‍🚀 \\x1b');
});

test('escapes are spelled the way they are documented', () => {
  assert.equal(escapeForTerminal('a\x1b[2Jb\x7f\x85\n\t'), 'a\\x1b[2Jb\\x7f\\x85\\x0a\\x09');
  assert.equal(escapeForTerminal('user\u202egpj.exe\u2066'), 'user\\u{202e}gpj.exe\\u{2066}');
  assert.equal(escapeForTerminal('x\ud800y'), 'x\\u{d800}y');
  assert.equal(escapeForTerminal('\u{e0041}'), '\\u{e0041}');
});

test('each byte that is not UTF-8 is shown as itself', () => {
  assert.equal(escapeForTerminal(Buffer.from('a\xffb\xc3', 'latin1')), 'a\\xffb\\xc3');
  // Overlong, a surrogate in UTF-8 (CESU) and a value above U+10FFFF.
  assert.equal(escapeForTerminal(Buffer.from('c0af', 'hex')), '\\xc0\\xaf');
  assert.equal(escapeForTerminal(Buffer.from('eda080', 'hex')), '\\xed\\xa0\\x80');
  assert.equal(escapeForTerminal(Buffer.from('f4908080', 'hex')), '\\xf4\\x90\\x80\\x80');
  assert.equal(escapeForTerminal(Buffer.from('c29b', 'hex')), '\\x9b');
});

test('wrapped lines are never wider than asked for and keep every word', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 2, max: 100 }), (raw, width) => {
      const text = escapeForTerminal(raw);
      const lines = wrapText(text, width);
      const letters = (value: string): string => value.replaceAll(' ', '');
      return lines.every((line) => displayWidth(line) <= width) && letters(lines.join('')) === letters(text);
    }),
  );
});

test('clipped and padded text has exactly the width of its column', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 60 }), (raw, width) => {
      const text = escapeForTerminal(raw);
      return displayWidth(padText(clipText(text, width), width)) === width;
    }),
  );
});

test('wide and combining characters count as a terminal counts them', () => {
  assert.equal(displayWidth('世界'), 4);
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(displayWidth('😀'), 2);
  assert.equal(clipText('世界世界', 4), '世~');
  assert.equal(clipText('abc', 0), '');
});

test('text breaks at blanks, lists after commas, paths after slashes, other long words where the line ends', () => {
  assert.deepEqual(wrapText('one two three', 7), ['one two', 'three']);
  assert.deepEqual(wrapText('/a/very/long/path x', 6), ['/a/', 'very/', 'long/', 'path x']);
  assert.deepEqual(wrapText('/a/b,/c/d', 7), ['/a/b,', '/c/d']);
  assert.deepEqual(wrapText('abcdefgh', 3), ['abc', 'def', 'gh']);
  assert.deepEqual(wrapText('', 10), ['']);
  // A character that is wider than a line stands alone.
  assert.deepEqual(wrapText('世界', 1), ['世', '界']);
});
