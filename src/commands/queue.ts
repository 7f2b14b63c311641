/**
 * `pine-rshctl queue`: the mail that could not be sent yet, and what is held because only a person can decide about it.
 */
import { Failure } from '../errors.ts';
import { type FlushedMail, flushQueue } from '../mail/flush.ts';
import { type MailSummary, summarizeMail } from '../mail/message-summary.ts';
import { settleOrphans } from '../mail/orphans.ts';
import { type MailEntry, QueueFolder } from '../mail/queue-folder.ts';
import { openMail, type StoredMail } from '../mail/spool.ts';
import { nearestName } from '../nearest-name.ts';
import type { Settings } from '../settings.ts';
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { writeAll } from '../write-all.ts';
import { declareCommand, JSON_OPTION } from './command.ts';
import { findAlias } from './find-alias.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import { MAIL_PIECE, QUEUE_WAIT_MS } from './limits.ts';
import { type Output, printJson, printLines } from './output.ts';
import { formatSummary, toJson } from './queue-list.ts';

export const queueCommand = declareCommand({
  name: 'queue',
  summary: 'list, show, send or remove mail that waits to be sent',
  operands: {
    action: {
      kind: 'required',
      summary: 'list, show, flush or remove',
      choices: ['list', 'show', 'flush', 'remove'],
    },
    what: { kind: 'optional', summary: 'a message, or for list and flush an alias; all without it' },
  },
  options: {
    json: JSON_OPTION,
    raw: { kind: 'switch', summary: 'with show: the message alone, byte for byte' },
  },
  examples: [
    ['list', 'what waits, what is held and why'],
    ['flush', 'send what waits, now'],
    ['flush 1a2b3c', 'send a held message again'],
    ['show 1a2b3c --raw', 'the message, to be saved to a file'],
  ],
  run: async ({ settings, output }, args) => await runQueue(settings, args, output),
});

export interface QueueOptions {
  readonly action: string;
  readonly what: string | undefined;
  readonly json: boolean;
  readonly raw: boolean;
}

interface Request extends QueueOptions {
  readonly settings: Settings;
  readonly folder: QueueFolder;
  readonly output: Output;
  /** What nobody has been told yet to be held. */
  readonly orphans: readonly string[];
}

const ACTIONS: Readonly<Record<string, (request: Request) => number | Promise<number>>> = {
  list: runList,
  show: runShow,
  flush: runFlush,
  remove: runRemove,
};

/**
 * @throws {Failure} `usage`, `mail-missing`, `mail-damaged`, `mail-unreadable`, `queue-unusable`, and those of an alias's
 * files
 */
export async function runQueue(settings: Settings, options: QueueOptions, output: Output): Promise<number> {
  const run = Object.hasOwn(ACTIONS, options.action) ? ACTIONS[options.action] : undefined;
  if (run === undefined) {
    const near = nearestName(options.action, Object.keys(ACTIONS));
    const problem = `queue has no ${options.action}`;
    throw new Failure('usage', {
      problem: near === undefined ? problem : `${problem}; did you mean ${near}?`,
    });
  }
  const folder = new QueueFolder(settings);
  const orphans = settleOrphans(folder);
  return await run({ ...options, settings, output, folder, orphans });
}

/** 0, also if there is none. */
function runList({ settings, folder, what, json, output }: Request): number {
  const alias = what === undefined ? undefined : nameOf(settings, folder, what);
  const mails = folder.list(alias).flatMap((entry) => summarizeMail(folder, entry) ?? []);
  if (json) printJson(output, { messages: mails.map(toJson) });
  else if (mails.length === 0) print(output, 'no mail waits');
  else
    printLines(
      output,
      mails.flatMap((mail) => formatSummary(mail, Date.now(), output)),
    );
  return 0;
}

function runShow({ folder, what, json, raw, output }: Request): number {
  const entry = findMessage(folder, what, 'show');
  const summary = summarize(folder, entry);
  if (json) {
    printJson(output, toJson(summary));
    return 0;
  }
  const mail = openMail(folder, entry);
  if (mail === undefined) throw new Failure('mail-missing', { id: entry.id });
  if (!raw) {
    const args = escapeForTerminal(`sendmail ${mail.envelope.args.join(' ')}`);
    printLines(output, [
      ...formatSummary(summary, Date.now(), output),
      ...wrapText(args, output.columns),
      '',
    ]);
  }
  printMessage(mail, raw, output);
  mail.close();
  return 0;
}

function printMessage(mail: StoredMail, raw: boolean, output: Output): void {
  const buffer = Buffer.alloc(MAIL_PIECE);
  let open = '';
  for (let at = 0; at < mail.size; ) {
    const piece = buffer.subarray(0, mail.read(buffer, at));
    at += piece.length;
    if (raw) writeAll(1, piece);
    else {
      // A character may lie across two pieces; latin1 keeps its bytes together until the line is whole.
      const lines = (open + piece.toString('latin1')).split('\n');
      open = lines.pop() ?? '';
      printLines(output, lines.map(escapeLine));
    }
    if (piece.length === 0) break;
  }
  if (open !== '') printLines(output, [escapeLine(open)]);
}

