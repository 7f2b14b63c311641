/**
 * What is run on the mail host when a mail client calls us as its sendmail, and how the answer is read. Pure.
 *
 * A line that is cut looks to the remote command like the end of its input: a plain `ssh HOST sendmail` then delivers
 * half a message. So the command below stores the message first, compares its size, and only then becomes sendmail.
 * What it needs to know stands before the message on its input, three lines, so that the command line is always the
 * same and no login shell ever sees a recipient's address:
 *
 *     SIZE       bytes of the message
 *     MARK       random; given back on stdout when the message is whole
 *     COMMAND    for /bin/sh -c
 */
import { STATUS_NOT_FOUND } from '../imap/imapd-command.ts';

/** sysexits.h EX_IOERR: fewer bytes than announced. Nobody sees it where the line was cut. */
export const STATUS_INCOMPLETE = 74;
/** sysexits.h EX_TEMPFAIL. */
export const STATUS_TRY_LATER = 75;

/** Where sendmail, or what calls itself so, is found. */
export const SENDMAIL_PLACES: readonly string[] = [
  '/usr/sbin/sendmail',
  '/usr/lib/sendmail',
  '/usr/bin/sendmail',
  '/usr/local/sbin/sendmail',
  '/usr/local/bin/sendmail',
  '/usr/pkg/sbin/sendmail',
  '/opt/local/sbin/sendmail',
  '/opt/homebrew/sbin/sendmail',
  '/var/qmail/bin/sendmail',
  '/run/wrappers/bin/sendmail',
];

/**
 * The command line that every login shell can start: csh expands `!` and fish a backslash even inside single quotes, so
 * there is neither, and no newline. The file has no name any more when the first byte of the message arrives: nothing
 * stays behind, however this ends.
 */
export const SENDMAIL_WRAPPER = `exec /bin/sh -c '${[
  `IFS= read -r n && IFS= read -r k && IFS= read -r c || exit ${STATUS_INCOMPLETE}`,
  `f=$(mktemp) || f=$(mktemp "$HOME/.pine-rsh.XXXXXX") || exit ${STATUS_TRY_LATER}`,
  'exec 3>"$f" 4<"$f" 5<"$f"',
  'rm -f "$f"',
  `cat >&3 || exit ${STATUS_TRY_LATER}`,
  'exec 3>&-',
  `test "$n" = $(wc -c <&4) || { echo "the message did not arrive whole" >&2; exit ${STATUS_INCOMPLETE}; }`,
  'echo "stored-$k"',
  'exec /bin/sh -c "$c" <&5 4<&- 5<&-',
].join('; ')}'`;

/** What goes before the message. No argument may hold a newline. */
export function formatPreamble(
  sendmail: string,
  args: readonly string[],
  size: number,
  mark: string,
): string {
  return `${size}\n${mark}\n${formatCommand(sendmail, args)}\n`;
}

function formatCommand(sendmail: string, args: readonly string[]): string {
  const quoted = args.map((arg) => ` '${arg.replaceAll("'", "'\\''")}'`).join('');
  if (sendmail !== 'auto')
    return /[\s;|&<>()$`"']/.test(sendmail) ? sendmail + quoted : `exec ${sendmail}${quoted}`;
  const places = SENDMAIL_PLACES.join(' ');
  const run = `if test -f $i && test -x $i; then exec $i${quoted}; fi`;
  return `for i in ${places}; do ${run}; done; exit ${STATUS_NOT_FOUND}`;
}

/** Finds the wrapper's word that the message is whole; what login scripts print before it is kept apart. */
export class MarkReader {
  readonly #line: Buffer;
  readonly #noiseMax: number;
  #before: Buffer = Buffer.alloc(0);
  #found = false;

  constructor(mark: string, noiseMax: number) {
    this.#line = Buffer.from(`stored-${mark}\n`);
    this.#noiseMax = noiseMax;
  }

  get found(): boolean {
    return this.#found;
  }

  /** What came before it, or instead of it. */
  get noise(): Buffer {
    return this.#before;
  }

  /** Gives what sendmail itself printed. */
  push(chunk: Buffer): Buffer {
    if (this.#found) return chunk;
    const all = Buffer.concat([this.#before, chunk]);
    const at = all.indexOf(this.#line);
    this.#found = at !== -1;
    // The mark may stand across two chunks: its beginning must not be cut away.
    this.#before = this.#found ? all.subarray(0, at) : all.subarray(-this.#noiseMax);
    return this.#found ? all.subarray(at + this.#line.length) : Buffer.alloc(0);
  }
}
