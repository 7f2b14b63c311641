/**
 * The lines of a .pinerc that make Pine or Alpine use pine-rsh. Pure.
 */

/** A mailbox as Pine names it. */
export interface PineFolder {
  /** Pine's nickname for the collection. */
  readonly label: string;
  readonly host: string;
  readonly user: string;
}

/**
 * The three lines that are the same for all folders. Alpine's rsh-open-timeout is set although 15 s is its default: 0
 * would switch rsh off. ssh-path must be empty, or Alpine tries that program first and rsh-path after it.
 */
export function formatProgramLines(programPath: string): string[] {
  return [`rsh-path=${programPath}`, 'rsh-open-timeout=15', 'ssh-path='];
}

/**
 * `{work/secure/user=pat}`, to be followed by a folder's name. `/secure` keeps Alpine from sending a password in the
 * clear, should it ever come to TCP. No `/ssl`, `/tls` or port: with one of these Alpine never runs rsh.
 */
export function formatMailbox({ host, user }: PineFolder): string {
  return `{${host.includes(':') ? `[${host}]` : host}/secure/user=${user}}`;
}

/** The lines that name folders: one INBOX (the others commented out) and a collection per alias. */
export function formatFolderLines(folders: readonly PineFolder[]): string[] {
  const [first, ...others] = folders;
  if (first === undefined) return [];
  const collections = folders.map((folder) => `"${folder.label}" ${formatMailbox(folder)}[]`);
  return [
    `inbox-path=${formatMailbox(first)}INBOX`,
    ...others.map((folder) => `#inbox-path=${formatMailbox(folder)}INBOX`),
    // A list goes on after a comma, on lines that begin with a blank.
    ...`folder-collections=${collections.join(',\n\t')}`.split('\n'),
  ];
}

/** What c-client would not run as rsh-path: it splits at blanks, and Alpine expands `$NAME`. */
export function isUnsafeProgramPath(path: string): boolean {
  return /[\s$"]/.test(path);
}
