import type pg from 'pg';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../postgres/identifier.ts';

/** Something in SIIRAyS that keeps us from working, and what its owner runs against it. */
export interface SourceProblem {
  what: string;
  cure: string;
  /** It concerns one table: what others need goes on without it. */
  ofTable?: boolean;
}

/** What a connector needs of a table. */
export interface NeededTable {
  schema: string;
  table: string;
  columns: readonly string[];
}

interface TableRow {
  schema: string;
  table: string;
  present: string;
  selectable: string;
  published: string;
  identity: string | null;
  /** An index that can identify rows, by the table's replica identity. */
  has_key: string;
  has_primary_key: string;
  /** Whether generated columns that are not published belong to the identity (FULL), which PostgreSQL 18 refuses. */
  generated_identity: string;
  partitioned: string;
  /** The publication's WHERE clause for the table. */
  filter: string | null;
  columns: string;
}

interface ServerRow {
  role: string;
  database: string;
  wal_level: string;
  replication: string;
  version: string;
  encoding: string;
  publication: string | null;
  /** Whether partitions are published as their table. */
  via_root: string | null;
  slots_used: string;
  slots_max: string;
  slot: string | null;
}

const SERVER = `
  SELECT current_user AS role, current_database() AS database, current_setting('wal_level') AS wal_level,
         (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS replication,
         current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding,
         (SELECT json_build_object('insert', pubinsert, 'update', pubupdate, 'delete', pubdelete, 'truncate', pubtruncate)
            FROM pg_publication WHERE pubname = $1)::text AS publication,
         (SELECT pubviaroot FROM pg_publication WHERE pubname = $1) AS via_root,
         (SELECT count(*) FROM pg_replication_slots) AS slots_used,
         current_setting('max_replication_slots') AS slots_max,
         (SELECT concat_ws('/', plugin, database) FROM pg_replication_slots WHERE slot_name = $2) AS slot`;

const TABLES = `
  SELECT w.schema, w."table", c.oid IS NOT NULL AS present,
         c.oid IS NOT NULL AND has_table_privilege(c.oid, 'SELECT') AS selectable,
         p.tablename IS NOT NULL OR EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication u ON u.oid = r.prpubid
                                              WHERE u.pubname = $3 AND r.prrelid = c.oid) AS published,
         c.relreplident AS identity, c.relkind = 'p' AS partitioned,
         EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indimmediate AND CASE c.relreplident
                   WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary ELSE false END) AS has_key,
         coalesce(c.relreplident = 'f' AND current_setting('server_version_num')::int >= 180000 AND EXISTS (
           SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped
              AND NOT (a.attgenerated = 's' AND coalesce((SELECT to_jsonb(u) ->> 'pubgencols' FROM pg_publication u
                                                           WHERE u.pubname = $3), 'n') = 's')), false) AS generated_identity,
         EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisprimary) AS has_primary_key,
         to_jsonb(p) ->> 'rowfilter' AS filter,
         coalesce((SELECT json_agg(a.attname) FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text AS columns
    FROM unnest($1::text[], $2::text[]) AS w (schema, "table")
    LEFT JOIN pg_namespace n ON n.nspname = w.schema
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w."table" AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_publication_tables p ON p.pubname = $3 AND p.schemaname = w.schema AND p.tablename = w."table"`;

/**
 * Examines what SIIRAyS must offer before anything is started. The client hands out text.
 * @returns every problem found, each with the SQL that cures it; empty where all is well
 */
export async function checkSource(
  client: pg.ClientBase,
  names: { slot: string; publication: string },
  needed: readonly NeededTable[],
): Promise<SourceProblem[]> {
  const server = (await client.query<ServerRow>(SERVER, [names.publication, names.slot])).rows[0]!;
  const { rows } = await client.query<TableRow>(TABLES, [
    needed.map((table) => table.schema),
    needed.map((table) => table.table),
    names.publication,
  ]);
  // A table without identity is not published before it has one: PostgreSQL would refuse SIIRAyS's own changes.
  const publishable = rows.filter((row) => row.present === 't' && isIdentified(row));
  const problems = [...serverProblems(server, names, publishable)];
  rows.forEach((row) => {
    const wanted = needed.find((table) => table.schema === row.schema && table.table === row.table)!;
    const found = [...tableProblems(row, wanted, server, names.publication)];
    problems.push(...found.map((problem) => ({ ...problem, ofTable: true })));
  });
  return problems;
}

