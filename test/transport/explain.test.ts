/** ssh2's errors -> the reason that a person reads, where real servers seldom give that one. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Failure, type FailureCode } from '../../src/errors.ts';
import { applyList, chooseAlgorithms } from '../../src/transport/algorithms.ts';
import type { Stage } from '../../src/transport/attempt.ts';
import { type AttemptFacts, CLOSED, explainAbort, explainSshError } from '../../src/transport/explain.ts';
import { encodeStrings } from '../../src/transport/ssh-wire.ts';
import { openTempConfig } from '../alias/temp-config.ts';

const config = openTempConfig({ after });
config.alias('work', 'HOSTNAME=mail.example.org\nUSER=pat\n');
const alias = config.find('work');
const algorithms = chooseAlgorithms(alias, ['ssh-ed25519']);

const VERSION = Buffer.from('SSH-2.0-x\r\n');
const LISTS = ['kex-strict-s-v00@openssh.com,old-kex', 'old-key', 'old-cipher', 'x', 'old-mac', 'x'];
const KEXINIT = Buffer.concat([
  VERSION,
  Buffer.alloc(5),
  Buffer.of(20),
  Buffer.alloc(16),
  encodeStrings(...LISTS),
]);

function explain(error: Error | string, facts: Partial<AttemptFacts> = {}): Failure {
  return explainSshError(typeof error === 'string' ? new Error(error) : error, {
    address: 'mail.example.org:22',
    alias,
    algorithms,
    verifier: { failure: undefined },
    keys: { tried: [], wants: [] },
    identities: { unusable: [] },
    sniffed: VERSION,
    ...facts,
  });
}

const level = (message: string) => Object.assign(new Error(message), { level: 'client-authentication' });
const system = (code: string) => Object.assign(new Error(code), { code });
const TOO_MANY = 'Too many authentication failures';

const CASES: readonly (readonly [what: string, Failure, FailureCode, RegExp])[] = [
  [
    'no common key exchange',
    explain('no matching key exchange algorithm', { sniffed: KEXINIT }),
    'no-common-algorithm',
    /old-kex/,
  ],
  [
    'no common cipher',
    explain('no matching C->S cipher', { sniffed: KEXINIT }),
    'no-common-algorithm',
    /cipher.*old-cipher/,
  ],
  [
    'no common compression',
    explain('no matching C->S compression'),
    'no-common-algorithm',
    /compression.*others/,
  ],
  ['lists that did not come', explain('no matching S->C MAC'), 'no-common-algorithm', /MAC.*others/],
  [
    'a busy sshd',
    explain(CLOSED, { sniffed: Buffer.from('Exceeded MaxStartups\r\n') }),
    'connection-lost',
    /Exceeded MaxStartups/,
  ],
  [
    'no SSH server',
    explain(CLOSED, { sniffed: Buffer.from('220 ESMTP\r\n') }),
    'not-ssh',
    /it said 220 ESMTP/,
  ],
  [
    'silence, then the end',
    explain(CLOSED, { sniffed: Buffer.alloc(0) }),
    'connection-lost',
    /before the key exchange\)?$/,
  ],
  [
    'silence, then a reset',
    explain(system('ECONNRESET'), { sniffed: Buffer.alloc(0) }),
    'connection-lost',
    /before the key exchange, ECONNRESET/,
  ],
  [
    'the end after keys',
    explain(CLOSED, { keys: { tried: ['a', 'b'], wants: [] }, stage: 'logging in' }),
    'connection-lost',
    /while logging in, after 2 keys/,
  ],
  [
    'the end of an open connection',
    explain(CLOSED, { stage: 'open' }),
    'connection-lost',
    /the other side closed it/,
  ],
  [
    'a route that failed',
    explain(CLOSED, { routeFailure: () => new Failure('dns-failed', { host: 'gate', why: 'test' }) }),
    'dns-failed',
    /gate/,
  ],
  [
    'a route that knows nothing',
    explain(CLOSED, { routeFailure: () => undefined }),
    'connection-lost',
    /while exchanging keys/,
  ],
  ['words that nobody knows', explain('the sky fell'), 'connection-lost', /the sky fell/],
  [
    'too many keys',
    explain(TOO_MANY, { keys: { tried: ['a', 'b'], wants: [] } }),
    'login-too-many-keys',
    /mail\.example\.org/,
  ],
  [
    'the last of the keys, too many',
    explain(TOO_MANY, { keys: { tried: ['a'], wants: ['publickey'], exhausted: true } }),
    'login-refused',
    /mail\.example\.org/,
  ],
  ['no key at all', explain(level('refused')), 'no-identity', /default name/],
  [
    'none of the keys named',
    explain(level('refused'), { alias: { ...alias, identityFiles: [] } }),
    'no-identity',
    /the agent holds none/,
  ],
  [
    'a second step',
    explain(level('refused'), { keys: { tried: ['a'], wants: ['publickey'], accepted: { label: 'a' } } }),
    'login-unfinished',
    /mail\.example\.org/,
  ],
  ['wrong answers', explain(level('refused'), { asked: true }), 'answers-refused', /mail\.example\.org/],
  [
    'a verdict on the host key',
    explain(CLOSED, { verifier: { failure: new Failure('dns-failed', { host: 'x', why: 'test' }) } }),
    'dns-failed',
    /x/,
  ],
];

for (const [what, failure, code, says] of CASES) {
  test(`the reason is told: ${what}`, () => {
    assert.equal(failure.code, code, failure.message);
    assert.match(failure.message, says);
  });
}

test('a host that talks, but not SSH, and a silent agent are told from a host that is slow', () => {
  const late = new Failure('connect-timeout', { address: 'mail:22', seconds: 12, stage: 'exchanging keys' });
  const talk = Buffer.from('220 ESMTP\r\n');
  const abort = (reason: unknown, stage: Stage, sniffed: Buffer, unsigned?: string) =>
    explainAbort({ signal: AbortSignal.abort(reason), stage, unsigned }, 'mail:22', sniffed);
  const told = abort(late, 'exchanging keys', talk);
  assert.equal(told instanceof Failure && told.code, 'not-ssh');
  for (const [reason, stage, sniffed] of [
    [late, 'connecting', talk],
    [late, 'exchanging keys', VERSION],
    [late, 'exchanging keys', Buffer.alloc(0)],
    [new Error('gone'), 'exchanging keys', talk],
  ] as const) {
    assert.equal(abort(reason, stage, sniffed), reason);
  }
  const silent = abort(late, 'logging in', VERSION, 'laptop');
  assert.equal(silent instanceof Failure && silent.message, 'the agent did not sign with laptop in time');
  const gone = new Error('gone');
  assert.equal(abort(gone, 'logging in', VERSION, 'laptop'), gone);
});

test('a list of algorithms changes the usual one, by names and patterns', () => {
  const usual = ['a-1', 'a-2', 'b-1'];
  const known = ['a-1', 'a-2', 'b-1', 'b-2'];
  assert.deepEqual(applyList(usual, undefined, known), usual);
  assert.deepEqual(applyList(usual, { mode: 'replace', names: ['b-*', 'c'] }, known), ['b-1', 'b-2']);
  assert.deepEqual(applyList(usual, { mode: 'append', names: ['b-2'] }, known), [...usual, 'b-2']);
  assert.deepEqual(applyList(usual, { mode: 'prepend', names: ['b-?'] }, known), [
    'b-1',
    'b-2',
    'a-1',
    'a-2',
  ]);
  assert.deepEqual(applyList(usual, { mode: 'remove', names: ['a-*'] }, known), ['b-1']);
  // Where it is not known what there is, names stand for themselves.
  assert.deepEqual(applyList(usual, { mode: 'replace', names: ['c'] }), ['c']);
});
