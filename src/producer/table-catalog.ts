import type pg from 'pg';
import { fingerprintOf } from '../kafka/avro-schema.ts';
import type { TableShape } from '../kafka/change-event.ts';
import type { RelationMessage } from './pgoutput.ts';

export interface CatalogColumn {
  name: string;
  type: string;
  typeOid: number;
  typeModifier: number;
  /** Whether a replica keeps its values as texts: strings, enums and domains. */
  textual: boolean;
}

/** A published table as SIIRAyS's catalogue describes it now. */
export interface CatalogTable {
  oid: number;
  identity: RelationMessage['identity'];
  /** Published columns, in the order of the table. */
  columns: CatalogColumn[];
  /** Names of the row's identity: replica identity, with FULL the primary key; empty: the whole row. */
  key: string[];
  /** The same names in the order of their index, which is the order to read the table in. */
  scan: string[];
  /** Schemas of the operators that compare the columns of `scan`, but for pg_catalog: those of extensions' types. */
  operatorSchemas: string[];
  /** Whether its rows lie in partitions. */
  partitioned: boolean;
  /** What shows whether its rows may have changed without events: see TableEras. */
  continuity: {
    /** Columns by number, name and type, and the table's own oid. */
    columns: string;
    /** The publication's entries for it (a new one has a new oid), its options, and the partitions that belong to it. */
    published: string;
    /** Where the rows lie; a rewriting changes it. */
    storage: string;
    /** The transactions that wrote the columns' catalogue rows. */
    versions: string;
  };
  schema: string;
  table: string;
}

/**
 * Published tables with columns and identity. Generated columns are not published (before PostgreSQL 18, and there by
 * default), nor are those that a column list leaves out; pg_publication_tables.attnames knows both from 15 on.
 * A btree's strategy 5 is greater-than (manual, 36.16.2).
 * A deferrable primary key identifies no row while a transaction swaps keys; PostgreSQL takes it for no identity either.
 */
function sql(fifteen: boolean): string {
  const published = fifteen ? 'a.attname = ANY (p.attnames)' : `a.attgenerated = ''`;
  const schemas = fifteen
    ? `|| ' in ' || coalesce((SELECT string_agg(s.oid::text, ' ') FROM pg_publication_namespace s WHERE s.pnpubid = u.oid AND s.pnnspid = n.oid), '')`
    : '';
  return `
  SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS "table", c.relreplident AS identity,
         (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                          'typeOid', a.atttypid::int8, 'typeModifier', a.atttypmod,
                          'textual', t.typcategory = 'S' OR t.typtype IN ('d', 'e')) ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND ${published}
         ) AS columns,
         coalesce(k.key, '[]') AS key, coalesce(k.scan, '[]') AS scan,
         coalesce(k.operators, '[]') AS operators, c.relkind = 'p' AS partitioned,
         concat_ws(' ', c.oid, o.columns) AS columns_state, concat_ws(' ', u.oid, u.xmin, e.entries, e.partitions) AS published,
         c.relfilenode AS storage, o.versions
    FROM pg_publication_tables p
    JOIN pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    JOIN pg_publication u ON u.pubname = p.pubname
    CROSS JOIN LATERAL (
         SELECT string_agg(concat_ws(' ', attnum, quote_ident(attname), atttypid, atttypmod), ' ' ORDER BY attnum) AS columns,
                string_agg(xmin::text, ' ' ORDER BY attnum) AS versions
           FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ${published}) o
    CROSS JOIN LATERAL (
         SELECT (SELECT string_agg(r.oid::text, ' ' ORDER BY r.oid) FROM pg_publication_rel r
                  WHERE r.prpubid = u.oid AND (r.prrelid = c.oid OR r.prrelid IN (SELECT pg_partition_ancestors(c.oid))))
                ${schemas} AS entries,
                (SELECT string_agg(t.relid::oid::text, ' ' ORDER BY t.relid) FROM pg_partition_tree(c.oid) t) AS partitions) e
    CROSS JOIN LATERAL (
         SELECT json_agg(a.attname ORDER BY a.attnum) AS key,
                json_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum)) AS scan,
                json_agg(DISTINCT o.oprnamespace::regnamespace::text) FILTER (WHERE o.oprnamespace <> 'pg_catalog'::regnamespace) AS operators
           FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
           LEFT JOIN pg_opclass class ON class.oid = i.indclass[array_position(i.indkey::int2[], a.attnum)]
           LEFT JOIN pg_amop m ON m.amopfamily = class.opcfamily AND m.amopstrategy = 5
                         AND m.amoplefttype = class.opcintype AND m.amoprighttype = class.opcintype
           LEFT JOIN pg_operator o ON o.oid = m.amopopr
          WHERE i.indrelid = c.oid AND i.indimmediate
            AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END) k
   WHERE p.pubname = $1 AND ($2::text IS NULL OR (p.schemaname = $2 AND p.tablename = $3))`;
}

