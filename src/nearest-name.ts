/**
 * The name that was probably meant: for a mistyped alias key, alias or subcommand. Pure.
 */

/**
 * The member of `names` nearest to `word`, or undefined when none is near. Case and punctuation do not count, so
 * that `identityfile` finds `IDENTITY_FILE`; a beginning of at least three letters finds the shortest name it begins.
 */
export function nearestName(word: string, names: Iterable<string>): string | undefined {
  const wanted = bare(word);
  if (wanted === '') return undefined;
  // One mistake in three letters is still the same word; more is another one.
  let best = Math.floor(wanted.length / 3) + 1;
  let nearest: string | undefined;
  let begun: string | undefined;
  for (const name of names) {
    const candidate = bare(name);
    if (
      wanted.length >= 3 &&
      candidate.startsWith(wanted) &&
      (begun === undefined || name.length < begun.length)
    )
      begun = name;
    // The lengths alone already tell the least distance there can be.
    if (Math.abs(candidate.length - wanted.length) >= best) continue;
    const distance = editDistance(wanted, candidate);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest ?? begun;
}

function bare(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours cost one each. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  // Every cell that is asked for is there.
  const at = (row: number, column: number): number => (rows[row] as number[])[column] as number;
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      const cost = Math.min(
        at(row - 1, column) + 1,
        at(row, column - 1) + 1,
        at(row - 1, column - 1) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current.push(swapped ? Math.min(cost, at(row - 2, column - 2) + 1) : cost);
    }
  }
  return at(a.length, b.length);
}
