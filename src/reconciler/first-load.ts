import type pg from 'pg';
import { connectorSchemas } from '../consumer/replica-names.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';

/**
 * When FASTAAPS took the connectors' first loads, the latest of them, in milliseconds since 1970; null while one is missing.
 */
export async function firstLoadAt(pool: pg.Pool, connectors: readonly string[]): Promise<number | null> {
  let latest: number | null = null;
  for (const name of connectors) {
    const schema = connectorSchemas(name).sync;
    const { rows: there } = await pool.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      `${quoteIdentifier(schema)}.delivery`,
    ]);
    if (!there[0]!.there) return null;
    const { rows } = await pool.query<{ at: number | null }>(
      `SELECT (extract(epoch FROM first_delivered_at) * 1000)::float8 AS at FROM ${quoteIdentifier(schema)}.delivery`,
    );
    const at = rows[0]?.at ?? null;
    if (at === null) return null;
    latest = Math.max(latest ?? 0, at);
  }
  return latest;
}
