/** What stays in memory while a folder is open and nothing happens, and the most a broker takes for much data. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ownMemoryOf, peakMemoryOf, residentMemoryOf } from '../../test/helpers/processes.ts';
import { waitForBroker } from '../broker-watch.ts';
import { type Command, openMail, timeMail } from '../mail-session.ts';
import { compare, type Measure, summarize } from '../measure.ts';
import { MASTER, openMaster } from '../peers.ts';
import { openHome, pineOpens, type Stage } from '../stage.ts';
import { MIB, pineRuns, timeBytes } from './throughput.ts';

const RUNS_MAX = 5;

/** From the greeting on; then a program is idle. */
const IDLE_MS = 500;

const STREAM_MIB = 300;

const ABOUT = { part: 'memory', unit: 'MiB', base: MASTER } as const;

export async function measureIdle(stage: Stage): Promise<Measure> {
  const home = openHome(stage, 0);
  const master = await openMaster(stage, 0);
  let own = 0;
  const figures = await compare(
    [
      { who: 'pine-rsh', sample: () => readIdle(pineOpens(stage, home), (pid) => (own = ownMemoryOf(pid))) },
      { who: MASTER, sample: () => readIdle(master.command(`exec ${stage.host.rimapd}`)) },
    ],
    Math.min(stage.runs, RUNS_MAX),
  );
  const note = `all but ${(own / MIB).toFixed(1)} MiB of it pages of the program, which all its processes share`;
  return { ...ABOUT, what: 'idle client', figures, note };
}

/** A broker with its warm imapd beside a master: each once, as their memory does not vary. */
export async function measureBroker(stage: Stage): Promise<Measure[]> {
  const home = openHome(stage, 0);
  const master = await openMaster(stage, 0);
  await timeMail(pineOpens(stage, home));
  await timeMail(master.command(`exec ${stage.host.rimapd}`));
  const pid = await waitForBroker(home, 1);
  const read = (memoryOf: (pid: number) => number) => [
    summarize('pine-rsh', [memoryOf(pid) / MIB]),
    summarize(MASTER, [memoryOf(master.pid) / MIB]),
  ];
  const idle: Measure = {
    ...ABOUT,
    what: 'idle connection in the background',
    figures: read(residentMemoryOf),
  };
  await timeBytes(pineRuns('pine-rsh', home), 'down', STREAM_MIB * MIB);
  await timeBytes(master, 'down', STREAM_MIB * MIB);
  return [
    idle,
    { ...ABOUT, what: `the same, most while ${STREAM_MIB} MiB passed`, figures: read(peakMemoryOf) },
  ];
}

/** In MiB. */
async function readIdle(command: Command, look: (pid: number) => void = () => {}): Promise<number> {
  const session = await openMail(command);
  await sleep(IDLE_MS);
  const bytes = residentMemoryOf(session.pid);
  look(session.pid);
  await session.close();
  return bytes / MIB;
}
