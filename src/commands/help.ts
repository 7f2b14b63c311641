/** What --help shows: of all commands, or of one. Pure. */
import { displayWidth, padText, wrapText } from '../terminal-columns.ts';
import type { CtlCommand, Operand } from './command.ts';
import { COLUMNS_MAX } from './limits.ts';

const NAME = 'pine-rshctl';

/** Whose first examples stand below the list of commands: what somebody needs who sees it for the first time. */
const FIRST_STEPS: readonly string[] = ['setup', 'doctor', 'demo'];

/** How usage lines write an operand. */
const FORMATS = { required: '<NAME>', optional: '[NAME]', many: '[NAME..]', several: '<NAME..>' } as const;

/** Below this an explanation stands under what it explains, not beside it. */
const TABLE_COLUMNS = 60;
/** What is longer than this has its explanation below it, too. */
const TERM_COLUMNS = 24;

/** An example or an option, and what is said about it. */
type Row = readonly [term: string, text: string];

const COMMON: readonly Row[] = [
  ['-h, --help', 'show this help'],
  ['    --version', 'show the version'],
];

/** `<alias> [place]` */
export function formatOperands({ operands }: CtlCommand): string {
  return Object.entries(operands)
    .map(([name, { kind }]: [string, Operand]) => FORMATS[kind].replace('NAME', name))
    .join(' ');
}

/** The commands, in the order given. */
export function formatOverview(commands: readonly CtlCommand[], columns: number): string {
  const width = Math.min(columns, COLUMNS_MAX);
  const first = commands.filter(({ name }) => FIRST_STEPS.includes(name));
  return join([
    wrapText(`${NAME} <command> [options]`, width),
    [
      'Commands:',
      ...formatRows(
        commands.map((each) => [`${each.name} ${formatOperands(each)}`.trim(), each.summary]),
        width,
      ),
    ],
    ['Options:', ...formatRows(COMMON, width)],
    [
      'Examples:',
      ...formatExamples(
        first.map((each) => ({ ...each, examples: each.examples.slice(0, 1) })),
        width,
      ),
    ],
    wrapText(`${NAME} <command> --help shows the options of a command, and more examples`, width),
  ]);
}

/** One command: its operands, options and examples. */
export function formatCommandHelp(command: CtlCommand, columns: number): string {
  const width = Math.min(columns, COLUMNS_MAX);
  const operands = Object.entries(command.operands).map(([name, { summary }]): Row => [name, summary]);
  const options = Object.entries(command.options).map(
    ([name, { short, summary, preset }]): Row => [
      `${short === undefined ? '   ' : `-${short},`} --${name}`,
      preset === undefined ? summary : `${summary} (${preset})`,
    ],
  );
  return join([
    wrapText(`${NAME} ${command.name} ${formatOperands(command)} [options]`, width),
    wrapText(command.summary, width),
    operands.length === 0 ? [] : ['Arguments:', ...formatRows(operands, width)],
    ['Options:', ...formatRows([...COMMON, ...options], width)],
    ['Examples:', ...formatExamples([command], width)],
  ]);
}

function join(paragraphs: readonly (readonly string[])[]): string {
  return paragraphs
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function formatRows(rows: readonly Row[], width: number): string[] {
  const terms = rows.map(([term]) => displayWidth(term)).filter((each) => each <= TERM_COLUMNS);
  const margin = width < TABLE_COLUMNS ? 6 : Math.max(0, ...terms) + 4;
  return rows.flatMap(([term, text]) => {
    const lines = hang(text, margin, width);
    const fits = width >= TABLE_COLUMNS && displayWidth(term) + 4 <= margin;
    if (!fits) return [...hang(term, 2, width), ...lines];
    const [first = '', ...more] = lines;
    return [`  ${padText(term, margin - 2)}${first.slice(margin)}`, ...more];
  });
}

/** A command line on a line of its own: it is there to be copied. */
function formatExamples(commands: readonly CtlCommand[], width: number): string[] {
  return commands.flatMap(({ name, examples }) =>
    examples.flatMap(([words, effect]) => [
      ...hang(`${NAME} ${name} ${words}`.trimEnd(), 2, width, 4),
      ...hang(effect, 6, width),
    ]),
  );
}

/** Wraps a paragraph and sets it in, its later lines by `more`. Blanks before it stay. */
function hang(text: string, margin: number, width: number, more = margin): string[] {
  const lead = /^ */.exec(text)?.[0] ?? '';
  return wrapText(text, width - Math.max(margin, more) - lead.length).map(
    (line, at) => ' '.repeat(at === 0 ? margin : more) + lead + line,
  );
}
