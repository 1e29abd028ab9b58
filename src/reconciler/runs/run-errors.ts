/** The idempotency key was used before, for a run with other options. */
export class IdempotencyConflict extends Error {
  override readonly name = 'IdempotencyConflict';
}

/** This process may write nothing more about its run: another took it over, or `sync` was out of reach for too long. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** The run cannot be resumed: there is none, it has not ended so, it was resumed already, or other things are asked for. */
export class NotResumable extends Error {
  override readonly name = 'NotResumable';
}

/** Why a run's signal aborts when somebody has cancelled the run. */
export class RunCancelled extends Error {
  override readonly name = 'RunCancelled';
}
