import type pg from 'pg';
import { quoteIdentifier } from '../postgres/identifier.ts';

/**
 * Puts back the one row of `checkpoint` and of `delivery` where it was lost. Without a position a full snapshot follows.
 * The new token lies above any that was given before, so that whoever worked under one stays shut out; the epoch is the
 * highest known here, and delivery raises it above what FASTAAPS has.
 * @returns whether the checkpoint was lost
 */
export async function restoreLostRows(client: pg.ClientBase, syncSchema: string): Promise<boolean> {
  const s = quoteIdentifier(syncSchema);
  await client.query(`INSERT INTO ${s}.delivery DEFAULT VALUES ON CONFLICT DO NOTHING`);
  const { rowCount } = await client.query(
    `INSERT INTO ${s}.checkpoint (token, epoch)
     SELECT extract(epoch FROM clock_timestamp())::bigint,
            coalesce(greatest((SELECT max(epoch) FROM ${s}.delivery), (SELECT max(epoch) FROM ${s}.document)), 0)
     ON CONFLICT DO NOTHING`,
  );
  return rowCount === 1;
}
