import { canonicalText, type Rows, referenceDocuments } from '../test/connector/reference-projection.ts';
import { normalised } from '../test/support/normalised-json.ts';
import { type Documents, documentHash, type Sums } from './history/records.ts';
import { Mirror, type TableShape } from './witness/mirror.ts';
import type { Commit } from './witness/witness.ts';

/** SIIRAyS as of the commits that one reader sees: moved on to each of them, in order. */
export class Truth {
  readonly #mirror: Mirror;
  readonly #ahead: Commit[] = [];

  constructor(shapes: readonly TableShape[], start: Rows) {
    this.#mirror = new Mirror(shapes, start);
  }

  add(commit: Commit): void {
    this.#ahead.push(commit);
  }

  /** Moves on to the last commit that ends at or before this LSN; back it cannot go. */
  moveTo(lsn: bigint): void {
    let count = 0;
    for (const commit of this.#ahead) {
      if (commit.lsn > lsn) break;
      for (const change of commit.changes) this.#mirror.apply(change);
      count++;
    }
    this.#ahead.splice(0, count);
  }

  sums(): Sums {
    return this.#mirror.sums();
  }

  /** Hashes of the documents, by the plain projection that knows neither the connector nor its compiler. */
  documents(): Documents {
    const documents: Documents = {};
    for (const [id, { document }] of referenceDocuments(this.#mirror.rows())) {
      documents[id] = documentHash(canonicalText(normalised(document)));
    }
    return documents;
  }
}
