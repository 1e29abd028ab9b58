const DELAYS_MS = [0, 250, 500, 1000, 2000, 5000];

/** How long a part must have been up before its next end counts as a first one again, in milliseconds. */
export const STABLE_AFTER_MS = 30_000;

/**
 * The wait before a part is started again, in milliseconds.
 * @param failures how often it ended in a row before this one; a part that had been stable counts from 0
 */
export function restartDelay(failures: number): number {
  return DELAYS_MS[Math.min(failures, DELAYS_MS.length - 1)]!;
}
