/** Modules of the runtime that few starts need, at the moment they do. */

/**
 * `require`, without node:module's createRequire: importing that takes Bun 0.4 ms, which every folder that opens would
 * wait for. Both bundles have a `require`; the source, which only tests run, does without one.
 */
export function loadBuiltin(name: string): unknown {
  return typeof require === 'function' ? require(name) : process.getBuiltinModule(name);
}
