/**
 * Undoing what a test set up, in reverse order: the program before its folder. node:test runs its own hooks in the
 * order they were registered, which would remove a folder under a running server.
 */

/** A test's context, or `{ after }` from node:test for a whole suite. */
export interface Scope {
  after(undo: () => void | Promise<void>): void;
}

type Undo = () => unknown;

const stacks = new WeakMap<Scope, Undo[]>();

/** Runs `undo` when the test or suite is over, whatever its outcome; what was deferred last runs first. */
export function defer(scope: Scope, undo: Undo): void {
  let stack = stacks.get(scope);
  if (stack === undefined) {
    stack = [];
    stacks.set(scope, stack);
    const undos = stack;
    scope.after(() => undoAll(undos));
  }
  stack.push(undo);
}

async function undoAll(undos: Undo[]): Promise<void> {
  const errors: unknown[] = [];
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
    try {
      await undo();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'cleaning up after the test failed');
}
