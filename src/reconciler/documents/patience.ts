import { setTimeout as sleep } from 'node:timers/promises';
import { FastaapsError } from '../../fastaaps/errors.ts';
import { createBackoff } from '../../retry/backoff.ts';

const ATTEMPTS = 6;

/**
 * Asks FASTAAPS, and again from the beginning where the error is one that passes by itself; within about ten seconds.
 * @throws the last error; the signal's reason when it aborts
 */
export async function patiently<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const backoff = createBackoff({ minMs: 200, maxMs: 5_000 });
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof FastaapsError) || error.kind !== 'retry' || attempt === ATTEMPTS) throw error;
      await sleep(backoff.next(error.retryAfterMs), undefined, { signal });
    }
  }
}
