/**
 * `pine-rshctl list`: every alias, where it leads, and what is wrong with it.
 */

import { aliasFile, hostsFolder } from '../alias/config-folder.ts';
import { type AliasListing, listAliases } from '../alias/list.ts';
import type { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { clipText, displayWidth, padText, wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { declareCommand, JSON_OPTION } from './command.ts';
import { indent, type Output, paint, printJson, printLines, printProblem } from './output.ts';

export const listCommand = declareCommand({
  name: 'list',
  summary: 'list all aliases and what is wrong with them',
  operands: {},
  options: {
    json: JSON_OPTION,
    names: { kind: 'switch', summary: 'print the names alone, one on a line' },
  },
  examples: [
    ['', 'all aliases of this user and this machine'],
    ['--names', 'for scripts; names that no mail client can give are left out'],
  ],
  run: async ({ settings, output }, args) => runList(settings, args, output),
});

export interface ListOptions {
  readonly json: boolean;
  readonly names?: boolean;
}

/** Returns 0, or 1 if any file or folder has a problem. */
export function runList(settings: Settings, options: ListOptions, output: Output): number {
  const { aliases, problems } = listAliases(settings);
  const failed = problems.length > 0 || aliases.some(({ problem }) => problem !== undefined);
  if (options.json) {
    printJson(output, { aliases: aliases.map(toJson), problems: problems.map(problemToJson) });
    return failed ? 1 : 0;
  }
  if (options.names) {
    const names = aliases.filter(({ shadowed }) => !shadowed).map(({ name }) => name);
    printLines(
      output,
      names.filter((name) => SAFE_NAME.test(name)),
    );
    return failed ? 1 : 0;
  }
  for (const problem of problems) printProblem(output, problem.message, problem.hint);
  if (aliases.length > 0) printLines(output, formatTable(aliases, output));
  else if (!failed) {
    const file = aliasFile(hostsFolder(settings.configDirs[0]), 'work');
    printProblem(
      output,
      'there is no alias yet',
      `run: pine-rshctl setup, or create ${file} with HOSTNAME=... and USER=...`,
    );
  }
  return failed ? 1 : 0;
}

function toJson({ name, file, aliases, alias, problem, shadowed }: AliasListing): object {
  return {
    name,
    file,
    aliases,
    shadowed,
    ...(alias && { hostname: alias.hostname, port: alias.port, user: alias.user }),
    ...(problem && { problem: problemToJson(problem) }),
  };
}

function problemToJson({ code, message, hint }: Failure): object {
  return { code, message, hint };
}

/** `pat@mail.example.org`, with the port where it is not SSH's own. */
export function formatAddress({ user, hostname, port }: NonNullable<AliasListing['alias']>): string {
  const host = hostname.includes(':') ? `[${hostname}]` : hostname;
  return `${user}@${host}${port === 22 ? '' : `:${port}`}`;
}

/** What pine-rsh takes as HOST or USER@HOST; a shell takes it literally, too. */
const SAFE_NAME = /^(?:[A-Za-z0-9_+:%][A-Za-z0-9._+:%-]*@)?[A-Za-z0-9_+:%][A-Za-z0-9._+:%-]*$/;

/** Between two columns. */
const GAP = '  ';

function formatTable(aliases: readonly AliasListing[], output: Output): string[] {
  const rows = aliases.map((listing) => ({
    listing,
    name: escapeForTerminal(listing.name),
    address: listing.alias === undefined ? '' : escapeForTerminal(formatAddress(listing.alias)),
    others: escapeForTerminal(listing.aliases.join(', ')),
  }));
  const widest = (texts: readonly string[]): number => Math.max(...texts.map(displayWidth));
  const nameColumn = widest(rows.map(({ name }) => name));
  const addressColumn = widest(rows.map(({ address }) => address));
  const inOneLine = rows.every(
    ({ others }) => nameColumn + addressColumn + displayWidth(others) + 2 * GAP.length <= output.columns,
  );
  return rows.flatMap(({ listing, name, address, others }) => {
    const notes = formatNotes(listing, output);
    if (inOneLine) {
      const columns = [padText(name, nameColumn), padText(address, addressColumn), others];
      return [paintName(columns.join(GAP).trimEnd(), name, output), ...notes];
    }
    const more = others === '' ? [] : indent(`also ${others}`, output.columns);
    const where = address === '' ? [] : indent(address, output.columns);
    return [paintName(clipText(name, output.columns), name, output), ...where, ...more, ...notes];
  });
}

function paintName(line: string, name: string, output: Output): string {
  return line.startsWith(name) ? paint(output, 'bold', name) + line.slice(name.length) : line;
}

function formatNotes({ file, problem, shadowed }: AliasListing, output: Output): string[] {
  const notes: string[] = [];
  if (shadowed) notes.push(...indent(escapeForTerminal(`shadowed, not used: ${file}`), output.columns));
  if (problem === undefined) return notes;
  const text = wrapText(escapeForTerminal(problem.message), output.columns - 2);
  notes.push(...text.map((line) => `  ${paint(output, 'red', line)}`));
  notes.push(...indent(escapeForTerminal(`hint: ${problem.hint}`), output.columns));
  return notes;
}
