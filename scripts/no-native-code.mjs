/**
 * ssh2 tries optional native code and falls back without it. None of it is part of a build: a build must not depend on
 * a compiler, and a standalone that looked for it when it runs would take it from the folder it is started in.
 */
export const noNativeCode = {
  name: 'no-native-code',
  setup(build) {
    build.onResolve({ filter: /\.node$|^cpu-features$/ }, ({ path }) => ({ path, namespace: 'absent' }));
    build.onLoad({ filter: /.*/, namespace: 'absent' }, ({ path }) => ({
      contents: `throw new Error(${JSON.stringify(`${path} is not part of this build`)});`,
      loader: 'js',
    }));
  },
};
