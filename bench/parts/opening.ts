/** Time to the greeting of one folder: the first one, one over a connection that is there, one kept warm. */
import { countRoutes, endBroker, waitForBroker } from '../broker-watch.ts';
import { type Command, timeAnswer, timeMail } from '../mail-session.ts';
import { compare, type Measure, QUICK_RUNS, type Subject } from '../measure.ts';
import { MASTER, openMaster, openOtherPeers, openSsh, type Peer, SSH } from '../peers.ts';
import { openHome, pineOpens, type Stage } from '../stage.ts';

const OURS = 'pine-rsh';

/** Nothing runs yet. As set up by default pine-rsh also leaves a broker behind; SHARE=no does without. */
export async function measureCold(stage: Stage, roundTrip: number): Promise<Measure> {
  const first = openHome(stage, roundTrip);
  const alone = openHome(stage, roundTrip, { SHARE: 'no' });
  const subjects: Subject[] = [
    {
      who: OURS,
      sample: async () => {
        const ms = await timeMail(pineOpens(stage, first));
        await endBroker(first);
        return ms;
      },
    },
    { who: `${OURS}, SHARE=no`, sample: () => timeMail(pineOpens(stage, alone)) },
    ...[openSsh(stage, roundTrip), ...openOtherPeers(stage, roundTrip)].map((peer) => timed(stage, peer)),
  ];
  const figures = await compare(subjects, stage.runs);
  return { part: 'cold', what: 'first folder', roundTrip, unit: 'ms', figures, base: SSH };
}

/** A connection is there, no imapd is waiting. */
export async function measureShared(stage: Stage, roundTrip: number): Promise<Measure> {
  const home = openHome(stage, roundTrip, { WARM: 0 });
  const subjects = [
    {
      who: OURS,
      sample: async () => {
        const ms = await timeMail(pineOpens(stage, home));
        await waitForBroker(home, 0);
        return ms;
      },
    },
    timed(stage, await openMaster(stage, roundTrip)),
  ];
  const figures = await compare(subjects, stage.runs);
  const what = 'next folder, WARM=0';
  return { part: 'shared', what, roundTrip, unit: 'ms', figures, base: MASTER };
}

/** An imapd is waiting: it is waited for before each sample, and the log tells how often it was used. */
export function measureWarm(stage: Stage, roundTrip: number): Promise<Measure> {
  return measureReady(stage, roundTrip, { part: 'warm', what: 'next folder', time: timeMail });
}

/** The same up to the answer to the first command: a greeting alone shows nobody a folder. */
export function measureAnswer(stage: Stage, roundTrip: number): Promise<Measure> {
  const what = 'next folder, its first answer';
  return measureReady(stage, roundTrip, { part: 'answer', what, time: timeAnswer });
}

interface Readiness {
  readonly part: string;
  readonly what: string;
  readonly time: (command: Command) => Promise<number>;
}

async function measureReady(
  stage: Stage,
  roundTrip: number,
  { part, what, time }: Readiness,
): Promise<Measure> {
  const home = openHome(stage, roundTrip);
  await timeMail(pineOpens(stage, home));
  await waitForBroker(home, 1);
  const subjects = [
    {
      who: OURS,
      sample: async () => {
        const ms = await time(pineOpens(stage, home));
        // Before the peer's turn: the server must not be starting our next imapd meanwhile.
        await waitForBroker(home, 1);
        return ms;
      },
    },
    timed(stage, await openMaster(stage, roundTrip), time),
  ];
  const runs = stage.runs * QUICK_RUNS;
  const figures = await compare(subjects, runs);
  const note = `${countRoutes(home)['warm'] ?? 0} of ${runs + 1} warm`;
  return { part, what, roundTrip, unit: 'ms', figures, base: MASTER, note };
}

function timed({ host }: Stage, { who, command }: Peer, time = timeMail): Subject {
  return { who, sample: () => time(command(`exec ${host.rimapd}`)) };
}
