/** `pine-rsh --broker ALIAS`: the broker's own process, from its spec on stdin to its end. */
import { readFileSync } from 'node:fs';
import { writeAll } from '../log.ts';
import { serveBroker } from './broker.ts';
import { READY } from './launch.ts';
import { decodeSpec } from './spec.ts';

/** Runs the broker; returns the exit status. */
export async function runBroker(): Promise<number> {
  const spec = decodeSpec(readFileSync(0, 'utf8'));
  // What happens to the terminal that the first mail client runs on is none of the others' business.
  process.on('SIGHUP', () => {});
  await serveBroker(spec, () => writeAll(1, READY));
  return 0;
}
