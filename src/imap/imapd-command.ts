/** The command line that starts an imapd on a host, and what its status says. Pure. */

/** Where an imapd that greets with PREAUTH is found: the classical name first, then Dovecot's and UW imapd's. */
export const IMAPD_PLACES: readonly string[] = [
  '/etc/rimapd',
  '/usr/lib/dovecot/imap',
  '/usr/libexec/dovecot/imap',
  '/usr/local/lib/dovecot/imap',
  '/usr/local/libexec/dovecot/imap',
  '/opt/homebrew/libexec/dovecot/imap',
  '/usr/pkg/libexec/dovecot/imap',
  '/usr/sbin/imapd',
  '/usr/local/sbin/imapd',
  '/usr/libexec/imapd',
  '/usr/local/libexec/imapd',
  '/usr/lib/imapd',
];

/** The shell's own status for "not found" (POSIX.1 XCU 2.8.2); the script for `auto` uses it too. */
export const STATUS_NOT_FOUND = 127;
/** The shell's own status for "found, not executable". */
export const STATUS_NOT_EXECUTABLE = 126;

/**
 * The command line that starts the imapd. For `auto` one `exec /bin/sh -c '...'`, which every login shell can start:
 * csh expands `!` and fish a backslash even inside single quotes, so the script has neither, and no newline.
 */
export function imapdCommand(imapd: string): string {
  if (imapd !== 'auto') return /[\s;|&<>()$`"']/.test(imapd) ? imapd : `exec ${imapd}`;
  const places = IMAPD_PLACES.join(' ');
  return `exec /bin/sh -c 'for i in ${places}; do if test -f $i && test -x $i; then exec $i; fi; done; exit ${STATUS_NOT_FOUND}'`;
}
