/**
 * What a command of pine-rshctl declares about itself. Plain data, so that the command needs no parser library and
 * `ctl-args.ts` alone knows how arguments are read.
 */
import type { Settings } from '../settings.ts';
import type { Output } from './output.ts';

/** What every command gets beside its arguments. */
export interface CtlContext {
  readonly settings: Settings;
  /** The absolute path of pine-rsh, as it belongs into a .pinerc. */
  readonly programPath: string;
  readonly output: Output;
}

/**
 * A word after the command, in the order of declaration; an optional one may be left out. The last may be many: any
 * number, or several, at least one.
 */
export interface Operand {
  readonly kind: 'required' | 'optional' | 'many' | 'several';
  readonly summary: string;
  /** The words it may be, for completions; the command itself says what is wrong with another. */
  readonly choices?: readonly string[];
}

/** `--NAME`, `--NAME NUMBER`, `--NAME TEXT` or `--NAME FILE`; `short` is a letter. */
export interface Option {
  readonly kind: 'switch' | 'count' | 'text' | 'file';
  readonly short?: string;
  readonly summary: string;
  /** What a count is when it is not given. */
  readonly preset?: number;
}

type OperandValue<T extends Operand> = T['kind'] extends 'required'
  ? string
  : T['kind'] extends 'many' | 'several'
    ? readonly string[]
    : string | undefined;
type OptionValue<T extends Option> = T['kind'] extends 'switch'
  ? boolean
  : T['kind'] extends 'count'
    ? number
    : string | undefined;

/** The values of a command's operands and options under their names. */
type CtlArguments<A extends Readonly<Record<string, Operand>>, O extends Readonly<Record<string, Option>>> = {
  readonly [K in keyof A]: OperandValue<A[K]>;
} & { readonly [K in keyof O]: OptionValue<O[K]> };

/** The same without the types of one command's own arguments. */
export type CtlValues = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>;

interface Declaration<
  A extends Readonly<Record<string, Operand>>,
  O extends Readonly<Record<string, Option>>,
  Values,
> {
  readonly name: string;
  /** One line, as all wording lower case and without a full stop. */
  readonly summary: string;
  readonly operands: A;
  readonly options: O;
  /** Arguments worth trying, and what they do. */
  readonly examples: readonly (readonly [words: string, effect: string])[];
  /** Returns the exit status. @throws {Failure} to be shown, status 1 */
  run(context: CtlContext, args: Values): Promise<number>;
}

/** A command as the parser sees it. */
export type CtlCommand = Declaration<
  Readonly<Record<string, Operand>>,
  Readonly<Record<string, Option>>,
  CtlValues
>;

/** Checks a declaration; only its own `run` needs the types of its arguments. */
export function declareCommand<
  const A extends Readonly<Record<string, Operand>>,
  const O extends Readonly<Record<string, Option>>,
>(command: Declaration<A, O, CtlArguments<A, O>>): CtlCommand {
  // The parser hands `run` exactly what `operands` and `options` declare.
  return command as unknown as CtlCommand;
}

/** For every command whose output a program may read. */
export const JSON_OPTION = { kind: 'switch', summary: 'print JSON, for programs' } as const;
