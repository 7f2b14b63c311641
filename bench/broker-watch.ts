/** Waiting until the brokers of a home are as a sample needs them: with a warm imapd again, or gone. */
import { listBrokers, stopBroker } from '../src/broker/status.ts';
import { readSettings } from '../src/settings.ts';
import { findProcesses } from '../test/helpers/processes.ts';
import type { TempHome } from '../test/helpers/temp-home.ts';
import { waitUntil } from '../test/helpers/wait.ts';

/** Waits until a broker without sessions has `warm` imapds ready, or any number of them; gives its process. */
export async function waitForBroker(home: TempHome, warm?: number): Promise<number> {
  const settings = readSettings(home.env);
  return await waitUntil(
    `a broker with ${warm ?? 'any'} warm sessions`,
    async () =>
      (await listBrokers(settings)).find(
        (each) => each.sessions === 0 && (warm === undefined || each.warm >= warm),
      )?.pid,
    { detail: () => home.log() },
  );
}

/** Ends what runs, so that the next session is the first one. */
export async function endBroker(home: TempHome): Promise<void> {
  const settings = readSettings(home.env);
  for (const { socket } of await listBrokers(settings)) await stopBroker(socket, settings, true);
  await waitUntil('brokers end', () => findProcesses(home.dir).length === 0);
}

/** How the sessions so far were opened, and how many each way, as the log tells. */
export function countRoutes(home: TempHome): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [, route] of home.log().matchAll(/ session .* route=(\w+)/g)) {
    if (route !== undefined) counts[route] = (counts[route] ?? 0) + 1;
  }
  return counts;
}
