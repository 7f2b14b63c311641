/**
 * Messages as IMAP describes them: parts, ENVELOPE and BODYSTRUCTURE (RFC 3501 section 7.4.2, RFC 2045, RFC 5322).
 * Bytes are handled as latin-1 text, so that one character is one byte and sizes are right.
 */
import { quote } from './imap-syntax.ts';

export interface Part {
  /** The header with the empty line that ends it. */
  readonly header: string;
  readonly body: string;
  /** Lower case. */
  readonly type: string;
  readonly subtype: string;
  readonly parameters: ReadonlyMap<string, string>;
  /** Parts of a multipart; the one message of a message/rfc822; else empty. */
  readonly children: readonly Part[];
}

/** Nesting beyond this is somebody's joke. */
const DEPTH_MAX = 20;

/** Parses a message or a part with everything inside it. */
export function parsePart(text: string, depth = 0): Part {
  const end = /^\r\n|\r\n\r\n/.exec(text);
  const split = end === null ? text.length : end.index + end[0].length;
  const header = text.slice(0, split);
  const body = text.slice(split);
  const { value, parameters } = parseStructured(findField(header, 'content-type') ?? 'text/plain');
  const [type = 'text', subtype = 'plain'] = value.split('/');
  const part = { header, body, type, subtype, parameters };
  if (depth >= DEPTH_MAX) return { ...part, children: [] };
  if (type === 'message' && subtype === 'rfc822') return { ...part, children: [parsePart(body, depth + 1)] };
  const boundary = parameters.get('boundary');
  if (type !== 'multipart' || boundary === undefined) return { ...part, children: [] };
  return { ...part, children: splitParts(body, boundary).map((inner) => parsePart(inner, depth + 1)) };
}

function splitParts(body: string, boundary: string): string[] {
  const delimiter = `\r\n--${boundary}`;
  const sections = `\r\n${body}`.split(delimiter).slice(1);
  const last = sections.findIndex((section) => section.startsWith('--'));
  return (last < 0 ? sections : sections.slice(0, last)).map((section) =>
    section.slice(section.indexOf('\r\n') + 2),
  );
}

/** Header fields in their order, names as written, values unfolded. */
export function listFields(header: string): { name: string; value: string; raw: string }[] {
  return [...header.matchAll(/^([!-9;-~]+)[ \t]*:(.*(?:\r\n[ \t].*)*)(?:\r\n|$)/gm)].map(
    ([raw, name = '', value = '']) => ({ name, value: value.replace(/\r\n(?=[ \t])/g, '').trim(), raw }),
  );
}

/** The value of the first field called `name` (lower case). */
export function findField(header: string, name: string): string | undefined {
  return listFields(header).find((field) => field.name.toLowerCase() === name)?.value;
}

function parseStructured(field: string): { value: string; parameters: Map<string, string> } {
  const value = (/^[^;]*/.exec(field)?.[0] ?? '').trim().toLowerCase();
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, token] of field.matchAll(
    /;\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))/g,
  )) {
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? token ?? '');
  }
  return { value, parameters };
}

/** ENVELOPE of a message. */
export function formatEnvelope(header: string): string {
  const field = (name: string): string | undefined => findField(header, name);
  const from = formatAddresses(field('from'));
  const people = (name: string): string => formatAddresses(field(name));
  const orFrom = (name: string): string => (field(name) === undefined ? from : people(name));
  return `(${[
    quote(field('date')),
    quote(field('subject')),
    from,
    orFrom('sender'),
    orFrom('reply-to'),
    people('to'),
    people('cc'),
    people('bcc'),
    quote(field('in-reply-to')),
    quote(field('message-id')),
  ].join(' ')})`;
}

function formatAddresses(field: string | undefined): string {
  const addresses = (field?.match(/(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<])+/g) ?? []).flatMap((entry) => {
    const match = /^\s*(.*?)\s*<([^>]*)>/.exec(entry) ?? ['', '', entry.replace(/\([^)]*\)/g, '').trim()];
    const [, name = '', mailbox = ''] = match;
    const at = mailbox.lastIndexOf('@');
    if (mailbox === '') return [];
    const shown = name.replace(/^"(.*)"$/, '$1').replace(/\\(.)/g, '$1');
    const [local, host] = at < 0 ? [mailbox, ''] : [mailbox.slice(0, at), mailbox.slice(at + 1)];
    return [`(${quote(shown === '' ? undefined : shown)} NIL ${quote(local)} ${quote(host)})`];
  });
  return addresses.length === 0 ? 'NIL' : `(${addresses.join('')})`;
}

/** BODY (without extension data) or BODYSTRUCTURE (with it). */
export function formatStructure(part: Part, extended: boolean): string {
  const parameters = formatParameters(part.parameters);
  const extension = extended ? ` ${formatDisposition(part.header)} NIL NIL` : '';
  if (part.type === 'multipart' && part.children.length > 0) {
    const parts = part.children.map((child) => formatStructure(child, extended)).join('');
    return `(${parts} ${quote(part.subtype)}${extended ? ` ${parameters}${extension}` : ''})`;
  }
  const fields = [
    quote(part.type),
    quote(part.subtype),
    parameters,
    quote(findField(part.header, 'content-id')),
    quote(findField(part.header, 'content-description')),
    quote(findField(part.header, 'content-transfer-encoding') ?? '7bit'),
    String(part.body.length),
  ];
  const lines = String(part.body.split('\r\n').length - 1);
  const inner = part.type === 'message' ? part.children[0] : undefined;
  if (inner !== undefined) {
    fields.push(formatEnvelope(inner.header), formatStructure(inner, extended), lines);
  } else if (part.type === 'text') fields.push(lines);
  return `(${fields.join(' ')}${extended ? ` NIL${extension}` : ''})`;
}

function formatParameters(parameters: ReadonlyMap<string, string>): string {
  if (parameters.size === 0) return 'NIL';
  return `(${[...parameters].map(([name, value]) => `${quote(name)} ${quote(value)}`).join(' ')})`;
}

function formatDisposition(header: string): string {
  const field = findField(header, 'content-disposition');
  if (field === undefined) return 'NIL';
  const { value, parameters } = parseStructured(field);
  return `(${quote(value)} ${formatParameters(parameters)})`;
}
