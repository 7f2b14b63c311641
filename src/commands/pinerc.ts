/**
 * `pine-rshctl pinerc [ALIAS]`: the lines for ~/.pinerc that make Pine or Alpine use pine-rsh.
 */
import { listAliases } from '../alias/list.ts';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { declareCommand } from './command.ts';
import { findAlias } from './find-alias.ts';
import { type Output, printLines, printProblem } from './output.ts';
import {
  formatFolderLines,
  formatProgramLines,
  isUnsafeProgramPath,
  type PineFolder,
} from './pinerc-lines.ts';

export const pinercCommand = declareCommand({
  name: 'pinerc',
  summary: 'print the lines for ~/.pinerc',
  operands: { alias: { kind: 'optional', summary: 'only the folders of this alias' } },
  options: {},
  examples: [['work', 'lines to paste; quit Alpine first, it writes the file when it ends']],
  run: async ({ settings, programPath, output }, { alias }) =>
    runPinerc(settings, { programPath, alias }, output),
});

export interface PinercOptions {
  /** The absolute path of pine-rsh. */
  readonly programPath: string;
  /** Only this alias; without it all that work. */
  readonly alias: string | undefined;
}

/** Returns 0, or 1 if an alias had to be left out. @throws {Failure} when there is nothing right to print */
export function runPinerc(settings: Settings, options: PinercOptions, output: Output): number {
  const { programPath, alias } = options;
  if (isUnsafeProgramPath(programPath)) throw new Failure('program-path-unusable', { path: programPath });
  const lines = formatProgramLines(programPath);
  if (alias !== undefined) {
    const found = findAlias(settings, alias);
    const folder = { label: found.host, host: found.host, user: found.alias.user };
    printLines(output, [...lines, ...formatFolderLines([folder])].map(escapeLine));
    return 0;
  }
  const { aliases, problems } = listAliases(settings);
  const folders = aliases.flatMap((listing): PineFolder[] => {
    if (listing.alias === undefined || listing.shadowed) return [];
    const host = listing.name.slice(listing.name.lastIndexOf('@') + 1);
    return [{ label: listing.name, host, user: listing.alias.user }];
  });
  printLines(output, [...lines, ...formatFolderLines(folders)].map(escapeLine));
  const broken = [...problems, ...aliases.flatMap(({ problem }) => problem ?? [])];
  for (const problem of broken) printProblem(output, problem.message, problem.hint);
  return broken.length > 0 ? 1 : 0;
}

/** Keeps the tab that continues a list. */
function escapeLine(line: string): string {
  return line.replace(/[^\t]+/g, (text) => escapeForTerminal(text));
}
