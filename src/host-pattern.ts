/**
 * Patterns for host names as OpenSSH has them (PATTERNS in ssh_config(5)): `*` any text, `?` one character; lists are
 * comma separated, `!` before a pattern takes what it matches out of the list. ALIASES and known_hosts use them.
 *
 * Both sides may be hostile (a host name from a folder, a pattern from a shared file), so no pattern is turned into a
 * regular expression, and the time is at most the product of the two lengths.
 */

const COMMA = 0x2c;
const BANG = 0x21;
const STAR = 0x2a;
const QUESTION = 0x3f;

/** Whether one pattern matches all of `text`. Case counts. */
export function matchPattern(text: string, pattern: string): boolean {
  return matchPart(text, pattern, 0, pattern.length);
}

/** Whether a list matches: one of its patterns does, and none that is negated. Case counts. */
export function matchPatternList(text: string, list: string): boolean {
  let matched = false;
  for (let from = 0; from < list.length; ) {
    const comma = list.indexOf(',', from);
    const to = comma === -1 ? list.length : comma;
    const negated = list.charCodeAt(from) === BANG;
    if (matchPart(text, list, negated ? from + 1 : from, to)) {
      if (negated) return false;
      matched = true;
    }
    from = to + 1;
  }
  return matched;
}

/** `matchPatternList` for host names, whose case never counts. */
export function matchHostList(host: string, list: string): boolean {
  return matchPatternList(host.toLowerCase(), list.toLowerCase());
}

/** Matches the part of `list` between `from` and `to`, in place: known_hosts has thousands of lists. */
function matchPart(text: string, list: string, from: number, to: number): boolean {
  let at = 0;
  let next = from;
  // Where to go on after a mismatch: the last `*` takes one character more. Earlier ones never need to.
  let afterStar = -1;
  let starTook = 0;
  while (at < text.length) {
    const wanted = next < to ? list.charCodeAt(next) : COMMA;
    if (wanted === STAR) {
      afterStar = ++next;
      starTook = at;
    } else if (next < to && (wanted === QUESTION || wanted === text.charCodeAt(at))) {
      at++;
      next++;
    } else if (afterStar !== -1) {
      next = afterStar;
      at = ++starTook;
    } else {
      return false;
    }
  }
  while (next < to && list.charCodeAt(next) === STAR) next++;
  return next === to;
}
