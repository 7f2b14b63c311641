/** Bun as the packages hold it: compiles the standalone and is embedded in it, and times programs for the bench. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = join(dirname(dirname(fileURLToPath(import.meta.url))), 'node_modules', '@oven');

/** The executable, the one for the baseline CPU where there is one; undefined where this platform has none. */
export function findBun() {
  const packageOf = (name) => join(PACKAGES, name, 'bin', 'bun');
  const arch = process.arch === 'arm64' ? 'aarch64' : process.arch;
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
  const own = packageOf(`bun-${process.platform}-${arch}${musl ? '-musl' : ''}`);
  if (!existsSync(own)) return undefined;
  const baseline = packageOf('bun-linux-x64-baseline');
  return existsSync(baseline) && process.platform === 'linux' && !musl ? baseline : own;
}