interface Row {
  oid: string;
  schema: string;
  table: string;
  identity: CatalogTable['identity'];
  columns: string | null;
  key: string;
  scan: string;
  operators: string;
  partitioned: string;
  columns_state: string;
  published: string;
  storage: string;
  versions: string | null;
}

/** Reads the published tables, or one of them. The client hands out text, see TEXT_VALUES. */
export async function readCatalog(
  client: pg.ClientBase,
  publication: string,
  only?: { schema: string; table: string },
): Promise<CatalogTable[]> {
  const { rows: version } = await client.query<{ version: string }>(
    `SELECT current_setting('server_version_num') AS version`,
  );
  const fifteen = Number(version[0]!.version) >= 150_000;
  const { rows } = await client.query<Row>(sql(fifteen), [publication, only?.schema ?? null, only?.table ?? null]);
  return rows.map((row) => ({
    oid: Number(row.oid),
    schema: row.schema,
    table: row.table,
    identity: row.identity,
    columns: JSON.parse(row.columns ?? '[]') as CatalogTable['columns'],
    key: JSON.parse(row.key) as string[],
    scan: JSON.parse(row.scan) as string[],
    operatorSchemas: JSON.parse(row.operators) as string[],
    partitioned: row.partitioned === 't',
    continuity: {
      columns: row.columns_state,
      published: row.published,
      storage: row.storage,
      versions: row.versions ?? '',
    },
  }));
}

/** The shape in which a catalogue table's events are written now, in the era that it is in. */
export function shapeOfCatalog(table: CatalogTable, era: number): TableShape {
  const key = table.key.map((name) => table.columns.findIndex((column) => column.name === name));
  const shape = {
    schema: table.schema,
    table: table.table,
    columns: table.columns.map(({ name, type }) => ({ name, type })),
    // A key column that is not published identifies nothing for who reads the stream.
    key: key.includes(-1) ? [] : key,
  };
  return { ...shape, fingerprint: fingerprintOf(shape, era) };
}

/** Whether the stream's relation has just the columns and identity that the catalogue has. */
export function sameShape(relation: RelationMessage, table: CatalogTable): boolean {
  return (
    relation.oid === table.oid &&
    relation.schema === table.schema &&
    relation.table === table.table &&
    relation.identity === table.identity &&
    relation.columns.length === table.columns.length &&
    relation.columns.every((column, i) => {
      const other = table.columns[i]!;
      return (
        column.name === other.name &&
        column.typeOid === other.typeOid &&
        column.typeModifier === other.typeModifier &&
        (relation.identity === 'f' || column.key === table.key.includes(column.name))
      );
    })
  );
}

/**
 * The shape of a relation that the catalogue no longer has so: the stream is behind a change of the table. Types are
 * named by oid; the primary key of a FULL table is taken from the catalogue as far as its columns are still there.
 */
export async function shapeOfRelation(
  client: pg.ClientBase,
  relation: RelationMessage,
  table: CatalogTable | undefined,
  era: number,
): Promise<TableShape> {
  const { rows } = await client.query<{ type: string | null }>(
    `SELECT format_type(oid, modifier) AS type FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS t (oid, modifier, n) ORDER BY n`,
    [relation.columns.map((column) => column.typeOid), relation.columns.map((column) => column.typeModifier)],
  );
  const key =
    relation.identity === 'f'
      ? (table?.key ?? []).map((name) => relation.columns.findIndex((column) => column.name === name))
      : relation.columns.flatMap((column, i) => (column.key ? [i] : []));
  const shape = {
    schema: relation.schema,
    table: relation.table,
    columns: relation.columns.map((column, i) => ({ name: column.name, type: rows[i]!.type ?? 'text' })),
    key: key.includes(-1) ? [] : key,
  };
  return { ...shape, fingerprint: fingerprintOf(shape, era) };
}
