/**
 * `pine-rshctl status`: the brokers that run, and what each of them holds; the forwards that run, and where they lead.
 */
import { Failure } from '../errors.ts';
import { type ForwardRecord, formatForward, listForwards } from '../forward/record.ts';
import type { Settings } from '../settings.ts';
import { clipText, displayWidth, padText, wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { declareCommand, JSON_OPTION } from './command.ts';
import { findBrokers, printSilent, type RunningBroker, type SilentBroker } from './find-brokers.ts';
import { indent, type Output, paint, printJson, printLines, printProblem } from './output.ts';
import { formatAge, formatBytes, formatCount } from './quantity.ts';
import { countMail, describeMail } from './waiting-mail.ts';

export const statusCommand = declareCommand({
  name: 'status',
  summary: 'show the shared connections, the forwards and their use',
  operands: {},
  options: { json: JSON_OPTION },
  examples: [['', 'one line for each broker: a connection and the imapds kept ready on it']],
  run: async ({ settings, output }, args) => await runStatus(settings, args, output),
});

/**
 * Returns 0, or 1 if a broker does not answer or the queue cannot be read.
 *
 * @throws {Failure} `file-unusable`
 */
export async function runStatus(
  settings: Settings,
  options: { readonly json: boolean },
  output: Output,
): Promise<number> {
  const { brokers, silent } = await findBrokers(settings);
  const forwards = await listForwards(settings);
  const counted = countMail(settings);
  const unread = counted instanceof Failure;
  if (options.json) {
    const mail = unread ? { problem: counted.message } : counted;
    printJson(output, { brokers: brokers.map(toJson), silent: silent.map(silentToJson), forwards, mail });
  } else {
    if (brokers.length > 0) printLines(output, formatBrokers(brokers, output));
    else if (silent.length === 0) printLines(output, ['no broker runs']);
    printLines(output, formatForwards(forwards, output));
    const unsent = unread ? undefined : describeMail(counted);
    if (unsent !== undefined) {
      printLines(output, wrapText(`${unsent}; see pine-rshctl queue list`, output.columns));
    }
  }
  printSilent(output, silent);
  if (unread) printProblem(output, counted.message, counted.hint);
  return silent.length > 0 || unread ? 1 : 0;
}

function toJson({ alias, pid, version, retired, sessions, warm, age_s, bytes }: RunningBroker): object {
  return { alias, pid, version, retired, sessions, warm, age_s, bytes };
}

function silentToJson({ alias, pid, socket }: SilentBroker): object {
  return { alias: alias ?? null, pid: pid ?? null, socket };
}

/** Between two columns. */
const GAP = '  ';

/**
 * Columns without a heading: each says itself what it is.
 *
 * @internal
 */
export function formatBrokers(brokers: readonly RunningBroker[], output: Output): string[] {
  const rows = brokers.map((broker) => [
    escapeForTerminal(broker.alias),
    formatCount(broker.sessions, 'session'),
    broker.retired ? 'ends with them' : `${broker.warm} warm`,
    formatBytes(broker.bytes),
    formatAge(broker.age_s),
    `pid ${broker.pid}`,
    escapeForTerminal(broker.version),
  ]);
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, at) => Math.max(widest[at] ?? 0, displayWidth(cell))),
    [],
  );
  const width = widths.reduce((sum, each) => sum + each + GAP.length, -GAP.length);
  return rows.flatMap(([name = '', ...facts]) => {
    if (width > output.columns) {
      const head = paint(output, 'bold', clipText(name, output.columns));
      return [head, ...indent(facts.join(', '), output.columns)];
    }
    const cells = facts.map((cell, at) => padText(cell, widths[at + 1] ?? 0));
    return [
      `${paint(output, 'bold', name)}${padText('', (widths[0] ?? 0) - displayWidth(name))}${GAP}${cells.join(GAP)}`.trimEnd(),
    ];
  });
}

/** A head and a line for each place that is listened on. */
function formatForwards(records: readonly ForwardRecord[], output: Output): string[] {
  return records.flatMap(({ alias, pid, age_s, open, served, refused, forwards }) => {
    const counts = `${formatCount(open, 'connection')} open, ${served} served, ${refused} refused`;
    const head = `forward of ${alias}: ${counts}, ${formatAge(age_s)}, pid ${pid}`;
    return [
      ...wrapText(escapeForTerminal(head), output.columns),
      ...forwards.flatMap((each) => indent(escapeForTerminal(formatForward(each)), output.columns)),
    ];
  });
}
