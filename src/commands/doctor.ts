/**
 * `pine-rshctl doctor`: opens the mailbox of an alias step by step, as a mail client would, and says where it stops
 * and what to do. Status 0 only if mail would open, after the next login too.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { listAliases } from '../alias/list.ts';
import { Failure } from '../errors.ts';
import { Log } from '../log.ts';
import { startOpenDeadline } from '../open-deadline.ts';
import type { Settings } from '../settings.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { formatAddress } from '../transport/address.ts';
import { declareCommand, JSON_OPTION } from './command.ts';
import { type Finding, failed, passed } from './doctor/finding.ts';
import { explainHeld } from './doctor/held.ts';
import { examineImapd } from './doctor/imapd.ts';
import { examineLog } from './doctor/log.ts';
import { examineLogin, type LoginContext } from './doctor/login.ts';
import { examineName } from './doctor/name.ts';
import { examineOpening } from './doctor/opening.ts';
import { examinePinerc } from './doctor/pinerc.ts';
import { examineQueue } from './doctor/queue.ts';
import { formatFinding } from './doctor/report.ts';
import { examineSendmail, sendsThrough } from './doctor/sendmail.ts';
import { findAlias } from './find-alias.ts';
import { findBrokers } from './find-brokers.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import { type Output, paint, printJson, printLines } from './output.ts';
import { type PinercEntry, parsePinerc } from './pinerc-file.ts';

export const doctorCommand = declareCommand({
  name: 'doctor',
  summary: 'find out why mail does not open, or that it does',
  operands: { alias: { kind: 'many', summary: 'the aliases; all of them without one' } },
  options: {
    json: JSON_OPTION,
    pinerc: { kind: 'file', summary: "Alpine's configuration file (~/.pinerc)" },
  },
  examples: [
    ['work', 'every step of opening mail on work, with its time'],
    ['', 'the same for all aliases'],
    ['work --json', 'for programs; status 0 only if mail would open'],
  ],
  run: async ({ settings, programPath, output }, { alias, json, pinerc }) =>
    await runDoctor(settings, { words: alias, json, pinerc, programPath }, output),
});

export interface DoctorOptions {
  /** Aliases; none: all. */
  readonly words: readonly string[];
  readonly json: boolean;
  /** Undefined: `~/.pinerc`. */
  readonly pinerc: string | undefined;
  /** The absolute path of pine-rsh. */
  readonly programPath: string;
}

interface Report {
  readonly alias: string;
  /** Mail would open now. */
  readonly opens: boolean;
  readonly findings: readonly Finding[];
}

/**
 * Returns 0 if mail would open on all that were examined, now and later, else 1.
 *
 * @throws {Failure} `alias-missing`: there is none
 */
export async function runDoctor(settings: Settings, options: DoctorOptions, output: Output): Promise<number> {
  const words = options.words.length > 0 ? options.words : listNames(settings);
  const reports: Report[] = [];
  return await withInterrupt(output, async (signal) => {
    for (const word of words) {
      if (!options.json) printLines(output, [paint(output, 'bold', escapeForTerminal(word))]);
      const findings: Finding[] = [];
      const report = (finding: Finding): void => {
        findings.push(finding);
        if (!options.json) printLines(output, formatFinding(finding, output));
      };
      const held = await examine(word, { settings, options, signal, report });
      if (signal.aborted) return exitStatus(signal);
      const opens = findings.every((finding) => finding.mark !== 'failed' || finding === held);
      reports.push({ alias: word, opens, findings });
    }
    if (options.json) printJson(output, { aliases: reports });
    const marks = reports.flatMap(({ findings }) => findings.map(({ mark }) => mark));
    return marks.includes('failed') ? 1 : 0;
  });
}

function listNames(settings: Settings): string[] {
  const { aliases, problems } = listAliases(settings);
  const names = aliases.flatMap(({ name, shadowed }) => (shadowed ? [] : [name]));
  if (names.length > 0) return names;
  const [problem] = problems;
  if (problem !== undefined) throw problem;
  throw new Failure('alias-missing', { host: 'at all', remedy: 'run: pine-rshctl setup' });
}

interface Examination {
  readonly settings: Settings;
  readonly options: DoctorOptions;
  readonly signal: AbortSignal;
  readonly report: (finding: Finding) => void;
}

/** The failure, if there is one, that mail opens in spite of. */
async function examine(
  word: string,
  { settings, options, signal, report }: Examination,
): Promise<Finding | undefined> {
  const { programPath } = options;
  let host: string;
  let alias: Alias;
  try {
    ({ host, alias } = findAlias(settings, word));
  } catch (thrown) {
    report(failed('alias', thrown));
    return undefined;
  }
  report(passed('alias', alias.files.join(', ')));
  const named = await examineName(settings, host, alias.name);
  report(named.finding);
  const open = () => examineOpening(named.host, alias, { settings, programPath, signal });
  const file = options.pinerc === undefined ? `${settings.home}/.pinerc` : resolve(options.pinerc);
  const sends = alias.given.has('SENDMAIL') || sendsThrough(host, readPinerc(file));
  const deadline = startOpenDeadline(formatAddress(alias.hostname, alias.port), signal);
  const log = new Log(settings.stateDir, 0);
  const context = { settings, log, signal: deadline.signal, report };
  const failure = await examineSteps(alias, sends, context).finally(() => deadline.end());
  if (signal.aborted) return undefined;
  // A connection that somebody has made by hand (`connect`) serves mail although a login of our own would fail.
  const tries =
    named.finding.mark !== 'failed' && (failure === undefined || (await hasBroker(settings, alias)));
  const openings = tries ? await open() : [];
  const opened = openings[0]?.mark === 'ok';
  const held = failure !== undefined && opened ? explainHeld(failure, alias) : undefined;
  if (failure !== undefined) report(held === undefined ? failure : held[0]);
  if (failure === undefined || opened) for (const finding of openings) report(finding);
  if (held !== undefined) report(held[1]);
  for (const finding of examineQueue(alias, settings)) report(finding);
  for (const finding of examineLog(alias.name, settings)) report(finding);
  const pinerc = { settings, programPath, file, named: options.pinerc !== undefined };
  for (const finding of examinePinerc(host, alias, pinerc)) report(finding);
  return held?.[0];
}

/** What has failed on the way to a greeting, not reported yet. */
async function examineSteps(
  alias: Alias,
  sends: boolean,
  context: LoginContext,
): Promise<Finding | undefined> {
  const login = await examineLogin(alias, context);
  if ('failure' in login) return login.failure;
  try {
    const failure = await examineImapd(login.connection, alias, context);
    if (failure === undefined && sends) context.report(await examineSendmail(login.connection, alias));
    return failure;
  } finally {
    login.connection.close();
  }
}

/** Nothing where there is no file that can be read; `examinePinerc` says so. */
function readPinerc(file: string): PinercEntry[] {
  try {
    return parsePinerc(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}

async function hasBroker(settings: Settings, { name }: Alias): Promise<boolean> {
  const { brokers } = await findBrokers(settings);
  return brokers.some(({ alias }) => alias === name);
}
