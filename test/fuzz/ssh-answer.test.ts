/** What `ssh -G` prints: values hold what a person wrote into ~/.ssh/config. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { parseAnswer } from '../../src/transport/openssh-query.ts';
import { caseCount } from '../helpers/cases.ts';

const keyword = fc.constantFrom(
  'host',
  'hostname',
  'IdentityFile',
  'identityfile',
  '__proto__',
  'constructor',
);
const value = fc.oneof(
  fc.constantFrom('', ' ', 'yes', '~/.ssh/id', '/a b/c', 'a\rb', 'a\u2028b', '"x"', '%h', 'none'),
  fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', '')),
);

it('is read line by line, every value as it stands', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(keyword, value), { maxLength: 8 }), (lines) => {
      const answer = parseAnswer(lines.map(([name, text]) => `${name} ${text}\n`).join(''));
      const names = new Set(lines.map(([name]) => name.toLowerCase()));
      assert.deepEqual([...answer.keys()], [...names]);
      for (const name of names) {
        const expected = lines.filter(([each]) => each.toLowerCase() === name).map(([, text]) => text);
        assert.deepEqual(answer.get(name), expected);
      }
    }),
    { numRuns: caseCount(500), examples: [[[['identityfile', '/a\u2028b']]], [[['identityfile', '/a\rb']]]] },
  );
});

it('is read whatever it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
      for (const values of parseAnswer(text).values())
        assert.ok(values.every((each) => !each.includes('\n')));
    }),
    { numRuns: caseCount(500) },
  );
});

it('takes no longer for a keyword that is repeated', () => {
  const text = 'a b\n'.repeat(200_000);
  const start = performance.now();
  assert.equal(parseAnswer(text).get('a')?.length, 200_000);
  // Milliseconds; with a copy for each line it was minutes.
  assert.ok(performance.now() - start < 10_000);
});
