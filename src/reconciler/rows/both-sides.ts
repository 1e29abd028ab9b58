import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import type { SiiraysReader } from '../siirays-reader.ts';
import type { ComparedTable } from './compared-table.ts';
import type { ReplicaReader } from './replica-reader.ts';

/** The replica has another shape of the table than when the comparison of it began. */
export class ShapeMoved extends Error {}

/** Lock not to be had in time, serialization failure, deadlock: the next attempt may succeed. */
const RETRIED = new Set(['55P03', '40001', '40P01']);
const ATTEMPTS = 3;

export interface BothSidesOptions {
  readonly siirays: SiiraysReader;
  readonly replica: ReplicaReader;
  /** The connector's bookkeeping schema in `sync`, unquoted. */
  readonly syncSchema: string;
  /** How long a snapshot of SIIRAyS should last. */
  readonly rangeMs: number;
}

/** What is read of a table at about one time, each side in a short snapshot of its own. */
export interface Reading<P, S, R> {
  /** Read of SIIRAyS before, in the same snapshot: what the other two need to know. */
  prepare(client: pg.ClientBase): Promise<P>;
  source(client: pg.ClientBase, prepared: P): Promise<S>;
  replica(client: pg.ClientBase, prepared: P): Promise<R>;
}

export interface BothRead<P, S, R> {
  readonly prepared: P;
  readonly source: S;
  readonly replica: R;
  /** How long SIIRAyS was read. */
  readonly ms: number;
}

/** Reads a table on both sides at once. One call at a time. */
export class BothSides {
  readonly #options: BothSidesOptions;

  constructor(options: BothSidesOptions) {
    this.#options = options;
  }

  /**
   * @throws ShapeMoved where the replica's table is another than `table` says; PostgreSQL's errors
   */
  async read<P, S, R>(table: ComparedTable, reading: Reading<P, S, R>): Promise<BothRead<P, S, R>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(table, reading);
      } catch (error) {
        const { code } = error as { code?: unknown };
        if (attempt === ATTEMPTS || typeof code !== 'string' || !RETRIED.has(code)) throw error;
      }
    }
  }

  async #once<P, S, R>(table: ComparedTable, reading: Reading<P, S, R>): Promise<BothRead<P, S, R>> {
    const { siirays, rangeMs } = this.#options;
    let replica: Promise<R> | undefined;
    try {
      const read = await siirays.snapshot([table.ref], rangeMs, async (client) => {
        const started = performance.now();
        const prepared = await reading.prepare(client);
        replica = this.#replica(table, (other) => reading.replica(other, prepared));
        // It is awaited when SIIRAyS's snapshot has ended.
        replica.catch(() => undefined);
        const source = await reading.source(client, prepared);
        return { prepared, source, ms: performance.now() - started };
      });
      return { ...read, replica: await replica! };
    } finally {
      await replica?.catch(() => undefined);
    }
  }

  #replica<R>(table: ComparedTable, read: (client: pg.ClientBase) => Promise<R>): Promise<R> {
    const { replica, syncSchema } = this.#options;
    return replica.snapshot(table.replica.relation, async (client) => {
      const { rows } = await client.query<{ fingerprint: string }>(
        `SELECT fingerprint FROM ${quoteIdentifier(syncSchema)}.replica_table
         WHERE NOT staging AND table_schema = $1 AND table_name = $2`,
        [table.ref.schema, table.ref.table],
      );
      if (rows[0]?.fingerprint !== table.fingerprint) throw new ShapeMoved(`${table.name} has changed in the replica`);
      return read(client);
    });
  }
}
