/**
 * The arguments of pine-rshctl. The one file that knows yargs: it turns what the commands declare about themselves
 * into a parser, and what went wrong into one line with a hint.
 *
 * A new command is a file in `commands/` and an entry in `COMMANDS`.
 */
import yargs, { type Argv } from 'yargs';
import type { CtlCommand, CtlContext, CtlValues } from './commands/command.ts';
import { declareCompletion } from './commands/completion.ts';
import { connectCommand } from './commands/connect.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { forwardCommand } from './commands/forward.ts';
import { formatCommandHelp, formatOperands, formatOverview } from './commands/help.ts';
import { listCommand } from './commands/list.ts';
import { logCommand } from './commands/log.ts';
import { type Output, printProblem } from './commands/output.ts';
import { pinercCommand } from './commands/pinerc.ts';
import { openProcessOutput } from './commands/process-output.ts';
import { queueCommand } from './commands/queue.ts';
import { setupCommand } from './commands/setup.ts';
import { showCommand } from './commands/show.ts';
import { statusCommand } from './commands/status.ts';
import { stopCommand } from './commands/stop.ts';
import { trustCommand } from './commands/trust.ts';
import { Failure, toError, toFailure } from './errors.ts';
import { Log } from './log.ts';
import { nearestName } from './nearest-name.ts';
import type { Settings } from './settings.ts';

/** In the order of the help. The manual, the completions and the README are checked against it. */
export const COMMANDS: readonly CtlCommand[] = [
  setupCommand,
  listCommand,
  showCommand,
  pinercCommand,
  doctorCommand,
  trustCommand,
  connectCommand,
  forwardCommand,
  statusCommand,
  stopCommand,
  queueCommand,
  logCommand,
  declareCompletion(() => COMMANDS),
  demoCommand,
];

const NAME = 'pine-rshctl';
/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;
/** EX_SOFTWARE. */
const EXIT_INTERNAL = 70;
const EXIT_PROBLEM = 1;

/** What only `main` knows. */
export interface CtlProgram {
  /** The absolute path of pine-rsh, as it belongs into a .pinerc: the launcher where there is one. */
  readonly path: string;
  readonly version: string;
}

/** What holds for the output when it is not known what the environment says. */
const PLAIN = { noColor: true, term: '' };

/**
 * One run of pine-rshctl on the standard streams; returns the exit status.
 *
 * @param readSettings called here, because what it throws must be told like any other failure
 */
export async function runProgram(
  argv: readonly string[],
  readSettings: () => Settings,
  program: CtlProgram,
): Promise<number> {
  let settings: Settings;
  try {
    settings = readSettings();
  } catch (thrown) {
    const terminal = openProcessOutput(PLAIN);
    const status = tellFailure(thrown, argv, terminal, undefined);
    await terminal.flush();
    return status;
  }
  const terminal = openProcessOutput(settings);
  // What nobody waits for.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (thrown) => process.exit(tellFailure(thrown, argv, terminal, settings)));
  }
  const status = await runCtl(argv, settings, program, terminal);
  // Half an output must not look like a whole one.
  return (await terminal.flush()) ? status : status || EXIT_PROBLEM;
}

/** Runs the command that `argv` (without the program's name) names and gives the exit status. */
export async function runCtl(
  argv: readonly string[],
  settings: Settings,
  { path, version }: CtlProgram,
  output: Output,
): Promise<number> {
  const context: CtlContext = { settings, programPath: path, output };
  try {
    const parsed = parseArguments(argv, version, output);
    if (typeof parsed === 'string') {
      output.stdout.write(`${parsed}\n`);
      return 0;
    }
    return await parsed.command.run(context, parsed.args);
  } catch (thrown) {
    return tellFailure(thrown, argv, output, settings);
  }
}

/** Returns the exit status. A bug's stack goes to the log, where it is known where that is. */
function tellFailure(
  thrown: unknown,
  argv: readonly string[],
  output: Output,
  settings: Settings | undefined,
): number {
  const failure = toFailure(thrown);
  const isUsage = failure.code === 'usage';
  const topic = COMMANDS.some(({ name }) => name === argv[0]) ? `${argv[0]} ` : '';
  printProblem(output, failure.message, isUsage ? `see ${NAME} ${topic}--help` : failure.hint);
  if (isUsage) return EXIT_USAGE;
  if (failure.code !== 'internal') return EXIT_PROBLEM;
  if (settings !== undefined) {
    new Log(settings.stateDir, 0).record('failure', {
      command: argv[0],
      code: failure.code,
      text: failure.message,
      stack: toError(thrown).stack,
    });
  }
  return EXIT_INTERNAL;
}

interface Parsed {
  readonly command: CtlCommand;
  readonly args: CtlValues;
}

