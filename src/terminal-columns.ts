/** Fits text into the columns of a terminal: tables, clipped names, paragraphs. What is untrusted is escaped before. Pure. */

const NO_WIDTH = /^[\p{M}\p{Cf}\u1160-\u11ff]$/u;
const DOUBLE_WIDTH =
  /^[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;

/** How many columns `text` takes: near enough to wcwidth(3) to keep a table straight. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (character >= ' ' && character <= '~') width += 1;
    else if (!NO_WIDTH.test(character)) width += DOUBLE_WIDTH.test(character) ? 2 : 1;
  }
  return width;
}

/** Fills `text` up with blanks to `width` columns; a longer text stays as it is. */
export function padText(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

/** Cuts `text` to `width` columns; a cut one ends in `~`, which every terminal and charset has. */
export function clipText(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  return width < 1 ? '' : `${takeColumns(text, width - 1)}~`;
}

/**
 * Breaks `text` at blanks into lines of at most `width` columns. A word longer than a line is broken after a comma or
 * a slash, for lists and paths, or else where the line ends, so that no line is ever wider (but for a single character wider than `width`). Never returns an empty list.
 */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(/ +/).filter((part) => part !== '')) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) <= width) {
      line += ` ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    while (displayWidth(word) > width) {
      const head = breakWord(word, width);
      lines.push(head);
      word = word.slice(head.length);
    }
    line = word;
  }
  if (line !== '' || lines.length === 0) lines.push(line);
  return lines;
}

function breakWord(word: string, width: number): string {
  const head = takeColumns(word, width) || ([...word][0] ?? '');
  const end = head.lastIndexOf(',') + 1 || head.lastIndexOf('/') + 1;
  return end > 0 ? head.slice(0, end) : head;
}

function takeColumns(text: string, width: number): string {
  let taken = '';
  let used = 0;
  for (const character of text) {
    const wide = displayWidth(character);
    if (used + wide > width) break;
    taken += character;
    used += wide;
  }
  return taken;
}
