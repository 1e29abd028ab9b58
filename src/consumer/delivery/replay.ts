import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';

/**
 * Sends dead letters once more: inserts forced marks, from which the consumer makes new versions with its next
 * projection. Running it twice marks the same documents once.
 * @param schema the connector's bookkeeping schema, e.g. epsa_sync
 * @param ids documents to replay, or `all` that are not set aside; ids without a dead letter are passed over
 * @returns the ids that were marked
 */
export async function replayDeadLetter(
  client: pg.ClientBase | pg.Pool,
  schema: string,
  ids: readonly string[] | 'all',
): Promise<string[]> {
  const s = quoteIdentifier(schema);
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO ${s}.mark (id, forced)
     SELECT id, true FROM ${s}.dead_letter
     WHERE CASE WHEN $1::text[] IS NULL THEN discarded_at IS NULL ELSE id = ANY ($1) END ORDER BY id
     ON CONFLICT (id) DO UPDATE SET forced = true RETURNING id`,
    [ids === 'all' ? null : ids],
  );
  return rows.map((row) => row.id);
}
