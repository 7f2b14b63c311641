/** A host that has no alias file: how long Pine waits until it may go on without us. */
import { join } from 'node:path';
import { ROOT } from '../../test/helpers/builds.ts';
import { timeRun } from '../mail-session.ts';
import { compare, type Measure, QUICK_RUNS } from '../measure.ts';
import { openHome, STANDALONE, type Stage } from '../stage.ts';

const FLOOR = '/bin/true';

export async function measureDecline(stage: Stage): Promise<Measure> {
  const { env } = openHome(stage, 0);
  const words = ['mail.example.net', '-l', 'pat', 'exec', '/etc/rimapd'];
  const files = {
    'pine-rsh': STANDALONE,
    'pine-rsh through bin/': join(ROOT, 'bin', 'pine-rsh'),
    'pine-rsh.mjs on Node': join(ROOT, 'dist', 'pine-rsh.mjs'),
    [FLOOR]: FLOOR,
  };
  const subjects = Object.entries(files).map(([who, file]) => ({
    who,
    sample: async () => {
      const { ms, output } = await timeRun({ file, words, env });
      if (output !== '') throw new Error(`${who}: ${output}`);
      return ms;
    },
  }));
  const figures = await compare(subjects, stage.runs * QUICK_RUNS);
  return { part: 'decline', what: 'host without an alias, to exit', unit: 'ms', figures, base: FLOOR };
}
