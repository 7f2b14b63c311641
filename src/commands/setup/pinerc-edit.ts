/**
 * The lines of setup in a .pinerc: rsh-path and its like are replaced, folders are added; nothing else is touched. What
 * the person has already, such as an INBOX elsewhere, stays. Pure.
 */
import { RSH_OPEN_MIN_SECONDS } from '../limits.ts';
import { findSetting, parsePinerc } from '../pinerc-file.ts';
import { formatMailbox, type PineFolder } from '../pinerc-lines.ts';

export interface PinercChange {
  /** The absolute path of pine-rsh. */
  readonly programPath: string;
  readonly folder: PineFolder;
  /** Mail is to go out through the host, too. */
  readonly sendmail: boolean;
}

/** The new text; the same text if all is there. */
export function editPinerc(text: string, { programPath, folder, sendmail }: PinercChange): string {
  const mailbox = formatMailbox(folder);
  let edited = setSetting(text, 'rsh-path', programPath);
  const seconds = Number(readValue(edited, 'rsh-open-timeout') || Number.NaN);
  if (!(seconds >= RSH_OPEN_MIN_SECONDS)) edited = setSetting(edited, 'rsh-open-timeout', '15');
  edited = setSetting(edited, 'ssh-path', '');
  if (readValue(edited, 'inbox-path') === '') edited = setSetting(edited, 'inbox-path', `${mailbox}INBOX`);
  const collections = readValue(edited, 'folder-collections');
  if (!collections.includes(mailbox)) {
    const added = `"${folder.label}" ${mailbox}[]`;
    edited = setSetting(
      edited,
      'folder-collections',
      collections === '' ? added : `${collections},\n\t${added}`,
    );
  }
  if (sendmail && readValue(edited, 'sendmail-path') === '') {
    edited = setSetting(edited, 'sendmail-path', formatSendmailPath(programPath, folder.host));
  }
  return edited;
}

export function formatSendmailPath(programPath: string, host: string): string {
  return `${programPath} ${host} sendmail -oi -t`;
}

function readValue(text: string, name: string): string {
  const value = findSetting(parsePinerc(text), name)?.value ?? '';
  return value === '""' ? '' : value;
}

/** Sets `name` in place of the entry that counts, else at the end of the text. */
function setSetting(text: string, name: string, value: string): string {
  const entry = findSetting(parsePinerc(text), name);
  const line = `${name}=${value}\n`;
  if (entry === undefined) return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}`;
  return text.slice(0, entry.start) + line + text.slice(entry.end);
}
