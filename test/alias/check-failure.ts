/** Asserting on failures: their code, their place, and that no secret got into them. */
import assert from 'node:assert/strict';
import { Failure } from '../../src/errors.ts';

/** What a failure must look like; texts are compared whole, patterns searched. */
export interface ExpectedFailure {
  readonly code: string;
  readonly message?: string | RegExp;
  readonly hint?: string | RegExp;
  /** Must be in neither sentence nor hint. */
  readonly without?: string;
}

/** Runs `act`, which must throw a `Failure`, and returns it. */
export function expectFailure(act: () => unknown, expected: ExpectedFailure): Failure {
  const failure = catchFailure(act);
  assert.equal(failure.code, expected.code, `${failure.code}: ${failure.message}`);
  compare(failure.message, expected.message);
  compare(failure.hint, expected.hint);
  if (expected.without !== undefined) {
    assert.ok(
      !`${failure.message} ${failure.hint}`.includes(expected.without),
      'the failure tells the secret',
    );
  }
  return failure;
}

function catchFailure(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' });
}

function compare(actual: string, expected: string | RegExp | undefined): void {
  if (typeof expected === 'string') assert.equal(actual, expected);
  else if (expected !== undefined) assert.match(actual, expected);
}
