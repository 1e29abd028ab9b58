import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { borrow } from '../../src/postgres/borrowed-connection.ts';
import { cursorRows } from '../../src/postgres/cursor-rows.ts';
import { Refusal } from './answer.ts';

/** Which set of documents a call is about. */
export interface Target {
  /** The path without slashes at its ends: registro */
  collection: string;
  dbTag: string;
}

/** A pool on the service's own database. `onError` hears of idle connections that broke; the pool replaces them. */
export function openPool(url: string, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    connectionTimeoutMillis: 10_000,
    options: '-c client_min_messages=warning -c lock_timeout=10s',
    application_name: 'fastaaps',
  });
  pool.on('error', onError);
  return pool;
}

/** Makes the tables where they are missing. Several processes may do it at once: one does it, the others wait. */
export async function createTables(pool: pg.Pool): Promise<void> {
  const sql = await readFile(join(import.meta.dirname, 'tables.sql'), 'utf8');
  await withClient(pool, (client) =>
    transaction(client, async () => {
      await client.query(`SELECT pg_advisory_xact_lock(hashtext('fastaaps tables'))`);
      await client.query(sql);
    }),
  );
}

/** Lends a connection to `work`. After an error that is no mere refusal it may hold anything: it is closed. */
export async function withClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const { client, release } = await borrow(pool);
  try {
    const result = await work(client);
    release();
    return result;
  } catch (error) {
    release(!(error instanceof Refusal));
    throw error;
  }
}

/** Runs `work` in one transaction of the connection: all of it or nothing. */
export async function transaction<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    try {
      await client.query('ROLLBACK');
    } catch (failure) {
      throw new AggregateError([error, failure], 'the transaction failed, and so did its rollback');
    }
    throw error;
  }
}

/** Rows of one statement of any size, one snapshot, read as fast as they are taken. */
export async function* streamRows<Row>(
  pool: pg.Pool,
  sql: string,
  values: unknown[],
  length: (row: Row) => number,
): AsyncGenerator<Row> {
  const { client, release } = await borrow(pool);
  let failed = true;
  try {
    yield* cursorRows<Row>(client, sql, values, length);
    failed = false;
  } finally {
    release(failed);
  }
}

/** Writers of one set go one after the other; readers never wait. Held to the end of the transaction. */
export async function lockSet(client: pg.ClientBase, { collection, dbTag }: Target): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${dbTag}\n${collection}`]);
}