function escapeLine(line: string): string {
  return escapeForTerminal(Buffer.from(line.replace(/\r$/, ''), 'latin1').toString('utf8'));
}

/** 0 if nothing is left that was to be sent. */
async function runFlush(request: Request): Promise<number> {
  const { settings, folder, what, json, output, orphans } = request;
  const again = folder.list().find(({ id }) => id === what?.toLowerCase());
  // Whoever names it must know what it is.
  if (again !== undefined && (again.state === 'new' || orphans.includes(again.id))) {
    return tellUnsent(again, request);
  }
  if (again !== undefined && isHeld(again)) folder.move(again, 'wait');
  const aliases =
    what === undefined
      ? [
          ...new Set(
            folder.list().flatMap((entry) => (isHeld(entry) || entry.state === 'new' ? [] : entry.alias)),
          ),
        ]
      : [again?.alias ?? nameOf(settings, folder, what)];
  const done: FlushedMail[] = [];
  const busy: string[] = [];
  const status = await withInterrupt(output, async (interrupted) => {
    const { signal } = abortNamed(interrupted);
    for (const alias of aliases) {
      const onMail = (mail: FlushedMail): void => {
        done.push(mail);
        if (!json) print(output, describeFlushed(mail));
      };
      const flushed = await flushQueue(alias, { settings, signal, onMail, waitMs: QUEUE_WAIT_MS });
      if (!flushed) busy.push(alias);
      if (interrupted.aborted) return exitStatus(interrupted);
    }
    return busy.length === 0 && done.every(({ outcome }) => outcome === 'delivered') ? 0 : 1;
  });
  if (json) printJson(output, { messages: done, busy });
  else {
    for (const alias of busy) print(output, `the mail of ${alias} is being sent already`);
    if (done.length === 0 && busy.length === 0) print(output, 'no mail waits');
  }
  return status;
}

/** Of a message that is not sent although it was named. */
function tellUnsent(entry: MailEntry, { folder, json, output }: Request): number {
  const { id, alias, state } = entry;
  if (state === 'new') {
    if (json) printJson(output, { messages: [], busy: [alias] });
    else print(output, `${id} ${alias}: is being sent already`);
    return 1;
  }
  const mail: FlushedMail = { id, alias, outcome: 'unknown', note: summarize(folder, entry).note };
  if (json) printJson(output, { messages: [mail], busy: [] });
  else print(output, `${describeFlushed(mail)}; flush it once more to send it again`);
  return 1;
}

/** The reason becomes part of a sentence. */
function abortNamed(signal: AbortSignal): AbortController {
  const named = new AbortController();
  const abort = (): void => named.abort('an interrupt');
  signal.addEventListener('abort', abort, { once: true });
  // Its reader may have gone before we began.
  if (signal.aborted) abort();
  return named;
}

function describeFlushed({ id, alias, outcome, note }: FlushedMail): string {
  const what = {
    delivered: 'sent',
    unreached: 'still waits',
    unsent: 'still waits',
    'put-off': 'still waits',
    refused: 'held, refused',
    unknown: 'held, may have been sent',
  }[outcome];
  return `${id} ${alias}: ${what}${note === '' ? '' : ` (${note})`}`;
}

function runRemove({ folder, what, output }: Request): number {
  const entry = findMessage(folder, what, 'remove');
  if (entry.state === 'last') {
    throw new Failure('usage', { problem: `message ${entry.id} is being sent; if not, flush it first` });
  }
  if (!folder.remove(entry)) throw new Failure('mail-missing', { id: entry.id });
  print(output, `removed ${entry.id}`);
  return 0;
}

function findMessage(folder: QueueFolder, id: string | undefined, action: string): MailEntry {
  if (id === undefined) throw new Failure('usage', { problem: `queue ${action} needs a message` });
  const entry = folder.list().find((each) => each.id === id.toLowerCase());
  if (entry === undefined) throw new Failure('mail-missing', { id });
  return entry;
}

function summarize(folder: QueueFolder, entry: MailEntry): MailSummary {
  const summary = summarizeMail(folder, entry);
  if (summary === undefined) throw new Failure('mail-missing', { id: entry.id });
  return summary;
}

/** An alias whose file is gone may still have mail. */
function nameOf(settings: Settings, folder: QueueFolder, word: string): string {
  const named = folder.list().find(({ alias }) => alias.toLowerCase() === word.toLowerCase());
  return named?.alias ?? findAlias(settings, word).alias.name;
}

function isHeld({ state }: MailEntry): boolean {
  return state === 'unknown' || state === 'refused';
}

function print(output: Output, text: string): void {
  printLines(output, wrapText(escapeForTerminal(text), output.columns));
}
