/**
 * `pine-rshctl stop ALIAS`: ends the shared connections of an alias at once, open folders included.
 */
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { declareCommand } from './command.ts';
import { endBrokers, killBroker } from './end-brokers.ts';
import { findAlias } from './find-alias.ts';
import { findBrokers, printSilent, type SilentBroker } from './find-brokers.ts';
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
 * Returns 0 when none of them runs any more, also if none did; 1 if one does not answer and cannot be killed.
 *
 * @throws {Failure} `usage`; `alias-missing` and what is wrong with the alias's files, if no broker runs for it
 */
export async function runStop(settings: Settings, options: StopOptions, output: Output): Promise<number> {
  const { alias, all } = options;
  if (alias === undefined && !all) throw new Failure('usage', { problem: 'stop needs <alias> or --all' });
  if (alias !== undefined && all) throw new Failure('usage', { problem: 'stop takes <alias> or --all' });
  const found = await findBrokers(settings);
  const isMeant = chooseBrokers(settings, [...found.brokers, ...found.silent], alias);
  const brokers = found.brokers.filter(isMeant);
  // One that nobody knows may be meant.
  const silent = found.silent.filter((broker) => broker.alias === undefined || isMeant(broker));
  await endBrokers(brokers, settings);
  for (const broker of brokers) {
    const sessions = broker.sessions === 0 ? '' : ` with ${formatCount(broker.sessions, 'session')}`;
    print(output, `stopped the broker of ${broker.alias} (pid ${broker.pid})${sessions}`);
  }
  if (brokers.length === 0 && silent.length === 0) {
    print(output, alias === undefined ? 'no broker runs' : `no broker runs for ${alias}`);
  }
  const left = await killSilent(silent, settings, output);
  printSilent(output, left);
  return left.length > 0 ? 1 : 0;
}

/** Gives those that are still there. */
async function killSilent(
  silent: readonly SilentBroker[],
  { uid }: Settings,
  output: Output,
): Promise<SilentBroker[]> {
  const left: SilentBroker[] = [];
  for (const broker of silent) {
    const { socket, alias, pid } = broker;
    if (alias !== undefined && pid !== undefined && (await killBroker({ socket, alias, pid }, uid)))
      print(output, `killed the broker of ${alias} (pid ${pid}), which did not answer`);
    else left.push(broker);
  }
  return left;
}

interface NamedBroker {
  readonly alias?: string;
}

/** A broker outlives the file of its alias, so the name it was started with counts first. */
function chooseBrokers(
  settings: Settings,
  brokers: readonly NamedBroker[],
  word: string | undefined,
): (broker: NamedBroker) => boolean {
  if (word === undefined) return () => true;
  const isNamed =
    (name: string) =>
    ({ alias }: NamedBroker): boolean =>
      alias?.toLowerCase() === name.toLowerCase();
  return isNamed(brokers.some(isNamed(word)) ? word : findAlias(settings, word).alias.name);
}

function print(output: Output, text: string): void {
  printLines(output, wrapText(escapeForTerminal(text), output.columns));
}
