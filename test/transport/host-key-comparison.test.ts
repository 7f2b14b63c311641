/** The keys that a host shows against those it is known by, as trust and setup put it to a person. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareHostKeys, showKey } from '../../src/transport/host-key-comparison.ts';
import { nameHost } from '../../src/transport/known-hosts.ts';
import { parseKnownHosts } from '../../src/transport/known-hosts-file.ts';
import { encodeFields, fakeKey, keyWords } from './host-key-material.ts';

const HOST = 'mail.example.org';
const KEY = fakeKey('ssh-ed25519', 'the key');
const OTHER = fakeKey('ssh-ed25519', 'another key');
const RSA = fakeKey('ssh-rsa', 'an RSA key');

function compare(lines: readonly string[], shown: readonly Buffer[], chosen = shown) {
  const files = [parseKnownHosts(lines.join('\n'), '/kh')];
  return compareHostKeys(HOST, nameHost(HOST, 22), files, shown, chosen);
}

test('a host is known by a key of those it shows, and unknown without any', () => {
  assert.deepEqual(compare([`${HOST} ${keyWords(KEY)}`], [RSA, KEY]), { kind: 'known', place: '/kh:1' });
  assert.deepEqual(compare([], [KEY]), { kind: 'unknown' });
});

test('a host that shows another key, or none of the known types, has changed', () => {
  const lines = [`${HOST} ${keyWords(KEY)}`];
  for (const shown of [[OTHER], [RSA]]) {
    const stale = [{ ...showKey(KEY), file: '/kh', place: '/kh:1' }];
    assert.deepEqual(compare(lines, shown), { kind: 'changed', stale, known: [] });
  }
  const both = [...lines, `${HOST} ${keyWords(RSA)}`];
  const changed = compare(both, [OTHER, RSA]);
  assert.deepEqual(changed.kind === 'changed' && changed.known, [RSA]);
});

test('a revoked key is refused if it is asked about', () => {
  const lines = [`@revoked ${HOST} ${keyWords(KEY)}`];
  assert.throws(() => compare(lines, [KEY, RSA]), { code: 'host-key-revoked' });
  assert.deepEqual(compare(lines, [KEY, RSA], [RSA]), { kind: 'unknown' });
});

test('keys are shown by the names that people know them by', () => {
  for (const [type, name] of [
    ['ssh-ed25519', 'ED25519'],
    ['ecdsa-sha2-nistp256', 'ECDSA'],
    ['ssh-dss', 'DSA'],
    ['ssh-new', 'SSH-NEW'],
    ['', 'UNKNOWN'],
  ] as const) {
    assert.equal(showKey(encodeFields(type, 'x')).type, name);
  }
});
