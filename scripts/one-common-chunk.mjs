/**
 * For Bun's bundler: all that a start needs becomes one chunk, and all that a session needs then another. By itself it
 * makes a chunk of each set of modules that the same parts of the program share, which were ten for every start of
 * pine-rsh; each is found, read and linked on its own. Here every part that is loaded later asks for what main.ts asks for
 * and for the session, too, so that all share the same two sets.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const AT_ONCE = /^import (?!type )[^;]* from '(\.[^']+)';$/gm;
const LATER = /\bimport\('(\.[^']+)'\)/g;

/** @param entry path of main.ts */
export function oneCommonChunk(entry) {
  const src = dirname(entry);
  const session = join(src, 'session.ts');
  const lazy = new Set(listTypeScript(src).flatMap((file) => listImports(file, LATER)));
  if (!lazy.has(session)) throw new Error(`${src}: no session is loaded later`);
  const first = listImports(entry, AT_ONCE);
  return {
    name: 'one-common-chunk',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!lazy.has(path)) return undefined;
        const shared = path === session ? first : [...first, session];
        const imports = shared.map((file) => `import ${JSON.stringify(file)};\n`).join('');
        return { contents: `${imports}${readFileSync(path, 'utf8')}`, loader: 'ts' };
      });
    },
  };
}

function listTypeScript(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

/** The files of ours that a file imports in such a way. */
function listImports(file, way) {
  const found = readFileSync(file, 'utf8').matchAll(way);
  return [...found].map(([, target]) => resolve(dirname(file), target));
}
