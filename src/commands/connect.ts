/**
 * `pine-rshctl connect ALIAS`: logs in where a person must answer (a passphrase, a password, a code), and leaves the
 * connection to the broker, over which mail clients then open their folders.
 */
import type { Alias } from '../alias/alias.ts';
import { BrokerUseless } from '../broker/client.ts';
import { connectThroughBroker } from '../broker/connect-client.ts';
import { launchBroker } from '../broker/launch.ts';
import { brokerSocketPath } from '../broker/socket-path.ts';
import { brokerFileName } from '../broker/spec.ts';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import type { Prompt } from '../transport/prompt.ts';
import { declareCommand } from './command.ts';
import { fetchAndTrust } from './fetch-and-trust.ts';
import { findAlias } from './find-alias.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import { type Output, printLines } from './output.ts';
import { createPrompt } from './terminal-prompt.ts';
import { type Ask, askOnTerminal } from './terminal-question.ts';

export const connectCommand = declareCommand({
  name: 'connect',
  summary: 'log in by hand, once for all mail clients',
  operands: { alias: { kind: 'required', summary: 'the alias to log in to' } },
  options: {},
  examples: [
    ['work', 'answer the passphrase, password or code, then open folders'],
    ['pat@work', 'where the folders have /user=pat and the alias has no USER'],
  ],
  run: async ({ settings, output }, { alias }) =>
    await runConnect(settings, alias, output, askOnTerminal(output)),
});

/**
 * Returns 0 when there is a connection, 1 if the person did not want one.
 *
 * @throws {Failure} `no-terminal`, what is wrong with the alias, `connect-not-shared`, `broker-unusable`, and whatever
 *   keeps the connection from being made
 */
export async function runConnect(
  settings: Settings,
  word: string,
  output: Output,
  ask: Ask,
): Promise<number> {
  const { alias } = findAlias(settings, word);
  if (!output.interactive) {
    const remedy = 'run it on a terminal, before the mail client';
    throw new Failure('no-terminal', { what: 'connect', remedy });
  }
  if (!alias.share) throw new Failure('connect-not-shared', { alias: alias.name });
  return await withInterrupt(output, async (signal) => {
    const question = { settings, output, ask, signal, fingerprint: undefined };
    try {
      for (let unknown: string | undefined; ; ) {
        const connected = await openConnection(alias, settings, question);
        if ('existed' in connected) {
          printConnected(word, connected.existed, settings, output);
          return 0;
        }
        // The host, or one gateway after the other; none of them twice.
        if (connected.unknown === unknown) throw connected.failure;
        unknown = connected.unknown;
        const hop = unknown === alias.name ? word : unknown;
        if (!(await fetchAndTrust(hop, question))) return 1;
      }
    } catch (thrown) {
      if (signal.aborted) return exitStatus(signal);
      if (!(thrown instanceof Declined)) throw thrown;
      printLines(output, ['not connected']);
      return 1;
    }
  });
}

/** The person ended his input instead of answering. */
class Declined extends Error {}

interface Person {
  readonly output: Output;
  readonly ask: Ask;
  readonly signal: AbortSignal;
}

/** Through the broker, which is started if there is none. */
async function openConnection(
  alias: Alias,
  settings: Settings,
  { output, ask, signal }: Person,
): Promise<{ readonly existed: boolean } | { readonly unknown: string; readonly failure: Failure }> {
  // A server that gives up must not leave a question behind.
  const over = new AbortController();
  const asked = createPrompt(ask, output, AbortSignal.any([signal, over.signal]));
  const prompt: Prompt = async (request) => {
    const answers = await asked(request);
    if (answers === undefined) throw new Declined();
    return answers;
  };
  try {
    const socket = brokerSocketPath(brokerFileName(alias, 0, settings), settings);
    if (socket === undefined) throw new BrokerUseless('no safe runtime folder');
    const connect = () => connectThroughBroker(socket, settings.uid, prompt, signal);
    let connected = await connect();
    if (connected === undefined) {
      await launchBroker({ alias, family: 0, settings, verbosity: 0, socket });
      connected = await connect();
    }
    if (connected === undefined) throw new BrokerUseless('it went away');
    return connected;
  } catch (thrown) {
    if (thrown instanceof BrokerUseless) {
      throw new Failure('broker-unusable', { why: thrown.message }, { cause: thrown });
    }
    if (!(thrown instanceof Failure) || thrown.code !== 'host-key-unknown') throw thrown;
    return { unknown: String(thrown.facts['alias']), failure: thrown };
  } finally {
    over.abort();
  }
}

function printConnected(word: string, existed: boolean, settings: Settings, output: Output): void {
  const said = [
    `${existed ? 'there is a connection' : 'connected'} to ${word}`,
    `it serves mail clients until it dies, or until: pine-rshctl stop ${word}`,
  ];
  // Connections are made for one agent each (broker/spec.ts).
  if (settings.agentSocket !== undefined) said.push('those that have another SSH_AUTH_SOCK do not find it');
  printLines(
    output,
    said.flatMap((line) => wrapText(escapeForTerminal(line), output.columns)),
  );
}
