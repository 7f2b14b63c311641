/** Completions for bash(1), with nothing but what bash itself has. Pure. */
import type { CtlCommand } from './command.ts';
import { type CompletedOption, listOperands, listOptions } from './completion-words.ts';

export function formatBashCompletion(commands: readonly CtlCommand[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `# bash completion of pine-rshctl and pine-rsh; made by: pine-rshctl completion bash

# Offers those of the words that begin with what is typed. Readline breaks a word at @ and :, which aliases contain, and
# wants only what comes after the last break, with the @ itself (rl_special_prefixes).
_pine_rsh_offer() {
  local typed=$1 word
  local before=\${typed%"\${typed##*[$COMP_WORDBREAKS]}"}
  before=\${before%@}
  COMPREPLY=()
  for word in $2; do
    [[ $word != "$typed"* ]] || COMPREPLY+=("\${word#"$before"}")
  done
}

_pine_rsh_aliases() {
  "\${1/#\\~/$HOME}" list --names 2>/dev/null
}

_pine_rshctl() {
  local -a words
  local line=\${COMP_LINE:0:COMP_POINT} typed= command= operands=0 skip= option= word
  read -ra words <<<"$line"
  if [[ $line != *[[:space:]] ]]; then
    typed=\${words[\${#words[@]}-1]}
    unset "words[\${#words[@]}-1]"
  fi
  local options=--help\\ --version values= files= offered='${names}'
  for word in "\${words[@]:1}"; do
    if [[ -n $skip ]]; then
      skip=
    elif [[ $word == -* ]]; then
      [[ " $values " != *" $word "* ]] || skip=yes
      option=$word
    elif [[ -z $command ]]; then
      command=$word
      case $command in
${commands.map(formatCommand).join('\n')}
      *) options= ;;
      esac
    else
      operands=$((operands + 1))
    fi
  done
  if [[ -n $skip ]]; then
    # Readline's own, which know how to quote a name; not before bash 4.
    [[ " $files " != *" $option "* ]] || compopt -o default 2>/dev/null
    return 0
  fi
  if [[ $typed == -* ]]; then
    offered=$options
  elif [[ -n $command ]]; then
    offered=
    case $command/$operands in
${commands.flatMap(formatOperands).join('\n')}
    esac
  fi
  _pine_rsh_offer "$typed" "$offered"
}

_pine_rsh() {
  local -a words
  local line=\${COMP_LINE:0:COMP_POINT} typed= word
  read -ra words <<<"$line"
  if [[ $line != *[[:space:]] ]]; then
    typed=\${words[\${#words[@]}-1]}
    unset "words[\${#words[@]}-1]"
  fi
  for word in "\${words[@]:1}"; do
    [[ $word == -* ]] || return 0
  done
  _pine_rsh_offer "$typed" "$(_pine_rsh_aliases "$1ctl")"
}

complete -F _pine_rshctl pine-rshctl
complete -F _pine_rsh pine-rsh
`;
}

function formatCommand(command: CtlCommand): string {
  const options = listOptions(command);
  const list = (chosen: readonly CompletedOption[]): string =>
    `'${chosen.flatMap(({ words }) => words).join(' ')}'`;
  const values = list(options.filter(({ takesValue }) => takesValue));
  const files = list(options.filter(({ takesFile }) => takesFile));
  return `      ${command.name}) options=${list(options)} values=${values} files=${files} ;;`;
}

function formatOperands(command: CtlCommand): string[] {
  return listOperands(command).flatMap(({ offer, repeats }, index) =>
    offer === 'free'
      ? []
      : [`    ${command.name}/${repeats ? '*' : index}) offered=${formatOffer(offer)} ;;`],
  );
}

function formatOffer(offer: readonly string[] | 'alias'): string {
  return offer === 'alias' ? '$(_pine_rsh_aliases "$1")' : `'${offer.join(' ')}'`;
}
