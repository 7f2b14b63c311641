/**
 * Messages whose sender was killed while its caller waited. Of one that is whole nobody knows whether it was delivered,
 * so it is held; one that is not was never sent, and is removed a day later.
 */
import { toFailure } from '../errors.ts';
import { MAIL_STALE_MS } from '../limits.ts';
import { MACHINE, type MailEntry, type QueueFolder } from './queue-folder.ts';
import { holdMail, openMail } from './spool.ts';

/** Gives the ids of the messages that are held from now on. Never fails: whoever looks next tries again. */
export function settleOrphans(folder: QueueFolder): string[] {
  const held: string[] = [];
  try {
    for (const entry of folder.list()) {
      if (entry.state !== 'new' || !(isStale(entry) || isOrphan(entry))) continue;
      if (isWhole(folder, entry)) {
        holdMail(folder, entry, 'unknown', 'its sender died');
        held.push(entry.id);
      } else if (isStale(entry)) folder.remove(entry);
    }
  } catch {
    // A queue that cannot be read or changed: its own commands say so.
  }
  return held;
}

function isStale({ time }: MailEntry): boolean {
  return Date.now() - time > MAIL_STALE_MS;
}

/** Nothing is known of processes on another machine. */
function isOrphan({ machine, pid }: MailEntry): boolean {
  if (machine !== MACHINE || pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    // ESRCH; with EPERM the number is another user's by now.
    return true;
  }
}

function isWhole(folder: QueueFolder, entry: MailEntry): boolean {
  try {
    const mail = openMail(folder, entry);
    mail?.close();
    return mail !== undefined;
  } catch (thrown) {
    if (toFailure(thrown).code === 'mail-damaged') return false;
    throw thrown;
  }
}
