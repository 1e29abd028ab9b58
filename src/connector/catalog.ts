import type { ClientBase } from 'pg';
import { quoteRelation } from '../postgres/identifier.ts';
import type { Placement, TableRef } from './compiled.ts';

/** A table as it stands in a database. */
export interface CatalogTable extends TableRef {
  /** Type of each column as format_type writes it, in the order of the columns. */
  readonly types: Readonly<Record<string, string>>;
  /** Columns of the primary key; empty where there is none. */
  readonly key: readonly string[];
}

export type Catalog = readonly CatalogTable[];

const CATALOG_SQL = `
SELECT n.nspname AS schema, c.relname AS "table",
  (SELECT json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)::text AS types,
  (SELECT json_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum))
   FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
   WHERE i.indrelid = c.oid AND i.indisprimary)::text AS key
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 1, 2`;

/** Reads the tables of some schemas: columns with their types, and primary keys. */
export async function readCatalog(client: ClientBase, schemas: readonly string[]): Promise<Catalog> {
  const { rows } = await client.query<{ schema: string; table: string; types: string | null; key: string | null }>(
    CATALOG_SQL,
    [schemas],
  );
  return rows.map(({ schema, table, types, key }) => ({
    schema,
    table,
    types: types === null ? {} : (JSON.parse(types) as Record<string, string>),
    key: key === null ? [] : (JSON.parse(key) as string[]),
  }));
}

/**
 * Places the connector's tables where a catalog says that they stand.
 * @param rename gives the table's name in the catalog; as it is in SIIRAyS unless told otherwise
 * @throws where the catalog has no such table
 */
export function placementIn(catalog: Catalog, rename: (table: TableRef) => TableRef = (table) => table): Placement {
  const tables = new Map(catalog.map((table) => [nameOf(table), table]));
  return (table) => {
    const place = rename(table);
    const found = tables.get(nameOf(place));
    if (found === undefined) throw new Error(`there is no table ${place.schema}.${place.table}`);
    return { relation: quoteRelation(place.schema, place.table), types: found.types, key: found.key };
  };
}

function nameOf({ schema, table }: TableRef): string {
  return JSON.stringify([schema, table]);
}
