import type { Described } from './comparison.ts';
import type { Counts, Difference, DifferenceKind } from './types.ts';

/** What a run has come to, over all its phases. */
export class Tally {
  readonly found: Counter;
  readonly repaired: Counter;
  readonly left: Counter;
  /** What was compared in the phases that are done. */
  readonly compared = { rows: 0, documents: 0 };
  readonly consequences = new Consequences();
  /** Connectors of which something kept changing or was passed over: a run that goes on with this one passes it over, too. */
  readonly undecided: Set<string>;
  /** Connectors of which something was not looked at, which a run that goes on with this one does. */
  readonly unfinished = new Set<string>();
  /** By connector the ids asked for that none of its sides knows. */
  readonly #unknown: Map<string, readonly string[]>;
  readonly #foundBefore: number;

  /** @param before what the run that this one goes on with had come to */
  constructor(before: TallySoFar | null = null) {
    this.found = new Counter(before?.found);
    this.repaired = new Counter(before?.repaired);
    this.left = new Counter(before?.left);
    this.undecided = new Set(before?.undecided);
    this.#unknown = new Map(Object.entries(before?.unknown ?? {}));
    this.#foundBefore = this.found.total;
  }

  /** As a cursor keeps it. */
  get soFar(): TallySoFar {
    const { found, repaired, left, undecided } = this;
    return {
      ...{ found: found.counts(), repaired: repaired.counts(), left: left.counts() },
      ...{ undecided: [...undecided], unknown: Object.fromEntries(this.#unknown) },
    };
  }

  /** Whether this run, without the one it goes on with, has found so many differences. */
  hasFound(most: number | null): boolean {
    return most !== null && this.found.total - this.#foundBefore >= most;
  }

  addUnknown(connector: string, ids: readonly string[]): void {
    this.#unknown.set(connector, [...(this.#unknown.get(connector) ?? []), ...ids]);
  }

  /** Ids asked for that none of these connectors knows. */
  unknownTo(connectors: readonly string[]): string[] {
    const [first = [], ...others] = connectors.map((name) => this.#unknown.get(name) ?? []);
    const sets = others.map((ids) => new Set(ids));
    return first.filter((id) => sets.every((ids) => ids.has(id)));
  }
}

/** What a run that is resumed hands on, as JSON. */
export interface TallySoFar {
  found: Counts;
  repaired: Counts;
  left: Counts;
  undecided: readonly string[];
  unknown: Readonly<Record<string, readonly string[]>>;
}

/** Rows are described with so many documents at most. */
const DOCUMENTS_NAMED = 100;
/** Documents remembered as consequences of rows: with more of them, any may be one. */
const CONSEQUENCES = 100_000;

/**
 * Documents that show a row of the replica which is wrong and not repaired: what the replica would make of them proves
 * nothing, and is no difference of its own.
 */
class Consequences {
  readonly #documents = new Set<string>();
  #all = false;

  add({ kind, outcome, documents }: Difference): void {
    if (kind !== 'row' || outcome === 'repaired') return;
    if (documents.length >= DOCUMENTS_NAMED || this.#documents.size > CONSEQUENCES) this.#all = true;
    else for (const id of documents) this.#documents.add(id);
  }

  has({ kind, documents }: Described): boolean {
    return kind === 'projection' && (this.#all || documents.some((id) => this.#documents.has(id)));
  }
}

/** Counts by kind. */
class Counter {
  readonly #counts: Map<DifferenceKind, number>;

  constructor(counts: Counts = {}) {
    this.#counts = new Map(Object.entries(counts) as [DifferenceKind, number][]);
  }

  add(kind: DifferenceKind, many = 1): void {
    if (many > 0) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + many);
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  counts(): Counts {
    return Object.fromEntries(this.#counts);
  }
}
