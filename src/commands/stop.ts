/**
 * `pine-rshctl stop ALIAS`: ends the shared connections of an alias at once, open folders included.
 */
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { declareCommand } from './command.ts';
import { endBrokers } from './end-brokers.ts';
import { findAlias } from './find-alias.ts';
import { findBrokers, printSilent, type RunningBroker } from './find-brokers.ts';
import { type Output, printLines } from './output.ts';
import { formatCount } from './quantity.ts';

export const stopCommand = declareCommand({
  name: 'stop',
  summary: 'end the shared connections of an alias at once',
  operands: { alias: { kind: 'optional', summary: 'the alias whose connections end' } },
  options: { all: { kind: 'switch', summary: 'those of all aliases' } },
  examples: [
    ['work', 'folders that are open on work lose their connection'],
    ['--all', 'before a network changes, or an upgrade'],
  ],
  run: async ({ settings, output }, args) => await runStop(settings, args, output),
});

export interface StopOptions {
  readonly alias: string | undefined;
  readonly all: boolean;
}

/**
 * Returns 0 when none of them runs any more, also if none did; 1 if a broker does not answer.
 *
 * @throws {Failure} `usage`; `alias-missing` and what is wrong with the alias's files, if no broker runs for it
 */
export async function runStop(settings: Settings, options: StopOptions, output: Output): Promise<number> {
  const { alias, all } = options;
  if (alias === undefined && !all) throw new Failure('usage', { problem: 'stop needs <alias> or --all' });
  if (alias !== undefined && all) throw new Failure('usage', { problem: 'stop takes <alias> or --all' });
  const { brokers, silent } = await findBrokers(settings);
  const chosen = alias === undefined ? brokers : chooseBrokers(settings, brokers, alias);
  await endBrokers(chosen, settings);
  for (const broker of chosen) {
    const sessions = broker.sessions === 0 ? '' : ` with ${formatCount(broker.sessions, 'session')}`;
    print(output, `stopped the broker of ${broker.alias} (pid ${broker.pid})${sessions}`);
  }
  if (chosen.length === 0 && silent.length === 0) {
    print(output, alias === undefined ? 'no broker runs' : `no broker runs for ${alias}`);
  }
  printSilent(output, silent);
  return silent.length > 0 ? 1 : 0;
}

/** A broker outlives the file of its alias, so the name it was started with counts first. */
function chooseBrokers(
  settings: Settings,
  brokers: readonly RunningBroker[],
  word: string,
): readonly RunningBroker[] {
  const named = (name: string): readonly RunningBroker[] =>
    brokers.filter(({ alias }) => alias.toLowerCase() === name.toLowerCase());
  const chosen = named(word);
  return chosen.length > 0 ? chosen : named(findAlias(settings, word).alias.name);
}

function print(output: Output, text: string): void {
  printLines(output, wrapText(escapeForTerminal(text), output.columns));
}
