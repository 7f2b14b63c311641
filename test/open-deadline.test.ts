/** The one deadline of an opening ends with its reason, or with that of whoever waits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../src/errors.ts';
import { startOpenDeadline } from '../src/open-deadline.ts';

const DEADLINE_MS = 50_000;
const ADDRESS = 'mail.example.org:22';

test('an opening that takes too long ends with a failure', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { signal } = startOpenDeadline(ADDRESS, new AbortController().signal);
  t.mock.timers.tick(DEADLINE_MS - 1);
  assert.equal(signal.aborted, false);
  t.mock.timers.tick(1);
  assert.ok(signal.reason instanceof Failure);
  assert.equal(signal.reason.message, 'no answer from mail.example.org:22 within 50 s (all steps together)');
});

test('an opening that nobody waits for any more ends at once, with the reason of who has gone', () => {
  const outer = new AbortController();
  const deadline = startOpenDeadline(ADDRESS, outer.signal);
  outer.abort('gone');
  assert.equal(deadline.signal.reason, 'gone');
  deadline.end();
  const late = startOpenDeadline(ADDRESS, outer.signal);
  assert.equal(late.signal.reason, 'gone');
  late.end();
});

test('an opening that has ended has no deadline', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const outer = new AbortController();
  const { signal, end } = startOpenDeadline(ADDRESS, outer.signal);
  end();
  t.mock.timers.tick(DEADLINE_MS);
  outer.abort();
  assert.equal(signal.aborted, false);
});
