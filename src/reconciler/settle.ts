import type { Candidate, Comparison } from './comparison.ts';

/** After so many looks what still differs, in ever other ways, is left undecided. */
const LOOKS = 5;

export interface Settled<C> {
  /** Found as the same pair twice, the slower side having passed the first look in between. */
  confirmed: C[];
  /** Still differing, but not provably wrong: they kept changing, or the slower side did not come along. */
  stale: C[];
  /** Accepted by somebody as they are. */
  setAside: C[];
  /** Whether the slower side came along at all. */
  passed: boolean;
}

/** A side that has not come along for so many looks in a row is not waited for any longer. */
const LATE_LOOKS = 2;

/**
 * Looks at candidates again until each is equal, confirmed, or stale.
 * @param pass waits until the slower side shows everything that the look just made could see; false: it does not in time
 */
export async function settle<C extends Candidate>(
  comparison: Pick<Comparison<C>, 'look'>,
  candidates: readonly C[],
  pass: () => Promise<boolean>,
): Promise<Settled<C>> {
  const confirmed: C[] = [];
  const setAside: C[] = [];
  let open: readonly C[] = candidates;
  let late = 0;
  for (let look = 2; look <= LOOKS && open.length > 0 && late < LATE_LOOKS; look++) {
    const passed = await pass();
    late = passed ? 0 : late + 1;
    const before = new Map(open.map(({ key, pair, pending }) => [key, pending ? null : pair]));
    const still: C[] = [];
    for (const candidate of await comparison.look(open)) {
      const same = !candidate.pending && before.get(candidate.key) === candidate.pair;
      if (candidate.setAside) setAside.push(candidate);
      else if (passed && same) confirmed.push(candidate);
      else still.push(candidate);
    }
    open = still;
  }
  return { confirmed, stale: [...open], setAside, passed: late < LATE_LOOKS };
}
