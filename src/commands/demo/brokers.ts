/** The brokers that the demo's sessions start: ended, because they would outlive the demo. */
import { listBrokers } from '../../broker/status.ts';
import type { Settings } from '../../settings.ts';
import { endBrokers } from '../end-brokers.ts';

/** Ends all brokers of these settings and waits until their processes are gone. */
export async function endAllBrokers(settings: Settings): Promise<void> {
  await endBrokers(await listBrokers(settings), settings);
}
