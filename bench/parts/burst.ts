/** Several folders opened at once, while a connection is there: the time until the last has its greeting. */
import { setTimeout as sleep } from 'node:timers/promises';
import { countRoutes, waitForBroker } from '../broker-watch.ts';
import { timeBurst, timeMail } from '../mail-session.ts';
import { compare, type Measure } from '../measure.ts';
import { MASTER, openMaster, openSsh } from '../peers.ts';
import { openHome, pineOpens, type Stage } from '../stage.ts';

/** What Alpine opens when it starts with a few folders. */
export const BURST = 3;

export const PARALLEL: readonly number[] = [1, 10, 50];

/** Until as many imapds wait as were opened at once the last time, which a broker does not tell. */
const REFILL_MS = 300;

/** Fifty sessions of each program take a while. */
const RUNS_MANY = 3;

/** A few take less, but for ssh's logins over a long line. */
const BURST_RUNS = 2;

export async function measureParallel(
  part: string,
  stage: Stage,
  roundTrip: number,
  count: number,
): Promise<Measure> {
  const home = openHome(stage, roundTrip);
  await timeMail(pineOpens(stage, home));
  // More than the server lets one connection have (MaxSessions): after that no imapd is kept warm for a while.
  const warm = count > BURST ? undefined : 1;
  const refill = async (): Promise<void> => {
    await waitForBroker(home, warm);
    await sleep(REFILL_MS);
  };
  await refill();
  const ours = {
    who: 'pine-rsh',
    sample: async () => {
      const ms = await timeBurst(pineOpens(stage, home), count);
      // Before the peers' turn: the server must not be starting our next imapds meanwhile.
      await refill();
      return ms;
    },
  };
  const peers = [await openMaster(stage, roundTrip), openSsh(stage, roundTrip)].map(({ who, command }) => ({
    who,
    sample: () => timeBurst(command(`exec ${stage.host.rimapd}`), count),
  }));
  const runs = count > BURST ? Math.min(stage.runs, RUNS_MANY) : stage.runs * BURST_RUNS;
  const figures = await compare([ours, ...peers], runs);
  const routes = Object.entries(countRoutes(home)).map(([route, times]) => `${times} ${route}`);
  const note = `all our sessions: ${routes.join(', ')}`;
  return { part, what: `${count} at once`, roundTrip, unit: 'ms', figures, base: MASTER, note };
}
