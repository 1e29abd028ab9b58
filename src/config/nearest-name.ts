/**
 * Edit distance between two names where two neighbours changing places count as one edit (optimal string alignment),
 * the commonest slip of the fingers: KAKFA for KAFKA.
 */
export function editDistance(a: string, b: string): number {
  let older: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(last[column]! + 1, line[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1));
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped && row > 1 && column > 1) best = Math.min(best, older[column - 2]! + 1);
      line.push(best);
    }
    older = last;
    last = line;
  }
  return last[b.length]!;
}

/** The known name that differs least from `name`, where it differs by a third of its length at most. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let least = Math.floor(name.length / 3) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const distance = editDistance(name.toUpperCase(), candidate.toUpperCase());
    if (distance < least) [nearest, least] = [candidate, distance];
  }
  return nearest;
}
