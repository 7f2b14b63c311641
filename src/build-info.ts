/** What the build knows about itself; `scripts/build.mjs` puts the values in. */
declare const PINE_RSH_BUILD: { version: string; kind: string; ssh2: string; source: string } | undefined;

/** `kind` is `standalone` or `node bundle`; `source` when nothing was built. */
export const BUILD =
  typeof PINE_RSH_BUILD === 'undefined'
    ? { version: '0.0.0', kind: 'source', ssh2: 'unknown', source: '' }
    : PINE_RSH_BUILD;
