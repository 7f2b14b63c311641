import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import './helpers/cases.ts';
import { nearestName } from '../src/nearest-name.ts';

const NAMES = ['HOSTNAME', 'HOST_KEY_ALIAS', 'IDENTITY_FILE', 'PORT', 'USER', 'work', 'home'];

describe('the nearest name', () => {
  for (const [word, name] of [
    ['HOSTNAM', 'HOSTNAME'],
    ['HOSTNMAE', 'HOSTNAME'],
    ['HSTNAME', 'HOSTNAME'],
    ['hostname', 'HOSTNAME'],
    ['identityfile', 'IDENTITY_FILE'],
    ['IDENTITY_FILES', 'IDENTITY_FILE'],
    ['PROT', 'PORT'],
    ['wrok', 'work'],
    ['Work', 'work'],
    ['hom', 'home'],
  ] as const) {
    it(`of ${word} is ${name}`, () => assert.equal(nearestName(word, NAMES), name));
  }

  it('is the shortest name that a word begins, when no name is like it', () => {
    assert.equal(nearestName('ident', NAMES), 'IDENTITY_FILE');
    assert.equal(nearestName('HOST', ['HOST_KEY_ALIAS', 'HOSTNAME']), 'HOSTNAME');
  });

  for (const word of ['', '-', 'FORWARD_X11', 'zz', 'completely', 'xork1']) {
    it(`of ${JSON.stringify(word)} is none`, () => assert.equal(nearestName(word, NAMES), undefined));
  }

  it('of a name is the name itself, wherever it stands', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(NAMES, { minLength: 1 }), (names) => {
        assert.equal(nearestName(names[0] as string, names), names[0]);
      }),
    );
  });
});
