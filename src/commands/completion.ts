/**
 * `pine-rshctl completion SHELL`: what the shells need to complete both programs. Commands, options and operands come
 * from their declarations, aliases from `pine-rshctl list --names` at the moment of asking.
 */
import { Failure } from '../errors.ts';
import { nearestName } from '../nearest-name.ts';
import { type CtlCommand, declareCommand } from './command.ts';
import { formatBashCompletion } from './completion-bash.ts';
import { formatFishCompletion } from './completion-fish.ts';
import { formatZshCompletion } from './completion-zsh.ts';

const FORMATS: ReadonlyMap<string, (commands: readonly CtlCommand[]) => string> = new Map([
  ['bash', formatBashCompletion],
  ['zsh', formatZshCompletion],
  ['fish', formatFishCompletion],
]);

/** @param commands all commands, this one included; asked for when it runs */
export function declareCompletion(commands: () => readonly CtlCommand[]): CtlCommand {
  return declareCommand({
    name: 'completion',
    summary: 'print what a shell needs to complete aliases, commands and options',
    operands: { shell: { kind: 'required', summary: 'bash, zsh or fish', choices: [...FORMATS.keys()] } },
    options: {},
    examples: [
      ['bash', 'source <(pine-rshctl completion bash), in ~/.bashrc'],
      ['zsh', 'source <(pine-rshctl completion zsh), in ~/.zshrc behind compinit'],
      ['fish', 'pine-rshctl completion fish | source, in config.fish'],
    ],
    run: async ({ output }, { shell }) => {
      const format = FORMATS.get(shell);
      if (format === undefined) {
        const near = nearestName(shell, [...FORMATS.keys()]);
        const problem = `no completions for ${shell}`;
        throw new Failure('usage', {
          problem: near === undefined ? problem : `${problem}; did you mean ${near}?`,
        });
      }
      output.stdout.write(format(commands()));
      return 0;
    },
  });
}
