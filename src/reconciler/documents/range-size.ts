/** A range of fewer documents does not get cheaper: making its plan takes as long as projecting some hundred. */
const FEWEST = 300;
const MOST = 3_000;
const FIRST = 500;

/** Learns how many documents take about as long as a range should. */
export class RangeSize {
  readonly #aimMs: number;
  readonly #sessions: number;
  #size = FIRST;

  /** @param sessions so many ranges are worked on at once: what is left is shared evenly among them */
  constructor(aimMs: number, sessions: number) {
    this.#aimMs = aimMs;
    this.#sessions = sessions;
  }

  /** How many documents the next range should have. */
  next(remaining: number): number {
    const share = Math.ceil(remaining / this.#sessions);
    return Math.max(FEWEST, Math.min(this.#size, share));
  }

  /** A range of so many documents took so long. */
  took(documents: number, ms: number): void {
    if (documents < FEWEST) return;
    const wanted = Math.round((documents * this.#aimMs) / Math.max(1, ms));
    this.#size = Math.max(FEWEST, Math.min(MOST, wanted));
  }
}
