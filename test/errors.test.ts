import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Failure, type FailureCode, failureReasons, toFailure } from '../src/errors.ts';

const REASONS = failureReasons();
const CODES = Object.keys(REASONS) as FailureCode[];

/** A row of docs/failures.md as the table in the code would write it. */
function documentedRow(code: FailureCode): string {
  const { text, hint } = REASONS[code];
  const spell = (template: string): string => template.replace(/\{(\w+)\}/g, '*$1*').replaceAll('|', '\\|');
  return `| \`${code}\` | ${spell(text)} | ${spell(hint)} |`;
}

describe('the table of failures', () => {
  for (const code of CODES) {
    it(`says what happened and what to do: ${code}`, () => {
      const { text, hint, sysexit } = REASONS[code];
      for (const sentence of [text, hint]) {
        assert.ok(sentence.length > 0);
        assert.match(sentence, /^[\x20-\x7e]+$/);
        assert.doesNotMatch(sentence, /\.$/, 'no full stop');
        assert.doesNotMatch(sentence, /^[A-Z][a-z]/, 'no capital initial');
      }
      assert.ok([64, 69, 70, 75, 77, 78].includes(sysexit));
    });
  }

  it('is what docs/failures.md shows', () => {
    const rows = readFileSync(new URL('../docs/failures.md', import.meta.url), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    assert.deepEqual(rows.toSorted(), CODES.map(documentedRow).toSorted());
  });
});

describe('a failure', () => {
  it('fills in its facts', () => {
    const failure = new Failure('tcp-refused', { address: 'mail:22' });
    assert.equal(failure.message, 'mail:22 refused the connection');
    assert.equal(failure.hint, 'check that sshd runs there and that the port (PORT) is right');
  });

  it('does not take facts for placeholders', () => {
    assert.equal(new Failure('internal', { what: '{what} {x}' }).message, 'internal error: {what} {x}');
  });

  it('is made of anything that is thrown', () => {
    const emfile = Object.assign(new Error('too many'), { code: 'EMFILE' });
    assert.equal(toFailure(emfile).code, 'out-of-resources');
    const eagain = Object.assign(new Error('fork'), { code: 'EAGAIN' });
    assert.equal(toFailure(eagain).message, 'this machine is out of memory or processes (EAGAIN)');
    assert.equal(toFailure(new TypeError('x is not a function')).code, 'internal');
    assert.equal(toFailure('text').message, 'internal error: text');
    const known = new Failure('usage', { problem: 'x' });
    assert.equal(toFailure(known), known);
  });
});
