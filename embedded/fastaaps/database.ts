import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { cursorRows } from '../../src/consumer/delivery/cursor-rows.ts';

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
    options: '-c client_min_messages=warning',
    application_name: 'fastaaps',
  });
  pool.on('error', onError);
  return pool;
}

/** Makes the tables where they are missing. Several processes may do it at once: one does it, the others wait. */
export async function createTables(pool: pg.Pool): Promise<void> {
  const sql = await readFile(join(import.meta.dirname, 'tables.sql'), 'utf8');
  await transaction(pool, async (client) => {
    await client.query(`SELECT pg_advisory_xact_lock(hashtext('fastaaps tables'))`);
    await client.query(sql);
  });
}

/** Runs `work` in one transaction: all of it or nothing. A connection that failed to roll back is thrown away. */
export async function transaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Rows of one statement of any size, one snapshot, read as fast as they are taken. */
export async function* streamRows<Row>(
  pool: pg.Pool,
  sql: string,
  values: unknown[],
  length: (row: Row) => number,
): AsyncGenerator<Row> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    yield* cursorRows<Row>(client, sql, values, length);
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Writers of one set go one after the other; readers never wait. Held to the end of the transaction. */
export async function lockSet(client: pg.ClientBase, { collection, dbTag }: Target): Promise<void> {
  await client.query(`SET LOCAL lock_timeout = '10s'`);
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${dbTag}\n${collection}`]);
}
