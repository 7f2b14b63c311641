/**
 * The part of the build that Bun itself runs: compiles the standalone. `bun build-standalone.mjs MAIN OUTFILE RUNTIME
 * BUILD_INFO [ORDER]`, ORDER being what a run of such an executable wrote. By its interface for programs, since only that
 * takes plugins: whatever stays unresolved in a standalone is looked for in the folder it is started in, and run.
 */
import { noNativeCode } from './no-native-code.mjs';
import { oneCommonChunk } from './one-common-chunk.mjs';

const [entry, outfile, runtime, info, order] = process.argv.slice(2);

const { success, logs } = await Bun.build({
  entrypoints: [entry],
  compile: {
    outfile,
    executablePath: runtime,
    autoloadDotenv: false,
    autoloadBunfig: false,
    autoloadTsconfig: false,
    autoloadPackageJson: false,
    // What a start needs stands together: fewer pages of the file are touched.
    bytecodeOrder: order ?? false,
    // No threads that compile until src/just-in-time.ts asks for them.
    jitPolicy: 1000,
  },
  bytecode: true,
  // Chunks: what a host that is not ours, or a warm session, does not need is not even read.
  splitting: true,
  format: 'esm',
  minify: { syntax: true, whitespace: true },
  sourcemap: 'none',
  // As in the Node bundle; and a build is the same in every folder.
  define: { PINE_RSH_BUILD: info, __dirname: '"/"', __filename: '"/"' },
  plugins: [noNativeCode, oneCommonChunk(entry)],
});
for (const log of logs) console.error(String(log));
if (!success) process.exit(1);
