import type pg from 'pg';

/** A connection of a pool, lent out. */
export interface Lent {
  client: pg.PoolClient;
  /** Gives it back; `discard`: it may be in any state, and is closed, which rolls back whatever is open. */
  release(discard?: boolean): void;
}

/**
 * Lends a connection. When it breaks while nothing is asked of it, pg emits an `error` that would end the process if
 * nobody listened; the next query on it fails by itself.
 */
export async function borrow(pool: pg.Pool): Promise<Lent> {
  const client = await pool.connect();
  const broken = (): void => undefined;
  client.on('error', broken);
  return {
    client,
    release(discard = false) {
      client.off('error', broken);
      client.release(discard);
    },
  };
}

/** Lends a connection to `work`; after an error it is discarded. */
export async function withConnection<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const { client, release } = await borrow(pool);
  let failed = true;
  try {
    const result = await work(client);
    failed = false;
    return result;
  } finally {
    release(failed);
  }
}