function* serverProblems(
  server: ServerRow,
  names: { slot: string; publication: string },
  publishable: readonly TableRow[],
): Generator<SourceProblem> {
  const role = quoteIdentifier(server.role);
  if (Number(server.version) < 140_000) {
    yield {
      what: `PostgreSQL ${server.version} is older than 14`,
      cure: 'upgrade the server to PostgreSQL 14 or later',
    };
  }
  if (server.encoding === 'SQL_ASCII') {
    yield {
      what: `database ${server.database} has the encoding SQL_ASCII: which characters its bytes stand for is not known`,
      cure: `-- dump it and restore it into a database that states the encoding of its bytes: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
    };
  }
  if (server.wal_level !== 'logical') {
    yield {
      what: `wal_level is ${server.wal_level}, logical decoding needs logical`,
      cure: `ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server`,
    };
  }
  if (server.replication !== 't') {
    yield { what: `role ${server.role} may not replicate`, cure: `ALTER ROLE ${role} REPLICATION;` };
  }
  if (server.publication === null) {
    const tables = publishable.map((table) => quoteRelation(table.schema, table.table)).join(', ');
    const root = publishable.some((table) => table.partitioned === 't')
      ? ' WITH (publish_via_partition_root = true)'
      : '';
    yield {
      what: `publication ${names.publication} does not exist`,
      cure: `CREATE PUBLICATION ${quoteIdentifier(names.publication)}${tables ? ` FOR TABLE ${tables}` : ''}${root};`,
    };
  } else {
    const published = JSON.parse(server.publication) as Record<string, boolean>;
    const missing = Object.entries(published).flatMap(([operation, on]) => (on ? [] : [operation]));
    if (missing.length > 0) {
      yield {
        what: `publication ${names.publication} leaves out ${missing.join(', ')}`,
        cure: `ALTER PUBLICATION ${quoteIdentifier(names.publication)} SET (publish = 'insert, update, delete, truncate');`,
      };
    }
  }
  if (server.slot === null && Number(server.slots_used) >= Number(server.slots_max)) {
    yield {
      what: `no replication slot is free: ${server.slots_used} of max_replication_slots = ${server.slots_max} are taken`,
      cure: `ALTER SYSTEM SET max_replication_slots = ${Number(server.slots_max) + 4}; -- then restart the server`,
    };
  }
  if (server.slot !== null && server.slot !== `pgoutput/${server.database}`) {
    yield {
      what: `slot ${names.slot} is ${server.slot} (plugin/database), not pgoutput/${server.database}`,
      cure: `SELECT pg_drop_replication_slot(${quoteLiteral(names.slot)}); -- or set SIIRAYS_SLOT to another name`,
    };
  }
}

function* tableProblems(
  row: TableRow,
  needed: NeededTable,
  server: ServerRow,
  publication: string,
): Generator<SourceProblem> {
  const name = `${row.schema}.${row.table}`;
  const relation = quoteRelation(row.schema, row.table);
  if (row.present !== 't') {
    yield { what: `table ${name} does not exist`, cure: `-- create ${relation}, or take it out of the connector` };
    return;
  }
  const columns = JSON.parse(row.columns) as string[];
  for (const column of needed.columns.filter((wanted) => !columns.includes(wanted))) {
    yield {
      what: `table ${name} has no column ${column}`,
      cure: `-- ALTER TABLE ${relation} ADD COLUMN ${quoteIdentifier(column)} …, or take it out of the connector`,
    };
  }
  if (row.selectable !== 't') {
    yield {
      what: `role ${server.role} may not read ${name}`,
      cure: `GRANT SELECT ON ${relation} TO ${quoteIdentifier(server.role)};`,
    };
  }
  if (row.generated_identity === 't') {
    yield {
      what: `table ${name} is identified by its whole row, with generated columns that are not published: PostgreSQL would refuse its own UPDATE and DELETE`,
      cure:
        row.has_primary_key === 't'
          ? `ALTER TABLE ${relation} REPLICA IDENTITY DEFAULT;`
          : `-- give ${relation} a primary key; then: ALTER TABLE ${relation} REPLICA IDENTITY DEFAULT`,
    };
  } else if (!isIdentified(row)) {
    yield {
      what: `table ${name} has no replica identity: published so, PostgreSQL would refuse its own UPDATE and DELETE`,
      cure: `ALTER TABLE ${relation} REPLICA IDENTITY ${row.has_primary_key === 't' ? 'DEFAULT' : 'FULL'};`,
    };
  }
  if (row.partitioned === 't' && server.via_root === 'f') {
    yield {
      what: `publication ${publication} publishes the partitions of ${name} in its place`,
      cure: `ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish_via_partition_root = true);`,
    };
  }
  if (row.published !== 't' && (server.publication !== null || !isIdentified(row))) {
    yield {
      what: `table ${name} is not in publication ${publication}`,
      cure: `ALTER PUBLICATION ${quoteIdentifier(publication)} ADD TABLE ${relation};`,
    };
  }
  if (row.filter !== null) {
    const alter = `ALTER PUBLICATION ${quoteIdentifier(publication)}`;
    yield {
      what: `publication ${publication} leaves out rows of ${name}: WHERE ${row.filter}`,
      cure: `${alter} DROP TABLE ${relation}; ${alter} ADD TABLE ${relation};`,
    };
  }
}

function isIdentified(row: TableRow): boolean {
  return (row.identity === 'f' && row.generated_identity !== 't') || row.has_key === 't';
}

/** SIIRAyS does not offer what is needed; the message names everything, with its cure. */
export class SourceNotReady extends Error {
  override readonly name = 'SourceNotReady';
  readonly problems: readonly SourceProblem[];

  constructor(problems: readonly SourceProblem[]) {
    super(
      `SIIRAyS is not ready for replication (${problems.length}):\n${problems.map(({ what, cure }) => `- ${what}\n    ${cure}`).join('\n')}`,
    );
    this.problems = problems;
  }
}
