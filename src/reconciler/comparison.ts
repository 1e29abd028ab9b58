import type { Difference } from './types.ts';

/**
 * Two sides that should be equal, looked at range by range. The engine settles what a scan suspects: a candidate counts
 * as a difference only when a later look, after the slower side has passed the SIIRAyS position of the earlier one, finds
 * the same pair again.
 */
export interface Comparison<C extends Candidate> {
  readonly phase: 'rows' | 'documents' | 'direct';
  /**
   * Looks at everything once, from a cursor on (null: from the beginning), in short snapshots; yields after each range.
   * Ends early, by throwing the signal's reason, when it aborts.
   */
  scan(from: unknown, signal: AbortSignal): AsyncGenerator<Range<C>>;
  /** Looks at candidates again: those that still differ, each with the pair as it is now. Equal ones are left out. */
  look(candidates: readonly C[]): Promise<C[]>;
  /** What differs in detail. Candidates that are equal by now are left out. */
  describe(candidates: readonly C[]): Promise<Map<string, Described>>;
  /**
   * Asks for the candidates to be made right, through the stream or by marks; does not wait. Idempotent.
   * @returns by candidate key why nothing can be done about it, for those where that is known
   */
  repair(candidates: readonly C[]): Promise<Map<string, string>>;
  /** Ends sessions. */
  close(): Promise<void>;
}

/** Something that looked different once. */
export interface Candidate {
  /** Which row or document, unique within the comparison. */
  readonly key: string;
  /** What was seen on both sides, down to the versions of rows: any later change gives another pair. */
  readonly pair: string;
  /** Something is still on its way for it (a mark, an outbox row): it can be no difference yet. */
  readonly pending: boolean;
  /** Somebody has accepted it as it is: no difference, and no proof either. */
  readonly setAside?: boolean;
}

export interface Range<C> {
  readonly candidates: readonly C[];
  /** What was looked at in this range. */
  readonly compared: number;
  /** Where to go on after this range. JSON. */
  readonly cursor: unknown;
  /** For progress: about how many there are in all, known from the first range on. */
  readonly total: number;
  readonly table: string | null;
  /** Ids of documents that are proven equal by this range (documents, direct). */
  readonly proven: readonly string[];
  /** Ids of documents that are neither: somebody has accepted them as they are. */
  readonly setAside?: readonly string[];
  /** Ids that were asked for and that no side knows. */
  readonly unknown?: readonly string[];
}

export type Described = Omit<Difference, 'connector' | 'outcome' | 'reason'>;
