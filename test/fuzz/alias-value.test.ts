/** Values of alias files: a value that does not fit is never repeated, one that fits is safe in a command line. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import {
  parseAlgorithms,
  parseAliasPattern,
  parseHostname,
  parseJumpHost,
  parseUser,
} from '../../src/alias/host-value.ts';
import {
  listOf,
  numberBetween,
  parseFingerprint,
  parsePath,
  parseProxyCommand,
  parseYesNo,
  timeBetween,
} from '../../src/alias/value.ts';
import { caseCount } from '../helpers/cases.ts';

const PARSERS = {
  parseAlgorithms,
  parseAliasPattern,
  parseFingerprint,
  parseHostname,
  parseJumpHost,
  parsePath,
  parseProxyCommand,
  parseUser,
  parseYesNo,
  jumps: listOf(parseJumpHost),
  number: numberBetween(1, 65_535),
  time: timeBetween('0', '4w'),
};

const PIECES = [
  'pat',
  'mail.example.org',
  '@',
  ':',
  '22',
  ',',
  '[',
  ']',
  '::1',
  '-',
  '/',
  '~',
  '%h',
  '%',
  '!',
  '*',
  '1h',
  '30m',
  's',
  '+',
  '^',
  ' ',
  '$',
  '`',
  ';',
  "'",
  '\n',
  'ssh://',
  'SHA256:',
  '.',
];
const text = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 7 }).map((pieces) => pieces.join('')),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

/** What a shell or an option parser takes apart; `%` and `~` are ours. */
const UNSAFE = /[\s'"`$\\;&<>|(){}]|^-/;

it('a value is taken or refused, and a refusal does not repeat it', () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(PARSERS)), text, (name, value) => {
      const parsed = PARSERS[name as keyof typeof PARSERS](value, '/home/pat');
      if ('value' in parsed) return;
      const said = 'wants' in parsed ? parsed.wants : `${parsed.problem} ${parsed.remedy}`;
      assert.match(said, /^[\x20-\x7e]+$/);
      const marked = PARSERS[name as keyof typeof PARSERS](`${value}\u0001SeCrEt`, '/home/pat');
      if (!('value' in marked)) assert.doesNotMatch(JSON.stringify(marked), /SeCrEt/);
    }),
    { numRuns: caseCount(1_500) },
  );
});

it('hosts and users are nothing that a shell or ssh takes for something else', () => {
  fc.assert(
    fc.property(text, (value) => {
      const host = parseHostname(value, '');
      if ('value' in host) assert.doesNotMatch(host.value, UNSAFE);
      const user = parseUser(value, '');
      if ('value' in user) assert.doesNotMatch(user.value, UNSAFE);
      const jump = parseJumpHost(value, '');
      if (!('value' in jump)) return;
      for (const part of [jump.value.host, jump.value.user ?? 'x']) assert.doesNotMatch(part, UNSAFE);
      assert.ok(jump.value.port === undefined || (jump.value.port >= 1 && jump.value.port <= 65_535));
    }),
    { numRuns: caseCount(1_500) },
  );
});

it('a time is the sum of its parts', () => {
  const units = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;
  const part = fc.tuple(fc.nat(99), fc.constantFrom('s', 'm', 'h', 'd', 'w', 'S', 'M', 'H', 'D', 'W'));
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(999), { nil: undefined }),
      (parts, last) => {
        const written = `${parts.map((each) => each.join('')).join('')}${last ?? ''}`;
        const sum = parts.reduce((all, [n, unit]) => all + n * units[unit.toLowerCase() as 's'], last ?? 0);
        assert.deepEqual(timeBetween('0', '999w')(written, ''), { value: sum });
      },
    ),
    { numRuns: caseCount(300) },
  );
});
