/**
 * What a .pinerc sets. Pure.
 *
 * Alpine reads `name=value` lines; `#` begins a comment, and a line that begins with a blank goes on with the one
 * before it (pith/conf.c, read_pinerc). Where a name stands twice the last one counts.
 */

/** One setting. */
export interface PinercEntry {
  readonly name: string;
  /** Without blanks at both ends; lines that go on are joined by single blanks. */
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
  /** Offsets of its first byte and behind its last line. */
  readonly start: number;
  readonly end: number;
}

/** All settings in the order of the file. */
export function parsePinerc(text: string): PinercEntry[] {
  const entries: { name: string; value: string; line: number; start: number; end: number }[] = [];
  let start = 0;
  let open = false;
  for (const [index, line] of text.split(/(?<=\n)/).entries()) {
    const end = start + line.length;
    const [, name, value] = /^([A-Za-z0-9-]+)[ \t]*=(.*)/.exec(line) ?? [];
    const last = entries.at(-1);
    if (name !== undefined && value !== undefined) {
      entries.push({ name: name.toLowerCase(), value: value.trim(), line: index + 1, start, end });
      open = true;
    } else if (open && last !== undefined && /^[ \t]+\S/.test(line)) {
      last.value = `${last.value} ${line.trim()}`.trim();
      last.end = end;
    } else open = false;
    start = end;
  }
  return entries;
}

/** What counts for a name: its last entry. */
export function findSetting(entries: readonly PinercEntry[], name: string): PinercEntry | undefined {
  return entries.findLast((entry) => entry.name === name);
}

/** A remote folder as it is named in braces: `{work:143/secure/user=pat}`. */
export interface RemoteFolder {
  readonly host: string;
  readonly port: string | undefined;
  /** In lower case but for values: `secure`, `user=pat`. */
  readonly flags: readonly string[];
  readonly entry: PinercEntry;
}

/** Every remote folder that any setting names. */
export function listFolders(entries: readonly PinercEntry[]): RemoteFolder[] {
  return entries.flatMap((entry) =>
    [...entry.value.matchAll(/\{([^{}]*)\}/g)].flatMap(([, inside = '']) => {
      const [place = '', ...flags] = inside.split('/');
      const [, literal, name, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(place) ?? [];
      const host = literal ?? name ?? '';
      if (host === '') return [];
      const lower = flags.map((flag) => flag.replace(/^[^=]*/, (key) => key.toLowerCase()));
      return [{ host, port, flags: lower, entry }];
    }),
  );
}

/** The value of `/user=`, without quotes. */
export function userOf({ flags }: RemoteFolder): string | undefined {
  return flags
    .find((flag) => flag.startsWith('user='))
    ?.slice('user='.length)
    .replace(/^"(.*)"$/, '$1');
}
