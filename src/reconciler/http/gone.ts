import type { Response } from 'express';

/** How long a reader may take nothing of what it asked for. */
export const STALLED_MS = 30_000;

/**
 * Aborts when the reader of an answer is gone: also where it was so before the answer began, of which no event tells any
 * more.
 */
export function goneSignal(response: Response): AbortSignal {
  const gone = new AbortController();
  if (response.closed || response.destroyed) gone.abort(new Error('the reader is gone'));
  else response.once('close', () => gone.abort(new Error('the reader is gone')));
  return gone.signal;
}

/** The same, and when it has taken nothing for STALLED_MS from now on. */
export function drainSignal(gone: AbortSignal): AbortSignal {
  return AbortSignal.any([gone, AbortSignal.timeout(STALLED_MS)]);
}
