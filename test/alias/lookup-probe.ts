/** A process that does one lookup: `USER-FOLDER SYSTEM-FOLDER HOST`; for tests that watch what it opens. */
import { lookupAlias } from '../../src/alias/lookup.ts';

const [user, system, host] = process.argv.slice(2) as [string, string, string];
const found = lookupAlias(
  { uid: process.getuid?.() ?? 0, home: '/nonexistent', loginName: 'me', configDirs: [user, system] },
  { host, user: undefined, port: undefined, options: new Map() },
);
process.stdout.write(found.kind === 'managed' ? `managed ${found.alias.port}\n` : 'unmanaged\n');
