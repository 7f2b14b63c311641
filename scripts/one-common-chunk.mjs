/**
 * For Bun's bundler: all that a session starts with becomes one chunk. By itself it makes a chunk of each set of modules
 * that the same parts of the program share, which were ten for every start of pine-rsh; each is found, read and linked
 * on its own. Here every part that is loaded later asks for the session too, so that all share the same set.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** @param entry path of main.ts */
export function oneCommonChunk(entry) {
  const src = dirname(entry);
  const session = join(src, 'session.ts');
  const lazy = new Set(listTypeScript(src).flatMap(listImports));
  lazy.delete(session);
  if (lazy.size === 0) throw new Error(`${src}: nothing is loaded later`);
  return {
    name: 'one-common-chunk',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!lazy.has(path)) return undefined;
        return {
          contents: `import ${JSON.stringify(session)};\n${readFileSync(path, 'utf8')}`,
          loader: 'ts',
        };
      });
    },
  };
}

function listTypeScript(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

/** The files that a file imports when it needs them. */
function listImports(file) {
  const found = readFileSync(file, 'utf8').matchAll(/\bimport\('(\.[^']+)'\)/g);
  return [...found].map(([, target]) => resolve(dirname(file), target));
}
