/** A range of fewer documents does not get cheaper: making its plan takes as long as projecting some hundred. */
const FEWEST = 300;
const MOST = 3_000;
const FIRST = 1_500;

/** Learns how many documents take about as long as a range should. */
export class RangeSize {
  readonly #aimMs: number;
  readonly #sessions: number;
  #size = FIRST;

  #given = 0;

  /** @param sessions so many ranges are worked on at once, in turn: the last round is shared evenly */
  constructor(aimMs: number, sessions: number) {
    this.#aimMs = aimMs;
    this.#sessions = sessions;
  }

  /** How many documents the next range should have, of so many that are left. */
  next(remaining: number): number {
    const turns = this.#sessions - (this.#given % this.#sessions);
    this.#given += 1;
    return Math.max(FEWEST, Math.min(this.#size, Math.ceil(remaining / turns)));
  }

  /** A range of so many documents took so long. */
  took(documents: number, ms: number): void {
    if (documents < FEWEST) return;
    const wanted = Math.round((documents * this.#aimMs) / Math.max(1, ms));
    this.#size = Math.max(FEWEST, Math.min(MOST, wanted));
  }
}
