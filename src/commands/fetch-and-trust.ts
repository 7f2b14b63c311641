/** A host's keys, fetched and put before a person; what `trust` does, and `connect` for a host that is not known. */
import { Log } from '../log.ts';
import { findHop } from './find-hop.ts';
import { type DialogueOptions, trustHostKeys } from './host-key-dialogue.ts';
import { createPrompt } from './terminal-prompt.ts';

/**
 * Returns whether a connection will accept the host.
 *
 * @param word as `findHop` takes it
 * @throws {Failure} what `findHop` throws, what keeps us from reaching the host, what is wrong with its keys
 *   (`host-key-dialogue.ts`)
 */
export async function fetchAndTrust(word: string, options: DialogueOptions): Promise<boolean> {
  const { settings, output, ask, signal } = options;
  // A gateway is logged in to, and may want an answer.
  const prompt = output.interactive ? createPrompt(ask, output, signal) : undefined;
  const context = { settings, log: new Log(settings.stateDir, 0), family: 0, signal, prompt } as const;
  const { alias, gateways } = await findHop(word, context);
  // The SSH library takes longer to load than all the rest.
  const { fetchHostKeys } = await import('../transport/fetch-host-keys.ts');
  return await trustHostKeys(alias, await fetchHostKeys(alias, gateways, context), options);
}
