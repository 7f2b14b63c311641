/** What there is to complete, from the declarations of the commands. Pure. */
import type { CtlCommand, Operand } from './command.ts';

export interface CompletedOption {
  /** `--lines` and, where there is one, `-n`. */
  readonly words: readonly string[];
  readonly takesValue: boolean;
  /** Its value is a file. */
  readonly takesFile: boolean;
  readonly summary: string;
}

/** Every command has it, and it alone is an option without a command. */
const HELP: CompletedOption = {
  words: ['--help', '-h'],
  takesValue: false,
  takesFile: false,
  summary: 'show this help',
};

export function listOptions(command: CtlCommand): CompletedOption[] {
  const own = Object.entries(command.options).map(([name, { kind, short, summary }]) => ({
    words: [`--${name}`, ...(short === undefined ? [] : [`-${short}`])],
    takesValue: kind !== 'switch',
    takesFile: kind === 'file',
    summary,
  }));
  return [...own, HELP];
}

/** What may stand as an operand: words, an alias, or something that only the person knows. */
type Offer = readonly string[] | 'alias' | 'free';

export interface CompletedOperand {
  readonly name: string;
  readonly offer: Offer;
  /** It is the last one, and may stand several times. */
  readonly repeats: boolean;
}

export function listOperands(command: CtlCommand): CompletedOperand[] {
  return Object.entries(command.operands).map(([name, operand]) => ({
    name,
    offer: findOffer(name, operand),
    repeats: operand.kind === 'several' || operand.kind === 'many',
  }));
}

function findOffer(name: string, { choices }: Operand): Offer {
  if (choices !== undefined) return choices;
  return name === 'alias' ? 'alias' : 'free';
}
