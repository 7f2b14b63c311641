/**
 * Bytes a second through a session, from `head` there to `wc` here and the other way. The time of the same session
 * without bytes is taken off, so that a quick login is no bandwidth.
 */
import type { TempHome } from '../../test/helpers/temp-home.ts';
import { timeMail, timeRun } from '../mail-session.ts';
import { compare, type Measure, type Subject } from '../measure.ts';
import { openOtherPeers, openSsh, type Peer, SSH } from '../peers.ts';
import { openHome, pineOpens, STANDALONE, type Stage } from '../stage.ts';

export const MIB = 1024 * 1024;

export const DIRECTIONS = ['down', 'up'] as const;

const RUNS_MAX = 5;

/** Long enough to see what a line holds, short enough for a run of all parts. */
const SIZE_NEAR = 256 * MIB;
const SIZE_FAR = 128 * MIB;

type Direction = (typeof DIRECTIONS)[number];

export async function measureThroughput(
  stage: Stage,
  roundTrip: number,
  direction: Direction,
): Promise<Measure> {
  const shared = openHome(stage, roundTrip);
  const alone = openHome(stage, roundTrip, { SHARE: 'no' });
  await timeMail(pineOpens(stage, shared));
  const ours = [pineRuns('pine-rsh', shared), pineRuns('pine-rsh, SHARE=no', alone)];
  // dbclient's window of 24 KiB would take minutes over a long line.
  const others = roundTrip === 0 ? openOtherPeers(stage, roundTrip) : [];
  const size = roundTrip === 0 ? SIZE_NEAR : SIZE_FAR;
  const subjects = [...ours, openSsh(stage, roundTrip), ...others].map((peer) => rate(peer, direction, size));
  const figures = await compare(subjects, Math.min(stage.runs, RUNS_MAX));
  return { part: 'throughput', what: direction, roundTrip, unit: 'MiB/s', figures, base: SSH };
}

/** pine-rsh as a program that runs a command line there. */
export function pineRuns(who: string, { env }: TempHome): Peer {
  return { who, command: (remote) => ({ file: STANDALONE, words: ['work', remote], env }) };
}

function rate(peer: Peer, direction: Direction, size: number): Subject {
  return {
    who: peer.who,
    sample: async () => {
      const empty = await timeBytes(peer, direction, 0);
      const full = await timeBytes(peer, direction, size);
      return size / MIB / ((full - empty) / 1_000);
    },
  };
}

/** The milliseconds of a whole session that passes on so many bytes. */
export async function timeBytes({ who, command }: Peer, direction: Direction, size: number): Promise<number> {
  const source = `head -c ${size} /dev/zero`;
  const { file, words, env } = command(direction === 'down' ? source : 'wc -c');
  const script = direction === 'down' ? '"$0" "$@" | wc -c' : `${source} | "$0" "$@"`;
  const { ms, output } = await timeRun({ file: '/bin/sh', words: ['-c', script, file, ...words], env });
  if (Number(output) !== size) throw new Error(`${who}: ${output} of ${size} bytes`);
  return ms;
}
