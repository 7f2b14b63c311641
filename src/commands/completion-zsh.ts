/** Completions for zsh(1), as zshcompsys(1) wants them: to be sourced, or to be a file `_pine-rshctl` in fpath. Pure. */
import type { CtlCommand } from './command.ts';
import {
  type CompletedOperand,
  type CompletedOption,
  listOperands,
  listOptions,
} from './completion-words.ts';

export function formatZshCompletion(commands: readonly CtlCommand[]): string {
  return `#compdef pine-rshctl pine-rsh
# zsh completion of pine-rshctl and pine-rsh; made by: pine-rshctl completion zsh

_pine_rsh_aliases() {
  local -a aliases
  aliases=(\${(f)"$(_call_program aliases "\${_pine_rsh_ctl}" list --names 2>/dev/null)"})
  compadd -a "$@" aliases
}

_pine_rsh_command() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`).join('\n')}
  )
  _describe -t commands command commands
}

_pine_rshctl_main() {
  local _pine_rsh_ctl=\${(Q)words[1]/#\\~/$HOME} curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C '(- *)'{-h,--help}'[show this help]' '(- *)--version[show the version]' \\
    '1: :_pine_rsh_command' '*:: :->arguments'
  [[ $state == arguments ]] || return
  case $words[1] in
${commands.map(formatCommand).join('\n')}
  esac
}

_pine_rsh_main() {
  local _pine_rsh_ctl=\${(Q)words[1]/#\\~/$HOME}ctl
  _arguments -A '-*' '1:alias:_pine_rsh_aliases' '*:: :_normal'
}

_pine-rshctl() {
  case $service in
    pine-rsh) _pine_rsh_main "$@" ;;
    *) _pine_rshctl_main "$@" ;;
  esac
}

if [[ $funcstack[1] == _pine-rshctl ]]; then
  _pine-rshctl "$@"
else
  compdef _pine-rshctl pine-rshctl pine-rsh
fi
`;
}

function formatCommand(command: CtlCommand): string {
  const options = listOptions(command).map(formatOption);
  const operands = listOperands(command).map(
    ({ name, offer, repeats }, index) => `${repeats ? '*' : index + 1}:${name}:${formatAction(offer)}`,
  );
  return `    ${command.name}) _arguments ${[...options, ...operands].map(quote).join(' ')} ;;`;
}

/** One specification of _arguments for each spelling; the spellings exclude each other. */
function formatOption({ words, takesValue, takesFile, summary }: CompletedOption): string {
  const spelled = words.length === 1 ? `${words[0]}` : `(${words.join(' ')})${words[0]}`;
  return `${spelled}[${summary.replace(/[\\[\]:]/g, '\\$&')}]${takesFile ? ':file:_files' : takesValue ? ':value: ' : ''}`;
}

function formatAction(offer: CompletedOperand['offer']): string {
  if (offer === 'alias') return '_pine_rsh_aliases';
  return offer === 'free' ? ' ' : `(${offer.join(' ')})`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
