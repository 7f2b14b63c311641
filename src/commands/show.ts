/**
 * `pine-rshctl show ALIAS`: every value that holds for an alias and where it was set; ssh -G for people.
 */
import { basename } from 'node:path';
import type { Settings } from '../settings.ts';
import { displayWidth, padText, wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { listValues, type SourcedValue } from './alias-values.ts';
import { declareCommand, JSON_OPTION } from './command.ts';
import { findAlias } from './find-alias.ts';
import { indent, type Output, paint, printJson, printLines } from './output.ts';

export const showCommand = declareCommand({
  name: 'show',
  summary: 'show what holds for an alias and where it was set',
  operands: { alias: { kind: 'required', summary: 'an alias, or any name it answers to' } },
  options: { json: JSON_OPTION },
  examples: [
    ['work', 'all values of the alias work'],
    ['pat@work --json', 'as user pat, for a program'],
  ],
  run: async ({ settings, output }, args) => runShow(settings, args, output),
});

export interface ShowOptions {
  readonly alias: string;
  readonly json: boolean;
}

/** Returns 0. @throws {Failure} what is wrong with the alias */
export function runShow(settings: Settings, options: ShowOptions, output: Output): number {
  const { alias } = findAlias(settings, options.alias);
  const values = listValues(alias, settings);
  if (options.json) {
    const entries = values.map(({ key, value, source }) => [
      key,
      { value: value ?? null, source: source ?? null },
    ]);
    printJson(output, { name: alias.name, files: alias.files, values: Object.fromEntries(entries) });
    return 0;
  }
  printLines(output, [
    paint(output, 'bold', escapeForTerminal(alias.name)),
    ...alias.files.flatMap((file) => indent(escapeForTerminal(file), output.columns)),
    '',
    ...formatValues(values, alias.files, output),
  ]);
  if (!alias.sshConfig) return 0;
  printLines(output, [
    '',
    ...wrapText('SSH_CONFIG=yes: what is default here may be set by ~/.ssh/config', output.columns),
  ]);
  return 0;
}

/** Below this the table becomes one line per value with its source underneath. */
const TABLE_COLUMNS = 70;
const GAP = 2;

function formatValues(values: readonly SourcedValue[], files: readonly string[], output: Output): string[] {
  const rows = values.map((row) => ({
    key: row.key,
    value: escapeForTerminal(row.value ?? row.fallback),
    source: row.source === undefined ? 'default' : escapeForTerminal(formatSource(row.source, files)),
    isDefault: row.source === undefined,
  }));
  const style = (isDefault: boolean, line: string): string =>
    isDefault ? line : paint(output, 'bold', line);
  if (output.columns < TABLE_COLUMNS) {
    return rows.flatMap(({ key, value, source, isDefault }) =>
      [...wrapText(`${key}=${value}`, output.columns), ...indent(source, output.columns)].map((line) =>
        style(isDefault, line),
      ),
    );
  }
  const widest = (texts: readonly string[]): number => Math.max(...texts.map(displayWidth));
  const keyColumn = widest(rows.map(({ key }) => key)) + GAP;
  // A path of a file may be long; the values need the room more.
  const sourceColumn = Math.min(widest(rows.map(({ source }) => source)), Math.floor(output.columns / 3));
  const longest = widest(rows.map(({ value }) => value));
  const valueColumn = Math.min(longest, output.columns - keyColumn - sourceColumn - GAP);
  return rows.flatMap(({ key, value, source, isDefault }) => {
    const valueLines = wrapText(value, valueColumn);
    const sourceLines = wrapText(source, sourceColumn);
    return Array.from({ length: Math.max(valueLines.length, sourceLines.length) }, (_, index) => {
      const head = padText(index === 0 ? key : '', keyColumn);
      const line = `${head}${padText(valueLines[index] ?? '', valueColumn + GAP)}${sourceLines[index] ?? ''}`;
      return style(isDefault, line.trimEnd());
    });
  });
}

/** `work.env:3`; the whole path where the name alone could mean two files. */
function formatSource({ file, line }: NonNullable<SourcedValue['source']>, files: readonly string[]): string {
  const name = basename(file);
  const alone = files.filter((other) => basename(other) === name).length === 1;
  return `${alone ? name : file}:${line}`;
}
