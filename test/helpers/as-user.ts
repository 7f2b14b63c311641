/** Running programs as another user than the one that runs the tests, which only root can and needs to. */
import { programPath } from './requirements.ts';

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** The words of a command that runs `words` as that user, in his own group alone. */
export function asUser(
  { uid, gid }: UserIds,
  words: readonly string[],
): [command: string, ...words: string[]] {
  if (process.getuid?.() === uid) return words as [string, ...string[]];
  const ids = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'];
  return [programPath('setpriv'), ...ids, '--', ...words];
}
