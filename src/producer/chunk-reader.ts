import type pg from 'pg';
import Cursor from 'pg-cursor';
import { type Tuple, tupleOf } from '../kafka/tuple.ts';
import { quoteIdentifier, quoteRelation } from '../postgres/identifier.ts';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import { connect, disconnect, setLocal, TEXT_VALUES, VALUE_SETTINGS } from '../postgres/session.ts';
import type { ChunkRead } from './chunk.ts';
import { type CatalogTable, readCatalog, shapeOfCatalog } from './table-catalog.ts';
import { parseXidSnapshot } from './xid-snapshot.ts';

/** Rows that one fetch of the cursor brings. */
const FETCH = 500;

/** Which rows of a table are read. */
export type Range =
  /** Those whose key follows `after` (null: from the first), as many as the limits allow. */
  | { kind: 'following'; after: string[] | null }
  /** Those with one of these keys; a table without a key is read whole. */
  | { kind: 'keys'; keys: string[][] };

export interface ReadResult extends ChunkRead {
  /** Key of the last row, for the next chunk. */
  lastKey: string[] | null;
  /** Whether the table's end was reached. */
  complete: boolean;
}

export interface ChunkReaderOptions {
  /** SIIRAyS, or the PgBouncer before it. */
  url: string;
  publication: string;
  lockTimeoutMs: number;
  chunkRows: number;
  chunkBytes: number;
}

/** The table asked for is not published, or no longer there. */
export class TableNotPublished extends Error {}

/**
 * Reads parts of SIIRAyS's tables, each in a short read-only transaction of its own, through PgBouncer where one is
 * configured: no start-up parameters, no named statements, nothing kept between transactions.
 */
export class ChunkReader {
  readonly #options: ChunkReaderOptions;
  #client: pg.Client | null = null;

  constructor(options: ChunkReaderOptions) {
    this.#options = options;
  }

  /**
   * One chunk. The lock is taken before the snapshot: a rewriting ALTER TABLE in between would show an empty table.
   * The barrier is read last, so that every commit that the snapshot sees lies below it.
   * @throws TableNotPublished; PostgreSQL's 55P03 where the lock was not to be had in time
   */
  async read(schema: string, table: string, range: Range): Promise<ReadResult> {
    const client = await this.#connected();
    try {
      await client.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${setLocal(VALUE_SETTINGS)}; SET LOCAL lock_timeout = ${this.#options.lockTimeoutMs}`,
      );
      await client.query(`LOCK TABLE ONLY ${quoteRelation(schema, table)} IN ACCESS SHARE MODE`);
      const [described] = await readCatalog(client, this.#options.publication, { schema, table });
      if (!described)
        throw new TableNotPublished(`${schema}.${table} is not in publication ${this.#options.publication}`);
      const shape = shapeOfCatalog(described);
      const { rows, lastKey, complete } = await this.#rows(client, described, shape.key, range);
      const { rows: last } = await client.query<{ snapshot: string; lsn: string }>(
        'SELECT pg_current_snapshot()::text AS snapshot, pg_current_wal_insert_lsn()::text AS lsn',
      );
      await client.query('COMMIT');
      const snapshot = parseXidSnapshot(last[0]!.snapshot);
      return { shape, rows, snapshot, barrier: parseLsn(last[0]!.lsn), lastKey, complete };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** How far SIIRAyS's WAL is flushed now. */
  async flushLsn(): Promise<Lsn> {
    const { rows } = await (await this.#connected()).query<{ lsn: string }>(
      `SELECT pg_current_wal_flush_lsn()::text AS lsn`,
    );
    return parseLsn(rows[0]!.lsn);
  }

  /** The oldest transaction id that a snapshot taken now might not see. */
  async xmin(): Promise<bigint> {
    const { rows } = await (await this.#connected()).query<{ xmin: string }>(
      `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin`,
    );
    return BigInt(rows[0]!.xmin);
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await disconnect(client);
  }

  async #connected(): Promise<pg.Client> {
    this.#client ??= await connect({
      connectionString: this.#options.url,
      application_name: 'siirays-sync snapshot',
      types: TEXT_VALUES,
    });
    return this.#client;
  }

  async #rows(
    client: pg.Client,
    table: CatalogTable,
    key: number[],
    range: Range,
  ): Promise<{ rows: Tuple[]; lastKey: string[] | null; complete: boolean }> {
    const columns = table.columns.map((column) => quoteIdentifier(column.name)).join(', ') || 'NULL';
    const keys = key.map((place) => quoteIdentifier(table.columns[place]!.name));
    const types = key.map((place) => table.columns[place]!.type);
    // ONLY is not used for the rows: a partitioned table's rows lie in its partitions.
    let sql = `SELECT ${columns} FROM ${quoteRelation(table.schema, table.table)}`;
    const values: string[] = [];
    const place = (text: string, type: string): string => {
      values.push(text);
      return `$${values.length}::text::${type}`;
    };
    if (range.kind === 'keys' && keys.length > 0) {
      const tuples = range.keys.map((parts) => `(${parts.map((part, i) => place(part, types[i]!)).join(', ')})`);
      sql += ` WHERE (${keys.join(', ')}) IN (${tuples.join(', ')})`;
    } else if (keys.length > 0) {
      const after = range.kind === 'following' ? range.after : null;
      if (after) {
        sql += ` WHERE (${keys.join(', ')}) > (${after.map((part, i) => place(part, types[i]!)).join(', ')})`;
      }
      sql += ` ORDER BY ${keys.join(', ')}`;
    }
    const bounded = range.kind === 'following' && keys.length > 0;
    if (bounded) sql += ` LIMIT ${this.#options.chunkRows}`;
    const cursor = client.query(new Cursor<(string | null)[]>(sql, values, { rowMode: 'array', types: TEXT_VALUES }));
    const rows: Tuple[] = [];
    let bytes = 0;
    let last: (string | null)[] | null = null;
    let ended = false;
    while (!ended && !(bounded && bytes >= this.#options.chunkBytes)) {
      const batch = await cursor.read(FETCH);
      for (const row of batch) {
        const tuple = tupleOf(row);
        rows.push(tuple);
        bytes += tuple.length;
        last = row;
      }
      ended = batch.length < FETCH;
    }
    await cursor.close();
    const complete = ended && (!bounded || rows.length < this.#options.chunkRows);
    return { rows, lastKey: last && key.map((p) => last![p]!), complete };
  }
}
