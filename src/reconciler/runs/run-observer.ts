import type { Difference, Run } from '../types.ts';

/** Who counts what the runs of this process do. */
export interface RunObserver {
  found(differences: readonly Difference[]): void;
  /** The run has ended; one that was lost is told as `interrupted`. */
  ended(run: Run): void;
}
