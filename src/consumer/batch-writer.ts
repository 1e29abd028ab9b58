import type pg from 'pg';
import type { ChangeEvent } from '../kafka/change-event.ts';
import { type ApplyTarget, applyStep } from './apply.ts';
import { createFold, type TableFold } from './fold.ts';
import { ShapeChanged } from './shape-difference.ts';

/** Folded changes beyond this go to the database, in the open transaction: bounds a large transaction's memory. */
const FLUSH_BYTES = 8 * 1024 * 1024;

/**
 * One PostgreSQL transaction that takes a batch of whole units. It is begun with the first statement, so that a unit
 * whose events are still coming holds nothing open unless it is large.
 */
export class BatchWriter {
  readonly #client: pg.ClientBase;
  readonly #target: ApplyTarget;
  #folds = new Map<number, TableFold>();
  #bytes = 0;
  #open = false;

  constructor(client: pg.ClientBase, target: ApplyTarget) {
    this.#client = client;
    this.#target = target;
  }

  /** Whether the transaction has been begun. */
  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Folds events of the connector's `table`-th table.
   * @throws ShapeChanged where they do not fit the table as it was made
   */
  add(table: number, events: readonly ChangeEvent[]): void {
    const shape = events[0]!.shape;
    let fold = this.#folds.get(table);
    if (!fold) {
      const known = this.#target.tables.get(shape);
      if (known && known.shape.fingerprint !== shape.fingerprint) throw new ShapeChanged(known.shape, shape);
      fold = createFold(shape);
      this.#folds.set(table, fold);
    }
    this.#bytes -= fold.bytes;
    for (const event of events) fold.add(event);
    this.#bytes += fold.bytes;
  }

  async flushIfLarge(): Promise<void> {
    if (this.#bytes >= FLUSH_BYTES) await this.flush();
  }

  /** Applies what is folded. */
  async flush(): Promise<void> {
    await this.begin();
    const changes = [...this.#folds.values()].map((fold) => fold.change());
    this.#folds = new Map();
    this.#bytes = 0;
    await applyStep(this.#client, this.#target, changes);
  }

  /** Begins the transaction where it is not yet, with a lock that is better taken before all others. */
  async begin(lock?: string): Promise<void> {
    if (this.#open) return;
    this.#open = true;
    await this.#client.query(lock === undefined ? 'BEGIN' : `BEGIN; ${lock}`);
  }

  async commit(): Promise<void> {
    await this.#client.query('COMMIT');
    this.#open = false;
  }

  /** Keeps the session's idle time short while more of a large unit is awaited. */
  async keepOpen(): Promise<void> {
    if (this.#open) await this.#client.query('SELECT 1');
  }
}
