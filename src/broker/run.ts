/** `pine-rsh --broker ALIAS`: the broker's own process, from its spec on stdin to its end. */
import { readFileSync } from 'node:fs';
import { writeAll } from '../write-all.ts';
import { startBroker } from './broker.ts';
import { READY } from './launch.ts';
import { retireOlder } from './retire.ts';
import { decodeSpec } from './spec.ts';

/** Runs the broker; returns the exit status. */
export async function runBroker(): Promise<number> {
  const spec = decodeSpec(readFileSync(0, 'utf8'));
  // Under Node the path of the program would stand between the two.
  process.title = `pine-rsh --broker ${spec.alias.name}`;
  // What happens to the terminal that the first mail client runs on is none of the others' business.
  process.on('SIGHUP', () => {});
  const broker = await startBroker(spec);
  writeAll(1, READY);
  if (broker === undefined) return 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => broker.stop(true));
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => broker.retire(error));
  }
  await retireOlder(spec.socket, spec.settings);
  await broker.ended;
  return 0;
}
