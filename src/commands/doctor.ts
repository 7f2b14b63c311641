/**
 * `pine-rshctl doctor`: opens the mailbox of an alias step by step, as a mail client would, and says where it stops
 * and what to do. Status 0 only if mail would open.
 */
import { lookup } from 'node:dns/promises';
import type { Alias } from '../alias/alias.ts';
import { listAliases } from '../alias/list.ts';
import { Failure, toFailure } from '../errors.ts';
import { OPEN_DEADLINE_MS } from '../limits.ts';
import { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { formatAddress } from '../transport/address.ts';
import { reachDirectly } from '../transport/direct.ts';
import { declareCommand, JSON_OPTION } from './command.ts';
import { findAlias } from './find-alias.ts';
import { indent, type Output, paint, printJson, printLines } from './output.ts';

export const doctorCommand = declareCommand({
  name: 'doctor',
  summary: 'find out why mail does not open, or that it does',
  operands: { alias: { kind: 'optional', summary: 'one alias; all of them without it' } },
  options: { json: JSON_OPTION },
  examples: [
    ['work', 'every step of opening mail on work, with its time'],
    ['', 'the same for all aliases'],
  ],
  run: async ({ settings, output }, args) => await runDoctor(settings, args, output),
});

/** One step. A warning does not keep mail from opening. */
export interface Finding {
  readonly mark: 'ok' | 'warning' | 'failed';
  readonly check: 'alias' | 'name' | 'tcp' | 'kex' | 'login' | 'greeting';
  /** Milliseconds; undefined where time says nothing. */
  readonly ms: number | undefined;
  readonly text: string;
  readonly hint: string | undefined;
}

interface Report {
  readonly alias: string;
  readonly findings: readonly Finding[];
}

/** Returns 0 if mail would open on all that were examined, else 1. */
export async function runDoctor(
  settings: Settings,
  options: { readonly alias: string | undefined; readonly json: boolean },
  output: Output,
): Promise<number> {
  const names =
    options.alias !== undefined
      ? [options.alias]
      : listAliases(settings).aliases.flatMap(({ name, shadowed }) => (shadowed ? [] : [name]));
  if (names.length === 0) {
    const remedy = `create ${settings.configDirs[0]}/hosts/NAME.env`;
    throw new Failure('alias-missing', { host: 'at all', remedy });
  }
  const reports: Report[] = [];
  for (const alias of names) {
    const report = { alias, findings: await examine(settings, alias) };
    reports.push(report);
    if (!options.json) printLines(output, formatReport(report, output));
  }
  if (options.json) printJson(output, { aliases: reports });
  const failed = reports.some(({ findings }) => findings.some(({ mark }) => mark === 'failed'));
  return failed ? 1 : 0;
}

async function examine(settings: Settings, word: string): Promise<Finding[]> {
  let host: string;
  let alias: Alias;
  try {
    ({ host, alias } = findAlias(settings, word));
  } catch (error) {
    return [failed('alias', undefined, error)];
  }
  const [file = ''] = alias.files;
  const findings: Finding[] = [{ mark: 'ok', check: 'alias', ms: undefined, text: file, hint: undefined }];
  findings.push(await examineName(host));
  return [...findings, ...(await examineOpening(settings, alias))];
}

/**
 * An alias name that DNS knows leaves Alpine a host to fall back to when pine-rsh is killed; and Alpine passes the
 * name's canonical form, which may be another.
 */
async function examineName(host: string): Promise<Finding> {
  const check = 'name';
  try {
    const { address } = await lookup(host);
    return {
      mark: 'warning',
      check,
      ms: undefined,
      text: `${host} is a name of ${address}: if pine-rsh were killed, Alpine would try TCP port 143 there`,
      hint: 'rename the alias to a name that DNS does not know, or write /secure into the folder names',
    };
  } catch {
    const text = `${host} is no name in DNS: Alpine has nowhere to fall back to`;
    return { mark: 'ok', check, ms: undefined, text, hint: undefined };
  }
}

/** The steps of a login that `onStep` reports, in their order. */
const STEPS = ['tcp', 'kex', 'login', 'greeting'] as const;

async function examineOpening(settings: Settings, alias: Alias): Promise<Finding[]> {
  const findings: Finding[] = [];
  let since = performance.now();
  const passed = (check: Finding['check'], text: string): void => {
    const now = performance.now();
    findings.push({ mark: 'ok', check, ms: Math.round(now - since), text, hint: undefined });
    since = now;
  };
  const address = formatAddress(alias.hostname, alias.port);
  const texts: Readonly<Record<string, string>> = {
    tcp: `${address} answers`,
    kex: 'the host key is the known one',
    login: `logged in as ${alias.user}`,
  };
  let greeting = '';
  try {
    const session = await reachDirectly(
      {
        alias,
        session: { kind: 'mail', command: undefined },
        target: undefined,
        family: 0,
        settings,
        verbosity: 0,
        log: new Log(settings.stateDir, 0),
        signal: new AbortController().signal,
        onGreeting: (line) => {
          greeting = line.toString('latin1').trimEnd();
        },
        onStderr: () => {},
      },
      AbortSignal.timeout(OPEN_DEADLINE_MS),
      (step) => {
        const text = texts[step];
        if (text !== undefined) passed(step as Finding['check'], text);
      },
    );
    session.close();
    passed('greeting', greeting.replace(/\[CAPABILITY [^\]]*\]/, '[CAPABILITY ...]'));
  } catch (error) {
    const check = STEPS[findings.length] ?? 'greeting';
    findings.push(failed(check, Math.round(performance.now() - since), error));
  }
  return findings;
}

function failed(check: Finding['check'], ms: number | undefined, thrown: unknown): Finding {
  const { message, hint } = toFailure(thrown);
  return { mark: 'failed', check, ms, text: message, hint };
}

const TITLES: Readonly<Record<Finding['check'], string>> = {
  alias: 'alias file',
  name: 'name',
  tcp: 'connection',
  kex: 'host key',
  login: 'login',
  greeting: 'imapd',
};
const STYLES = { ok: 'green', warning: 'yellow', failed: 'red' } as const;

function formatReport({ alias, findings }: Report, output: Output): string[] {
  return [
    paint(output, 'bold', escapeForTerminal(alias)),
    ...findings.flatMap(({ mark, check, ms, text, hint }) => {
      const time = ms === undefined ? '' : `, ${ms} ms`;
      const head = `  ${paint(output, STYLES[mark], mark)}  ${TITLES[check]}${time}`;
      const lines = indent(escapeForTerminal(text), output.columns - 2);
      const hints = hint === undefined ? [] : indent(`hint: ${escapeForTerminal(hint)}`, output.columns - 2);
      return [head, ...[...lines, ...hints].map((line) => `  ${line}`)];
    }),
  ];
}
