/** The licences of what is inside the program, with their texts, as those licences ask for. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const BUN = `bun, the runtime of the standalone executable: MIT; what it contains itself, and under which licences, is told at
https://bun.sh/docs/project/licensing`;

/**
 * @param inputs files that went into the bundle, relative to the checkout, as esbuild's metafile names them
 * @throws where a package comes without the text
 */
export function formatLicences(root, inputs) {
  const packages = new Set(
    inputs.flatMap((file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []),
  );
  const texts = [...packages].sort().map((path) => {
    const dir = join(root, path);
    const { name, version } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
    const file = readdirSync(dir).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) throw new Error(`${name} comes without its licence`);
    return `${name} ${version}\n\n${readFileSync(join(dir, file), 'utf8').trim()}\n`;
  });
  const line = `\n${'-'.repeat(78)}\n\n`;
  return [`pine-rsh contains the following software.\n\n${BUN}\n`, ...texts].join(line);
}
