import type pg from 'pg';
import type { TableShape } from '../kafka/change-event.ts';
import { type Tuple, tupleOf } from '../kafka/tuple.ts';
import { quoteRelation } from '../postgres/identifier.ts';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import { connect, disconnect, SOURCE_SETTINGS, setLocal, TEXT_VALUES } from '../postgres/session.ts';
import type { ChunkRead } from './chunk.ts';
import { readFollowing, readKeys, readWhole } from './chunk-rows.ts';
import { nextXid, type PublicationStart } from './publication-start.ts';
import { type CatalogTable, readCatalog, shapeOfCatalog } from './table-catalog.ts';
import { nameOf, type TableEras } from './table-eras.ts';
import { parseXidSnapshot, type XidSnapshot } from './xid-snapshot.ts';

/** Which rows of a table are read. */
export type Range =
  /**
   * Those whose key follows `after` (null: from the first), as many as the limits allow. Where the table no longer has the
   * shape with this fingerprint its key may be another: then it is read from the first again.
   */
  | { kind: 'following'; after: string[] | null; shape: string | null }
  /** Those with one of these keys; a table without a key is read whole. */
  | { kind: 'keys'; keys: string[][] };

export interface ReadResult extends ChunkRead {
  /** Asked-for keys that no row has, as rows of nothing but the key. */
  absent: Tuple[];
  /** How many of the asked-for keys are none of the table in its shape of now. */
  unfit: number;
  /** Key of the last row, for the next chunk. */
  lastKey: string[] | null;
  /** Whether the table's end was reached. */
  complete: boolean;
}

export interface ChunkReaderOptions {
  /** SIIRAyS, or the PgBouncer before it. */
  url: string;
  publication: string;
  publicationStart: PublicationStart;
  eras: TableEras;
  lockTimeoutMs: number;
  chunkRows: number;
  chunkBytes: number;
}

/** The table asked for is not published. */
export class TableNotPublished extends Error {}

/** The table was published while transactions were open that may have written to it before. */
export class TableTooNew extends Error {}

/** The table is in another era than the stream has come to. */
export class TableTurned extends Error {}

/** The keys that were asked for do not fit the table. */
export class UnfitKeys extends Error {}

/**
 * What each reading transaction sets beside the values' settings. A filtering row security policy is an error, not a
 * smaller table; and a reader that hangs must not hold back SIIRAyS's vacuum.
 */
const READING = { row_security: 'off', idle_in_transaction_session_timeout: '60s' };

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
   * One chunk. The lock (on the partitions too) is taken before the snapshot: a rewriting ALTER TABLE in between would
   * show an empty table. The barrier is read last, so that every commit that the snapshot sees lies below it.
   * @throws TableNotPublished; TableTooNew; TableTurned; UnfitKeys; PostgreSQL's 55P03 where the lock was not to be had in time
   */
  async read(schema: string, table: string, range: Range): Promise<ReadResult> {
    const { publication, publicationStart, eras, lockTimeoutMs } = this.#options;
    const client = await this.#connected();
    try {
      await client.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${setLocal({ ...SOURCE_SETTINGS, ...READING, lock_timeout: `${lockTimeoutMs}` })}`,
      );
      await client.query(`LOCK TABLE ${quoteRelation(schema, table)} IN ACCESS SHARE MODE`);
      const [described] = await readCatalog(client, publication, { schema, table });
      if (!described) throw new TableNotPublished(`${schema}.${table} is not in publication ${publication}`);
      const snapshot = await currentSnapshot(client);
      if (!publicationStart.isNoted(described.oid)) publicationStart.note([described.oid], await nextXid(client));
      if (!publicationStart.reached(described.oid, snapshot.xmin)) {
        throw new TableTooNew(`transactions that are older than the publication of ${schema}.${table} are still open`);
      }
      if (!eras.isSame(described)) throw new TableTurned(`${schema}.${table} has just been changed in SIIRAyS`);
      const shape = shapeOfCatalog(described, eras.of(nameOf(described)));
      const found = await this.#rows(client, described, shape, range);
      const { rows: last } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
      await client.query('COMMIT');
      return { ...found, shape, snapshot, barrier: parseLsn(last[0]!.lsn) };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * How far SIIRAyS's WAL is flushed now, and how long an asynchronous commit may take to be: three times
   * wal_writer_delay (PostgreSQL manual, 28.4 "Asynchronous Commit").
   */
  async flushed(): Promise<{ lsn: Lsn; delayMs: number }> {
    const { rows } = await (await this.#connected()).query<{ lsn: string; delay: string }>(
      `SELECT pg_current_wal_flush_lsn()::text AS lsn,
              (SELECT setting FROM pg_settings WHERE name = 'wal_writer_delay') AS delay`,
    );
    return { lsn: parseLsn(rows[0]!.lsn), delayMs: 3 * Number(rows[0]!.delay) };
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
    { key, fingerprint }: TableShape,
    range: Range,
  ): Promise<Pick<ReadResult, 'rows' | 'absent' | 'unfit' | 'lastKey' | 'complete'>> {
    const { chunkRows, chunkBytes } = this.#options;
    if (key.length === 0) {
      return { rows: await readWhole(client, table, chunkBytes), absent: [], unfit: 0, lastKey: null, complete: true };
    }
    if (range.kind === 'following') {
      const after = range.shape === fingerprint ? range.after : null;
      const limit = { rows: chunkRows, bytes: chunkBytes };
      return { ...(await readFollowing(client, table, key, after, limit)), absent: [], unfit: 0 };
    }
    if (range.keys.some((parts) => parts.length !== key.length)) {
      throw new UnfitKeys(`a key of ${table.schema}.${table.table} has ${key.length} columns`);
    }
    const { rows, absent, unfit } = await readKeys(client, table, key, range.keys, chunkBytes);
    const width = table.columns.length;
    return { rows, absent: absent.map((parts) => keyRow(width, key, parts)), unfit, lastKey: null, complete: true };
  }
}

/** What the transactions of now see. */
export async function currentSnapshot(client: pg.ClientBase): Promise<XidSnapshot> {
  const { rows } = await client.query<{ snapshot: string }>('SELECT pg_current_snapshot()::text AS snapshot');
  return parseXidSnapshot(rows[0]!.snapshot);
}

/** A row of nothing but its key: what a deletion of an absent row is published as. */
function keyRow(width: number, key: number[], parts: string[]): Tuple {
  const values: (string | null)[] = new Array(width).fill(null);
  key.forEach((place, i) => {
    values[place] = parts[i]!;
  });
  return tupleOf(values);
}
