/**
 * How many cases a property is tried with. PINE_RSH_TEST_CASES=100000 tries each with as many; fast-check prints the seed
 * of what fails.
 */
import fc from 'fast-check';

const WANTED = process.env['PINE_RSH_TEST_CASES'];

/** For `numRuns`; what names none has fast-check's own hundred. */
export function caseCount(usual: number): number {
  return Number(WANTED ?? usual);
}

if (WANTED !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: Number(WANTED) });
