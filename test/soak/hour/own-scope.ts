/** A scope outside node:test: what is set up in it is undone when `run` is over. */
import type { Scope } from '../../helpers/scope.ts';

export async function withScope<T>(run: (scope: Scope) => Promise<T>): Promise<T> {
  const undos: (() => unknown)[] = [];
  try {
    return await run({ after: (undo) => void undos.push(undo) });
  } finally {
    for (const undo of undos) await undo();
  }
}
