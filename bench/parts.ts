/** The parts of a run, by the names they are asked for. */
import type { Measure } from './measure.ts';
import { BURST, measureParallel, PARALLEL } from './parts/burst.ts';
import { measureDecline } from './parts/decline.ts';
import { measureAliases, measureKnownHosts } from './parts/growth.ts';
import { measureBroker, measureIdle } from './parts/memory.ts';
import { measureAnswer, measureCold, measureShared, measureWarm } from './parts/opening.ts';
import { DIRECTIONS, measureThroughput } from './parts/throughput.ts';
import type { Stage } from './stage.ts';

type Part = (stage: Stage) => AsyncGenerator<Measure>;

/** What throughput is measured at; every round trip would take too long. */
const THROUGHPUT_TRIPS: readonly number[] = [0, 50];

export const PARTS: Readonly<Record<string, Part>> = {
  cold: atEachDistance(measureCold),
  shared: atEachDistance(measureShared),
  warm: atEachDistance(measureWarm),
  answer: atEachDistance(measureAnswer),
  burst: async function* (stage) {
    for (const roundTrip of stage.roundTrips) yield await measureParallel('burst', stage, roundTrip, BURST);
  },
  decline: async function* (stage) {
    yield await measureDecline(stage);
  },
  throughput: async function* (stage) {
    for (const roundTrip of stage.roundTrips.filter((each) => THROUGHPUT_TRIPS.includes(each))) {
      for (const direction of DIRECTIONS) yield await measureThroughput(stage, roundTrip, direction);
    }
  },
  memory: async function* (stage) {
    yield await measureIdle(stage);
    yield* await measureBroker(stage);
  },
  growth: async function* (stage) {
    yield* await measureAliases(stage);
    yield* await measureKnownHosts(stage);
  },
  parallel: async function* (stage) {
    for (const count of PARALLEL) yield await measureParallel('parallel', stage, 0, count);
  },
};

function atEachDistance(measure: (stage: Stage, roundTrip: number) => Promise<Measure>): Part {
  return async function* (stage) {
    for (const roundTrip of stage.roundTrips) yield await measure(stage, roundTrip);
  };
}
