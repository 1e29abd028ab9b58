export interface Backoff {
  /**
   * How long to wait now, in milliseconds: doubled each time from `minMs` up to `maxMs`, between half of it and the
   * whole by chance, so that many waiters do not come at once.
   * @param askedMs what the other side asked for (Retry-After): the wait is never shorter, up to ten minutes
   */
  next(askedMs?: number): number;
  /** After a success: the next wait is short again. */
  reset(): void;
}

/** Longer than this nobody may make us wait: a mistaken header would stop the deliveries for days. */
const LONGEST_ASKED_MS = 600_000;

/** @param random a number from 0 (inclusive) to 1 (exclusive); tests pass their own */
export function createBackoff({ minMs, maxMs }: { minMs: number; maxMs: number }, random = Math.random): Backoff {
  let attempt = 0;
  return {
    next(askedMs = 0) {
      const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
      attempt += 1;
      return Math.max(Math.round(full / 2 + (random() * full) / 2), Math.min(askedMs, LONGEST_ASKED_MS));
    },
    reset() {
      attempt = 0;
    },
  };
}
