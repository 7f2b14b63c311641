/**
 * When Bun compiles what runs often. The standalone is built to leave it alone (scripts/build-standalone.mjs): a folder
 * that opens, or a host that is declined, is over before compiled code pays for the threads that make it. Whoever works
 * for longer, with bytes or with keys, asks for it. Node needs no help.
 */

interface BunRuntime {
  readonly unsafe: { setJITPolicy?(scale: number): void };
}

/** Compiles from here on as usual (bun.com/reference, Bun.unsafe.setJITPolicy). */
export function compileAsUsual(): void {
  (globalThis as { Bun?: BunRuntime }).Bun?.unsafe.setJITPolicy?.(1);
}
