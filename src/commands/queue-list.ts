/** What `queue list` and `queue show` print. Pure. */
import type { MailSummary } from '../mail/message-summary.ts';
import type { MailState } from '../mail/queue-folder.ts';
import { clipText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { indent, type Output, paint } from './output.ts';
import { formatAge, formatBytes } from './quantity.ts';

/** What a state is called, and in which colour: what a person must see to. */
const STATES = {
  new: ['being sent', undefined],
  wait: ['waiting', undefined],
  send: ['being sent', undefined],
  last: ['being sent', undefined],
  unknown: ['held, may have been sent', 'magenta'],
  refused: ['held, refused', 'red'],
} as const satisfies Record<MailState, readonly [string, Parameters<typeof paint>[1] | undefined]>;

/** One message: a line of facts, then the message's own words, then what happened. */
export function formatSummary(mail: MailSummary, now: number, output: Output): string[] {
  const [state, style] = STATES[mail.state];
  const age = formatAge(Math.max(0, Math.round((now - mail.time) / 1000)));
  const size = mail.size === undefined ? [] : [formatBytes(mail.size)];
  const facts = [escapeForTerminal(mail.alias), state, `${age} old`, ...size];
  const plain = `${mail.id}  ${facts.join(', ')}`;
  const head =
    plain.length > output.columns
      ? [paint(output, 'bold', mail.id), ...indent(facts.join(', '), output.columns)]
      : [
          plain
            .replace(mail.id, paint(output, 'bold', mail.id))
            .replace(state, style === undefined ? state : paint(output, style, state)),
        ];
  const clip = (text: string): string => `  ${clipText(escapeForTerminal(text), output.columns - 2)}`;
  return [
    ...head,
    ...[mail.to === '' ? mail.args.join(' ') : `to ${mail.to}`, mail.subject]
      .filter((text) => text !== '')
      .map(clip),
    ...(mail.note === '' ? [] : indent(escapeForTerminal(mail.note), output.columns)),
  ];
}

/** For programs. */
export function toJson({ state, time, size, ...mail }: MailSummary): object {
  return { ...mail, state: JSON_STATES[state], written: new Date(time).toISOString(), size: size ?? null };
}

const JSON_STATES = {
  new: 'sending',
  wait: 'waiting',
  send: 'sending',
  last: 'sending',
  unknown: 'unknown',
  refused: 'refused',
} as const satisfies Record<MailState, string>;
