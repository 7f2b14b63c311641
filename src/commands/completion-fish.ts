/** Completions for fish(1). Pure. */
import type { CtlCommand } from './command.ts';
import { type CompletedOption, listOperands, listOptions } from './completion-words.ts';

export function formatFishCompletion(commands: readonly CtlCommand[]): string {
  const valued = commands
    .flatMap(listOptions)
    .filter(({ takesValue }) => takesValue)
    .flatMap(({ words }) => words);
  return `# fish completion of pine-rshctl and pine-rsh; made by: pine-rshctl completion fish

function __pine_rsh_aliases
    set -l program (string replace -r -- '^~(?=/)' $HOME (commandline -opc)[1])
    string match -q -- '*ctl' $program; or set program "$program"ctl
    command $program list --names 2>/dev/null
end

# The words before the cursor that are neither options nor their values.
function __pine_rsh_words
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
        else if contains -- $word ${[...new Set(valued)].join(' ')}
            set skip yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# Whether the cursor is behind this command and so many operands.
function __pine_rsh_at
    set -l words (__pine_rsh_words)
    test "$words[1]" = $argv[1]; and test (count $words) -eq (math $argv[2] + 1)
end

function __pine_rsh_in
    set -l words (__pine_rsh_words)
    test "$words[1]" = $argv[1]
end

complete -c pine-rsh -f -n 'test (count (__pine_rsh_words)) -eq 0' -a '(__pine_rsh_aliases)'
complete -c pine-rshctl -f
complete -c pine-rshctl -n 'test (count (__pine_rsh_words)) -eq 0' -l version -d 'show the version'
complete -c pine-rshctl -n 'test (count (__pine_rsh_words)) -eq 0' -l help -s h -d 'show this help'
${commands.flatMap(formatCommand).join('\n')}
`;
}

function formatCommand(command: CtlCommand): string[] {
  const { name, summary } = command;
  return [
    `complete -c pine-rshctl -n 'test (count (__pine_rsh_words)) -eq 0' -a ${name} -d ${quote(summary)}`,
    ...listOptions(command).map(
      (option) => `complete -c pine-rshctl -n '__pine_rsh_in ${name}' ${formatOption(option)}`,
    ),
    ...listOperands(command).flatMap(({ offer, repeats }, index) => {
      if (offer === 'free') return [];
      const where = repeats ? `__pine_rsh_in ${name}` : `__pine_rsh_at ${name} ${index}`;
      return [`complete -c pine-rshctl -n '${where}' -a ${quote(formatOffer(offer))}`];
    }),
  ];
}

function formatOption({ words, takesValue, takesFile, summary }: CompletedOption): string {
  const spellings = words.map((word) =>
    word.startsWith('--') ? `-l ${word.slice('--'.length)}` : `-s ${word.slice(1)}`,
  );
  return [
    ...spellings,
    ...(takesFile ? ['-r', '-F'] : takesValue ? ['-x'] : []),
    `-d ${quote(summary)}`,
  ].join(' ');
}

function formatOffer(offer: readonly string[] | 'alias'): string {
  return offer === 'alias' ? '(__pine_rsh_aliases)' : offer.join(' ');
}

/** Inside single quotes fish knows two escapes. */
function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
