/**
 * What every failure must look the same in: each build, and each way in which a session may reach its host. A way is
 * nothing but a few keys of the alias.
 */
import { BUILDS, type Build } from './builds.ts';
import { findProcesses, isBroker, signalProcess, waitForNoProcess } from './processes.ts';
import { defer, type Scope } from './scope.ts';
import { type AliasKeys, openTempHome, type TempHome } from './temp-home.ts';

export interface Trial {
  /** For titles of tests. */
  readonly name: string;
  readonly build: Build;
  /** To be written into every alias. */
  readonly keys: AliasKeys;
}

interface Variant {
  readonly name: string;
  readonly keys: AliasKeys;
}

const VARIANTS: readonly Variant[] = [{ name: '', keys: { SHARE: 'no' } }];

export const TRIALS: readonly Trial[] = BUILDS.flatMap((build) =>
  VARIANTS.map(({ name, keys }) => ({
    name: [build.name, name].filter((word) => word !== '').join(', '),
    build,
    keys,
  })),
);

/** A home for a trial; a broker that a session left there ends with the test. */
export function openTrialHome(scope: Scope, env: Readonly<Record<string, string>> = {}): TempHome {
  const home = openTempHome(scope, env);
  defer(scope, () => {
    for (const { pid } of findProcesses(home.dir)) signalProcess(pid, 'SIGKILL');
  });
  return home;
}

/** Waits until nothing of a home runs any more but a broker, which is meant to stay. */
export async function waitForNoSession(home: TempHome): Promise<void> {
  await waitForNoProcess(home.dir, { also: (process) => !isBroker(process) });
}
