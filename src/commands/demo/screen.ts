/**
 * What the demo shows, step by step. All that comes over the line is escaped: it is a mailbox, after all.
 */
import { clipText, displayWidth, padText } from '../../terminal-columns.ts';
import { escapeForTerminal } from '../../terminal-text.ts';
import { COLUMNS_MAX, COLUMNS_MIN } from '../limits.ts';
import { indent, type Output, paint, printLines } from '../output.ts';
import { formatFolderLines, formatProgramLines } from '../pinerc-lines.ts';
import { DEMO_ALIAS, DEMO_USER } from './home.ts';
import type { ListedMessage, PineSession } from './pine-session.ts';

const DATE_COLUMNS = 6;
const FROM_COLUMNS = 16;
/** Below this a message takes two lines. */
const ONE_LINE_COLUMNS = 60;

export class DemoScreen {
  readonly #output: Output;
  readonly #columns: number;

  constructor(output: Output) {
    this.#output = output;
    this.#columns = Math.min(COLUMNS_MAX, Math.max(COLUMNS_MIN, output.columns));
  }

  introduce(address: string, mailbox: string): void {
    this.#print(paint(this.#output, 'bold', 'pine-rsh demo'));
    this.#tell(`A mail host runs inside this program: an SSH server on ${address} and ${mailbox}.`);
  }

  showAlias({ file, lines }: { readonly file: string; readonly lines: readonly string[] }): void {
    this.#title('The alias file');
    this.#tell(file);
    // Not wrapped: a line of a file is a line.
    this.#print(...lines.map((line) => `    ${escapeForTerminal(line)}`));
  }

  showCommand(argv: readonly string[]): void {
    this.#title('What Pine runs');
    this.#tell(argv.join(' '));
  }

  showGreeting({ greeting, openedAfter }: PineSession): void {
    this.#title(`What comes back, after ${formatMs(openedAfter)}`);
    // Dovecot counts up forty capabilities.
    this.#tell(greeting.replace(/(\[CAPABILITY \S+) [^\]]*\]/, '$1 ...]'));
    this.#note('PREAUTH: the login over SSH was enough, no password is asked for.');
  }

  showMessages(messages: readonly ListedMessage[]): void {
    this.#title('The mailbox');
    for (const message of messages) this.#print(...this.#formatMessage(message));
  }

  showSecond(first: number, second: number): void {
    this.#title('Opened again');
    this.#tell(`${formatMs(second)}; the first time took ${formatMs(first)}`);
  }

  showPinerc(programPath: string): void {
    this.#title('In ~/.pinerc this would be');
    const folder = { label: DEMO_ALIAS, host: DEMO_ALIAS, user: DEMO_USER };
    const lines = [...formatProgramLines(programPath), ...formatFolderLines([folder])];
    this.#print(...lines.map((line) => `  ${escapeForTerminal(line)}`), '');
    this.#tell('pine-rshctl demo --alpine opens this mailbox in Alpine.');
  }

  #formatMessage({ from, subject, date }: ListedMessage): string[] {
    const when = escapeForTerminal(/(\d{1,2} \w{3})/.exec(date)?.[1] ?? '');
    const who = escapeForTerminal(from.replace(/\s*<[^>]*>$/, '').replace(/^"(.*)"$/, '$1'));
    const what = escapeForTerminal(subject);
    const day = padText(clipText(when, DATE_COLUMNS), DATE_COLUMNS);
    if (this.#columns < ONE_LINE_COLUMNS) {
      const room = this.#columns - DATE_COLUMNS - 4;
      const second = `  ${' '.repeat(DATE_COLUMNS)}  ${clipText(what, room)}`;
      return [`  ${day}  ${clipText(who, room)}`, second];
    }
    const head = `  ${day}  ${padText(clipText(who, FROM_COLUMNS), FROM_COLUMNS)}  `;
    return [head + clipText(what, this.#columns - displayWidth(head))];
  }

  #title(text: string): void {
    this.#print('', paint(this.#output, 'bold', text));
  }

  #tell(text: string): void {
    this.#print(...indent(escapeForTerminal(text), this.#columns));
  }

  #note(text: string): void {
    this.#print(...indent(text, this.#columns).map((line) => paint(this.#output, 'bold', line)));
  }

  #print(...lines: string[]): void {
    printLines(this.#output, lines);
  }
}

function formatMs(ms: number): string {
  return `${Math.round(ms)} ms`;
}
