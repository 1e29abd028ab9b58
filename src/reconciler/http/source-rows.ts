import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { collectionName, connectorSchemas } from '../../consumer/replica-names.ts';
import { ReplicaTables } from '../../consumer/replica-tables.ts';
import { withConnection } from '../../postgres/borrowed-connection.ts';

/** Rows of one table that are told at most. */
const TOLD = 50;

/** A row of SIIRAyS by its key, values as PostgreSQL's text; without a key by the columns that join and order it. */
export interface SourceRow {
  /** schema.table */
  table: string;
  key: Readonly<Record<string, string | null>>;
}

/**
 * The rows of SIIRAyS that a document, or the part of it that `path` names, is made of: as the replica has them, at most 50
 * a table. Null while the replica lacks a table of the connector, before its first load.
 */
export async function readSourceRows(
  pool: pg.Pool,
  connector: Pick<CompiledConnector, 'name' | 'tables' | 'sourceRows'>,
  id: string,
  path: string | null,
): Promise<SourceRow[] | null> {
  const replica = new ReplicaTables(connectorSchemas(connector.name), false);
  // One statement, which takes its locks before its snapshot: a swap of the replica in between would show empty tables.
  const read = await withConnection(pool, async (client) => {
    await replica.load(client);
    if (connector.tables.some((table) => !replica.get(table))) return null;
    const { sql, tables } = connector.sourceRows(path, replica.placement);
    const { rows } = await client.query<{ place: number; key: SourceRow['key'] }>(sql, [id, TOLD]);
    return rows.map(({ place, key }) => ({ table: collectionName(tables[place]!), key }));
  });
  return read && distinct(read);
}

/** A table may stand in several places of a document. */
function distinct(rows: readonly SourceRow[]): SourceRow[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}
