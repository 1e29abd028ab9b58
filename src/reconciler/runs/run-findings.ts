import type { Cursor, Difference, DifferenceKind, Progress } from '../types.ts';
import { storable, storableJson } from './run-sql.ts';

/** More notes than this say nothing new. */
const MAX_NOTES = 200;
const MAX_NOTE_CHARACTERS = 2_000;

type Counters = Partial<Record<DifferenceKind, number>>;

/** A difference that waits to be written. */
export interface KeptDifference {
  readonly place: number;
  readonly connector: string;
  readonly kind: DifferenceKind;
  readonly outcome: string;
  /** JSON text. */
  readonly content: string;
}

/**
 * What a run has found so far. The process's own numbers are the truth and are written whole each time, so that a write
 * whose answer was lost can be repeated.
 */
export class RunFindings {
  progress: Progress;
  cursor: Cursor | null;
  position: { history: number | null; lsn: string | null } = { history: null, lsn: null };
  readonly found: Counters = {};
  readonly repaired: Counters = {};
  readonly left: Counters = {};
  readonly #notes = new Set<string>();
  readonly #limit: number;
  #waiting: KeptDifference[] = [];
  #kept = 0;
  #leftOut = 0;

  /** @param limit so many differences are kept; the others are counted only */
  constructor(progress: Progress, cursor: Cursor | null, notes: readonly string[], limit: number) {
    this.progress = progress;
    this.cursor = cursor;
    this.#limit = limit;
    for (const note of notes) this.#notes.add(note);
  }

  /** Differences that are not written yet. */
  get waiting(): readonly KeptDifference[] {
    return this.#waiting;
  }

  get kept(): number {
    return this.#kept;
  }

  get notes(): string[] {
    const notes = [...this.#notes];
    if (this.#leftOut > 0) notes.push(`${this.#leftOut} more differences were counted and not kept`);
    return notes;
  }

  note(text: string): void {
    if (this.#notes.size < MAX_NOTES) this.#notes.add(storable(text.slice(0, MAX_NOTE_CHARACTERS)));
  }

  add(differences: readonly Difference[]): void {
    for (const difference of differences) {
      const { kind, outcome, connector } = difference;
      increment(this.found, kind);
      if (outcome === 'repaired') increment(this.repaired, kind);
      if (outcome === 'left') increment(this.left, kind);
      if (this.#kept >= this.#limit) {
        this.#leftOut += 1;
        continue;
      }
      this.#kept += 1;
      this.#waiting.push({ place: this.#kept, connector, kind, outcome, content: storableJson(difference) });
    }
  }

  /** The first `count` waiting ones are written. */
  written(count: number): void {
    this.#waiting = this.#waiting.slice(count);
  }
}

function increment(counts: Counters, kind: DifferenceKind): void {
  counts[kind] = (counts[kind] ?? 0) + 1;
}