/** The command and its arguments, or the text that --help or --version asked for. @throws {Failure} `usage` */
function parseArguments(argv: readonly string[], version: string, output: Output): Parsed | string {
  const [word] = argv;
  if (word === undefined) throw usage('a command is missing');
  const names = COMMANDS.map(({ name }) => name);
  if (!word.startsWith('-') && !names.includes(word))
    throw usage(`unknown command ${word}`, nearestName(word, names));

  let parsed: Parsed | undefined;
  let text = '';
  const parser = openParser(argv, version);
  for (const command of COMMANDS) {
    parser.command(
      `${command.name} ${formatOperands(command)}`.trim(),
      command.summary,
      (options) => declareArguments(options, command),
      (values) => {
        parsed = { command, args: readArguments(command, values) };
      },
    );
  }
  parser.parse([...argv], {}, (_error, _values, help) => {
    text = help === '' || help === version ? help : formatHelp(argv, output);
  });
  if (parsed !== undefined) return parsed;
  if (text !== '') return text;
  throw usage('a command is missing');
}

/** Ours: in the columns of yargs words break on a narrow terminal, and an example is not one line. */
function formatHelp(argv: readonly string[], { columns }: Output): string {
  // Operands may be called like a command: `queue list`.
  const word = argv.find((each) => !each.startsWith('-'));
  const command = COMMANDS.find(({ name }) => name === word);
  return command === undefined ? formatOverview(COMMANDS, columns) : formatCommandHelp(command, columns);
}

function openParser(argv: readonly string[], version: string): Argv {
  return (
    yargs()
      .scriptName(NAME)
      .help()
      .alias('help', 'h')
      .version(version)
      // Messages are in English like everything else here, whatever LANG says.
      .locale('en')
      .detectLocale(false)
      .strict()
      .exitProcess(false)
      .parserConfiguration({
        'boolean-negation': false,
        'camel-case-expansion': false,
        'dot-notation': false,
        'parse-numbers': false,
        'parse-positional-numbers': false,
      })
      .fail((message, error) => {
        throw error instanceof Failure ? error : explainMisuse(argv, message ?? error?.message ?? '');
      })
  );
}

function declareArguments(parser: Argv, command: CtlCommand): Argv {
  for (const name of Object.keys(command.operands)) parser.positional(name, { type: 'string' });
  for (const [name, { kind, short }] of Object.entries(command.options)) {
    parser.option(name, {
      ...(short !== undefined && { alias: short }),
      ...(kind === 'switch' ? { boolean: true } : { string: true, requiresArg: true }),
    });
  }
  return parser;
}

/** @throws {Failure} `usage` */
function readArguments(command: CtlCommand, values: Readonly<Record<string, unknown>>): CtlValues {
  // Words behind `--` escape yargs's strictness.
  const [, surplus] = Array.isArray(values['_']) ? values['_'] : [];
  if (surplus !== undefined) throw usage(`unknown argument ${surplus}`);
  const args: Record<string, CtlValues[string]> = {};
  for (const [name, { kind }] of Object.entries(command.operands)) {
    const value = values[name];
    if (kind === 'many' || kind === 'several') args[name] = Array.isArray(value) ? value.map(String) : [];
    else args[name] = typeof value === 'string' ? value : undefined;
  }
  for (const [name, { kind, preset }] of Object.entries(command.options)) {
    // yargs collects an option that is given twice; the last one counts.
    const given = values[name];
    const value: unknown = Array.isArray(given) ? given.at(-1) : given;
    if (kind === 'switch') args[name] = value === true;
    else if (kind === 'count') args[name] = readCount(name, value, preset);
    else args[name] = typeof value === 'string' ? value : undefined;
  }
  return args;
}

function readCount(name: string, value: unknown, preset: number | undefined): number | undefined {
  if (value === undefined) return preset;
  if (typeof value !== 'string' || !/^\d{1,9}$/.test(value)) throw usage(`--${name} is a whole number`);
  return Number(value);
}

/** Turns what yargs says into our voice, and names the option that was probably meant. */
function explainMisuse(argv: readonly string[], message: string): Failure {
  const command = COMMANDS.find(({ name }) => name === argv[0]);
  if (message.startsWith('Not enough non-option arguments')) {
    return usage(`${command?.name} needs ${command && formatOperands(command)}`);
  }
  const [unknown] = /^Unknown arguments?: (.*)$/.exec(message)?.[1]?.split(', ') ?? [];
  if (unknown === undefined) return usage(message.charAt(0).toLowerCase() + message.slice(1));
  const asOption = argv.find((word) => /^--?/.test(word) && word.replace(/^--?|=.*$/g, '') === unknown);
  if (asOption === undefined) return usage(`unknown argument ${unknown}`);
  const near = nearestName(unknown, Object.keys(command?.options ?? {}));
  return usage(`unknown option ${asOption.replace(/=.*$/, '')}`, near && `--${near}`);
}

function usage(problem: string, nearest?: string): Failure {
  return new Failure('usage', {
    problem: nearest === undefined ? problem : `${problem}; did you mean ${nearest}?`,
  });
}
