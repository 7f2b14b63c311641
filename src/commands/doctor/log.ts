/** Can the log be written? It keeps no mail from opening, but what goes wrong in a mail client is told nowhere else. */
import { dirname } from 'node:path';
import { errnoOf, toError } from '../../errors.ts';
import { appendLog, logPath } from '../../log.ts';
import type { Settings } from '../../settings.ts';
import { type Finding, warned } from './finding.ts';

/** Leaves a line there; no finding where that works. */
export function examineLog(alias: string, { stateDir }: Settings): Finding[] {
  try {
    appendLog(stateDir, 'doctor', { alias });
    return [];
  } catch (thrown) {
    const why = errnoOf(thrown) ?? toError(thrown).message;
    const text = `${logPath(stateDir)} cannot be written (${why}): what mail clients cannot show is lost`;
    return [warned('log', text, remedyFor(why, logPath(stateDir)))];
  }
}

function remedyFor(why: string, file: string): string {
  switch (why) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'make room on its disk';
    case 'EACCES':
    case 'EPERM':
      return `make it and its folder yours, and run: chmod u+rwx ${dirname(file)}; chmod u+rw ${file}`;
    case 'EEXIST':
    case 'ENOTDIR':
      return `move away what is in the place of the folder ${dirname(file)}`;
    case 'EISDIR':
    case 'ELOOP':
    case 'ENXIO':
      return `move away ${file}, which is no file`;
    default:
      return 'set PINE_RSH_STATE_DIR to a folder that can be written';
  }
}
