import type { Key } from './range-sql.ts';
import type { RowCandidate } from './row-candidate.ts';

/** A part of a table that was compared. */
export interface Part {
  readonly candidates: readonly RowCandidate[];
  readonly compared: number;
  /** Where the table goes on after it: a key; null: it is compared from the beginning when it was not ended. */
  readonly after: Key | null;
  /** The table has ended. */
  readonly last: boolean;
}
