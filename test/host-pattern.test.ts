import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchHostList, matchPattern, matchPatternList } from '../src/host-pattern.ts';
import { caseCount } from './helpers/cases.ts';

/** The definition, as slow as it is plain. */
function matchesByDefinition(text: string, pattern: string): boolean {
  const [head, ...rest] = pattern;
  const tail = rest.join('');
  if (head === undefined) return text === '';
  if (head === '*') {
    return Array.from({ length: text.length + 1 }, (_, skip) => text.slice(skip)).some((left) =>
      matchesByDefinition(left, tail),
    );
  }
  return text !== '' && (head === '?' || head === text[0]) && matchesByDefinition(text.slice(1), tail);
}

describe('a pattern', () => {
  const cases: readonly (readonly [text: string, pattern: string, matches: boolean])[] = [
    ['mail', 'mail', true],
    ['mail', 'mai', false],
    ['mai', 'mail', false],
    ['mail', 'm??l', true],
    ['mal', 'm??l', false],
    ['', '', true],
    ['', '*', true],
    ['', '?', false],
    ['mail.example.org', '*.example.org', true],
    ['example.org', '*.example.org', false],
    ['a.b.example.org', '*.example.org', true],
    ['mail.example.org', 'mail.*', true],
    ['mail.example.org', '*example*', true],
    ['mail.example.org', '***', true],
    ['aab', '*ab', true],
    ['abab', '*ab', true],
    ['abac', '*ab', false],
    ['x', '*?*', true],
    ['', '*?*', false],
    ['mail.example.org', 'mail-example-org', false],
    ['[mail]:2222', '[mail]:2222', true],
    ['[mail]:2222', '[*]:22??', true],
    ['Mail', 'mail', false],
    ['a,b', 'a?b', true],
    ['a', 'a$', false],
    ['a+', 'a+', true],
  ];
  for (const [text, pattern, matches] of cases) {
    it(`${pattern || '(nothing)'} ${matches ? 'matches' : 'does not match'} ${text || '(nothing)'}`, () => {
      assert.equal(matchPattern(text, pattern), matches);
    });
  }

  it('matches what the definition says, for all short texts and patterns', () => {
    const short = (characters: string) => fc.string({ unit: fc.constantFrom(...characters), maxLength: 8 });
    fc.assert(
      fc.property(short('ab'), short('ab*?'), (text, pattern) => {
        assert.equal(matchPattern(text, pattern), matchesByDefinition(text, pattern));
      }),
      { numRuns: caseCount(20_000) },
    );
  });

  it('with many stars takes no longer than text and pattern are long', () => {
    const start = performance.now();
    assert.equal(matchPattern('a'.repeat(2_000), `${'*a'.repeat(900)}*b`), false);
    assert.equal(matchPattern(`${'a'.repeat(2_000)}b`, `${'*a'.repeat(900)}*b`), true);
    // Backtracking at every star would not end at all.
    assert.ok(performance.now() - start < 5_000);
  });
});

describe('a pattern list', () => {
  const cases: readonly (readonly [text: string, list: string, matches: boolean])[] = [
    ['mail', 'mail', true],
    ['mail', 'news,mail', true],
    ['mail', 'news,web', false],
    ['mail', '', false],
    ['', '', false],
    ['mail', ',mail,', true],
    ['mail', '*,!mail', false],
    ['mail', '!mail,*', false],
    ['news', '!mail,*', true],
    ['news', '!mail', false],
    ['mail', '!', false],
    ['mail', '!,mail', true],
    ['mail', '!!mail,mail', true],
    ['!mail', '!!mail,*', false],
    ['mail', '!news,mail', true],
    ['mail.example.org', '*.example.org,!*.example.org', false],
    ['mail', 'mail ', false],
    ['a,b', 'a,b', false],
  ];
  for (const [text, list, matches] of cases) {
    it(`${list || '(nothing)'} ${matches ? 'matches' : 'does not match'} ${text || '(nothing)'}`, () => {
      assert.equal(matchPatternList(text, list), matches);
    });
  }

  it('compares host names in any case', () => {
    assert.equal(matchHostList('Mail.Example.Org', 'mail.EXAMPLE.org'), true);
    assert.equal(matchHostList('mail', '*,!MAIL'), false);
    assert.equal(matchPatternList('Mail', 'mail'), false);
  });

  it('is the sum of its patterns', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 4 });
    const item = fc.record({ pattern, negated: fc.boolean() });
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(text, fc.array(item, { maxLength: 4 }), (host, items) => {
        const list = items.map((each) => `${each.negated ? '!' : ''}${each.pattern}`).join(',');
        const hits = items.filter((each) => matchesByDefinition(host, each.pattern));
        const expected = hits.some((each) => !each.negated) && !hits.some((each) => each.negated);
        assert.equal(matchPatternList(host, list), expected, list);
      }),
      { numRuns: caseCount(5_000) },
    );
  });
});
