import type pg from 'pg';
import type { TableRef } from '../../connector/compiled.ts';
import { collectionName } from '../../consumer/replica-names.ts';

/** What SIIRAyS's catalogue says of a table. */
export interface SourceTable {
  readonly partitioned: boolean;
  /** Columns of each unique index, in its order. */
  readonly indexes: readonly (readonly string[])[];
  /** About how many rows it has (reltuples); 0 where nobody has looked yet. */
  readonly rows: number;
}

const SQL = `
SELECT w.schema, w.name, c.relkind = 'p' AS partitioned,
  (SELECT coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint FROM pg_class p
    WHERE p.oid = c.oid AND c.relkind <> 'p' OR c.relkind = 'p' AND p.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)
  ) AS rows,
  (SELECT json_agg(k.columns) FROM (
     SELECT json_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum)) AS columns
       FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
      WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid) AS k)::text AS indexes
FROM unnest($1::text[], $2::text[]) AS w (schema, name)
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')`;

/** Reads what SIIRAyS has of these tables, by `schema.table`. The client hands out text. */
export async function readSourceTables(
  client: pg.ClientBase,
  tables: readonly TableRef[],
): Promise<Map<string, SourceTable>> {
  const { rows } = await client.query<{
    schema: string;
    name: string;
    partitioned: string;
    rows: string;
    indexes: string | null;
  }>(SQL, [tables.map(({ schema }) => schema), tables.map(({ table }) => table)]);
  return new Map(
    rows.map((row) => [
      collectionName({ schema: row.schema, table: row.name }),
      {
        partitioned: row.partitioned === 't',
        indexes: JSON.parse(row.indexes ?? '[]') as string[][],
        rows: Number(row.rows),
      },
    ]),
  );
}
