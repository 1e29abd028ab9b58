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
  #count = 0;

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
    return Math.min(this.#count, this.#limit);
  }

  get notes(): string[] {
    const notes = [...this.#notes];
    if (this.#count > this.#limit)
      notes.push(`${this.#count - this.#limit} more differences were counted and not kept`);
    return notes;
  }

  note(text: string): void {
    if (this.#notes.size < MAX_NOTES) this.#notes.add(storable(text.slice(0, MAX_NOTE_CHARACTERS)));
  }

  /** @returns the place of the first; the others follow it */
  add(differences: readonly Difference[]): number {
    const first = this.#count + 1;
    for (const difference of differences) {
      this.#count += 1;
      this.found[difference.kind] = (this.found[difference.kind] ?? 0) + 1;
      this.#counted(difference, 1);
      this.#keep(this.#count, difference);
    }
    return first;
  }

  /** What became of the differences that were added at `first` and behind it. */
  became(first: number, before: readonly Difference[], after: readonly Difference[]): void {
    for (const [at, difference] of after.entries()) {
      this.#counted(before[at]!, -1);
      this.#counted(difference, 1);
      this.#keep(first + at, difference);
    }
  }

  #counted({ kind, outcome }: Difference, by: number): void {
    if (outcome === 'found') return;
    const counters = outcome === 'repaired' ? this.repaired : this.left;
    counters[kind] = (counters[kind] ?? 0) + by;
    if (counters[kind] === 0) delete counters[kind];
  }

  #keep(place: number, difference: Difference): void {
    if (place > this.#limit) return;
    const { connector, kind, outcome } = difference;
    this.#waiting.push({ place, connector, kind, outcome, content: storableJson(difference) });
  }

  /** The first `count` waiting ones are written. */
  written(count: number): void {
    this.#waiting = this.#waiting.slice(count);
  }
}
