import type pg from 'pg';
import { borrow, withConnection } from '../../postgres/borrowed-connection.ts';

/** A process that stands still in a transaction must not hold up the others for long. */
const SETTINGS = `SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '20s'`;

/** Runs `work` in a READ COMMITTED transaction on a connection of the pool; rolls back where it throws. */
export function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return withConnection(pool, async (client) => {
    await client.query(`BEGIN ISOLATION LEVEL READ COMMITTED; ${SETTINGS}`);
    try {
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      // Where the connection is gone, so is the transaction; the error that counts is the first one.
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  });
}

/** The server did not answer in time. */
export class TooLate extends Error {
  override readonly name = 'TooLate';
}

/**
 * Runs `work` on a connection of the pool, for `ms` milliseconds at most, the wait for the connection included: a peer that
 * is gone without a word would be waited for many minutes. What was sent may still be done there.
 * @throws TooLate
 */
export async function withinTime<T>(
  pool: pg.Pool,
  ms: number,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const borrowing = borrow(pool);
  let release = (_discard: boolean): void => undefined;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    release(true);
    reject(new TooLate(`the database sync did not answer within ${Math.ceil(ms)} ms`));
  }, ms);
  const working = borrowing.then(async (lent) => {
    if (late) {
      lent.release();
      return over;
    }
    release = (discard) => {
      release = () => undefined;
      lent.release(discard);
    };
    try {
      const result = await work(lent.client);
      release(false);
      return result;
    } catch (error) {
      release(true);
      throw error;
    }
  });
  try {
    return await Promise.race([working, over]);
  } finally {
    clearTimeout(timer);
    working.catch(() => undefined);
    over.catch(() => undefined);
  }
}
