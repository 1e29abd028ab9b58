import assert from 'node:assert/strict';

/** How many schedules run side by side: they share nothing but the turns of the event loop. */
const AT_ONCE = 64;

/**
 * Runs schedules of the seeds 1 to `count`. A failure names its seed; with the environment variable `variable` set to it,
 * that schedule alone runs again, identically.
 */
export async function runSchedules(
  variable: string,
  count: number,
  run: (seed: number) => void | Promise<void>,
): Promise<void> {
  const given = process.env[variable];
  let next = given === undefined ? 1 : Number(given);
  const last = given === undefined ? count : next;
  const worker = async (): Promise<void> => {
    while (next <= last) {
      const seed = next++;
      try {
        await run(seed);
      } catch (error) {
        next = last + 1;
        assert.fail(`${variable}=${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Resolves when nothing can go on by itself any more: what happens next is the schedule's choice. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
