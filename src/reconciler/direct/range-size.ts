/** Fewer documents make no cheaper range: what is read of each table is the same. */
const MIN_DOCUMENTS = 500;
/** Bounds what is held of a range. */
const MAX_DOCUMENTS = 10_000;
/** A range is at most so many times larger or smaller than the one before: times waver. */
const STEP = 2;
/** Two ranges that differ by less say nothing of what is fixed and what each document adds. */
const TELLING = 0.2;
const SHORTEST_MS = 0.01;

/**
 * How many documents the next range takes. SIIRAyS has no indexes for sections: a range costs a reading of whole tables
 * (fixed) and something for each document. It aims at a time, but lets the documents take as long as what is fixed, so
 * that all ranges together cost at most about twice what one reading of everything would.
 */
export class RangeSize {
  readonly #aimMs: number;
  readonly #most: number;
  #documents: number;
  #last: { documents: number; ms: number } | null = null;
  #fixedMs = 0;
  #eachMs = 0;

  /** @param most documents in a range */
  constructor(aimMs: number, most = MAX_DOCUMENTS) {
    this.#aimMs = aimMs;
    this.#most = most;
    this.#documents = Math.min(MIN_DOCUMENTS, most);
  }

  get documents(): number {
    return this.#documents;
  }

  /** A range of so many documents took so long. */
  took(documents: number, ms: number): void {
    if (documents === 0) return;
    const first = this.#last === null;
    this.#learn(documents, Math.max(ms, SHORTEST_MS));
    if (first) {
      // Only a range of another size can tell what is fixed.
      this.#documents = Math.min(this.#documents * STEP, this.#most);
      return;
    }
    const forDocuments = Math.max(this.#aimMs - this.#fixedMs, this.#fixedMs);
    const wanted = Math.floor(forDocuments / Math.max(this.#eachMs, Number.EPSILON));
    const near = Math.min(this.#documents * STEP, Math.max(this.#documents / STEP, wanted));
    this.#documents = Math.min(this.#most, Math.max(MIN_DOCUMENTS, Math.round(near)));
  }

  #learn(documents: number, ms: number): void {
    const last = this.#last;
    this.#last = { documents, ms };
    if (last === null) {
      this.#eachMs = ms / documents;
    } else if (Math.abs(documents - last.documents) >= TELLING * last.documents) {
      const slope = (ms - last.ms) / (documents - last.documents);
      this.#eachMs = Math.min(Math.max(slope, 0), ms / documents);
      this.#fixedMs = ms - this.#eachMs * documents;
    } else {
      const factor = ms / (this.#fixedMs + this.#eachMs * documents);
      this.#fixedMs *= factor;
      this.#eachMs *= factor;
    }
  }
}
