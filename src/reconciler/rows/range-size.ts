/** Rows of a table's first range, which teaches how long a row takes. */
const FIRST = 2_000;
/** No range is so many times larger than the one before: rows may be much longer further on. */
const GROWTH = 4;

/** How many rows the next range of a table takes, so that it lasts about as long as is aimed at. */
export class RangeSize {
  readonly #aimMs: number;
  readonly #min: number;
  readonly #max: number;
  #rows: number;

  constructor(aimMs: number, min: number, max: number) {
    this.#aimMs = aimMs;
    this.#min = min;
    this.#max = max;
    this.#rows = this.#within(FIRST);
  }

  get rows(): number {
    return this.#rows;
  }

  /** A range of about `rows` rows took so long. */
  learn(rows: number, ms: number): void {
    const perRow = ms / Math.max(rows, 1);
    const wanted = this.#aimMs / Math.max(perRow, Number.EPSILON);
    this.#rows = this.#within(Math.min(wanted, this.#rows * GROWTH));
  }

  #within(rows: number): number {
    return Math.max(this.#min, Math.min(this.#max, Math.round(rows)));
  }
}
