/**
 * The script that a restricted key runs on the mail host where it may do two things: imapd, and sendmail. It looks at
 * what was asked for (SSH_ORIGINAL_COMMAND, sshd(8)) and starts one of the two; nothing of what was asked for ever
 * reaches a shell. `examples/pine-rsh-commands` is this text. Pure.
 */

/**
 * sendmail's arguments come as one line of quoted words (src/mail/sendmail-command.ts), which xargs takes apart as a
 * shell would without being one; only options that say how to read the message and who sends it are let through.
 */
export function formatServerCommands(imapd: string, sendmail: string): string {
  return `#!/bin/sh
# What a key of pine-rsh may run on this host: imapd and sendmail, and nothing else. In ~/.ssh/authorized_keys:
#   restrict,command="/bin/sh .ssh/pine-rsh-commands" ssh-ed25519 AAAA... pine-rsh
imapd=${shellQuote(imapd)}
sendmail=${shellQuote(sendmail)}

refuse() {
  echo "this key opens mail only: $1" >&2
  exit 77
}

# sendmail with the words of a line, such as: exec /usr/sbin/sendmail '-oi' '-t'
send() {
  line="'\${1#*" '"}"
  test "$line" != "'$1" || line=
  line=\${line%; fi; done; exit *}
  exec 7>&1
  status=$(printf '%s\\n' "$line" | xargs -x -n 5000 sh -c '
    after=
    for word do
      case $after:$word in
        value:*) after= ;;
        :-f|:-F|:-N|:-R|:-B|:-V) after=value ;;
        :--|:-t|:-i|:-v|:-oi|:-oem|:-om|:-od[biq]|:-bm|:-f?*|:-F?*|:-N?*|:-R?*|:-B?*|:-G|:-n) ;;
        :-*) echo "this key opens mail only: sendmail $word" >&2; echo 77; exit ;;
      esac
    done
    $0 "$@" <&5 5<&- >&7 7>&-
    echo $?' "$sendmail")
  exit "\${status:-69}"
}

case $SSH_ORIGINAL_COMMAND in
  *stored-*)
    command -v "\${sendmail%% *}" >/dev/null || { echo "no $sendmail here" >&2; exit 127; }
    # As pine-rsh sends mail: size, mark and command line stand before the message, which is stored whole first.
    IFS= read -r size && IFS= read -r mark && IFS= read -r words || exit 74
    file=$(mktemp) || exit 75
    exec 4>"$file" 5<"$file" 6<"$file"
    rm -f "$file"
    cat >&4 || exit 75
    exec 4>&-
    test "$size" = $(wc -c <&6) || { echo "the message did not arrive whole" >&2; exit 74; }
    echo "stored-$mark"
    send "$words"
    ;;
  '' | /etc/rimapd | rimapd | imapd | 'exec /etc/rimapd' | "$imapd" | "exec $imapd" | *' /etc/rimapd '*'exit 127'*)
    eval "exec $imapd"
    ;;
esac
refuse "$SSH_ORIGINAL_COMMAND"
`;
}

/** One word for a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
