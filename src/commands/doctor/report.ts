/** How `doctor` shows its findings: a column of steps where there is room, else one below the other. */
import { padText, wrapText } from '../../terminal-columns.ts';
import { escapeForTerminal } from '../../terminal-text.ts';
import { indent, type Output, paint } from '../output.ts';
import type { Check, Finding } from './finding.ts';

const TITLES: Readonly<Record<Check, string>> = {
  alias: 'alias file',
  name: 'name',
  connection: 'connection',
  'host-key': 'host key',
  algorithms: 'algorithms',
  key: 'key',
  login: 'login',
  imapd: 'imapd',
  noise: 'noise',
  greeting: 'greeting',
  'round-trip': 'round trip',
  open: 'mailbox',
  warm: 'next folder',
  sendmail: 'sendmail',
  queue: 'unsent mail',
  log: 'log',
  pinerc: '.pinerc',
};

const STYLES = { ok: undefined, warning: 'magenta', failed: 'red' } as const;
const MARK_WIDTH = Math.max(...Object.keys(STYLES).map((mark) => mark.length));
const TITLE_WIDTH = Math.max(...Object.values(TITLES).map((title) => title.length));
/** Below this the columns would leave too little for the text. */
const TABLE_COLUMNS = 60;

/** Between a number and its unit, so that no line ends there. */
const GLUE = '\u00a0';

/** The lines of one finding. */
export function formatFinding(finding: Finding, output: Output): string[] {
  return layOut(finding, output).map((line) => line.replaceAll(GLUE, ' '));
}

function layOut({ mark, check, ms, text, hint }: Finding, output: Output): string[] {
  const time = ms === undefined ? '' : ` (${ms}${GLUE}ms)`;
  const said = escapeForTerminal(text) + time;
  const cure = hint === undefined ? undefined : `hint: ${escapeForTerminal(hint)}`;
  const style = STYLES[mark];
  const padded = padText(mark, MARK_WIDTH);
  const painted = style === undefined ? padded : paint(output, style, padded);
  if (output.columns < TABLE_COLUMNS) {
    const lines = [said, ...(cure === undefined ? [] : [cure])].flatMap((line) =>
      indent(line, output.columns - 2).map((each) => `  ${each}`),
    );
    return [`  ${painted} ${TITLES[check]}`, ...lines];
  }
  const margin = 2 + MARK_WIDTH + 1 + TITLE_WIDTH + 1;
  const width = output.columns - margin;
  const lines = [...wrapText(said, width), ...(cure === undefined ? [] : wrapText(cure, width))];
  return lines.map((line, at) =>
    at === 0 ? `  ${painted} ${padText(TITLES[check], TITLE_WIDTH)} ${line}` : ' '.repeat(margin) + line,
  );
}
