/** SIIRAyS's tables in a database of the test, filled and read as PostgreSQL text. */
import { readFileSync } from 'node:fs';
import type { Client } from 'pg';
import { type Catalog, placementIn, readCatalog } from '../../src/connector/catalog.ts';
import type { CompiledConnector, Placement, TableRef } from '../../src/connector/compiled.ts';
import { quoteIdentifier, quoteRelation } from '../../src/postgres/identifier.ts';
import { connect, disconnect, startupOptions, TEXT_VALUES, VALUE_SETTINGS } from '../../src/postgres/session.ts';
import type { Row, Rows } from './reference-projection.ts';

export interface Projected {
  id: string;
  body: string | null;
  problems: string[] | null;
}

export class SiiraysDatabase {
  readonly client: Client;
  readonly catalog: Catalog;
  readonly placement: Placement;

  private constructor(client: Client, catalog: Catalog) {
    this.client = client;
    this.catalog = catalog;
    this.placement = placementIn(catalog);
  }

  /** Runs `schema` (default: SIIRAyS's own) in an empty database. */
  static async create(url: string, schema = siiraysSchema()): Promise<SiiraysDatabase> {
    const client = await connect({
      connectionString: url,
      options: startupOptions(VALUE_SETTINGS),
      types: TEXT_VALUES,
    });
    await client.query(schema);
    return new SiiraysDatabase(client, await readCatalog(client, ['public']));
  }

  async close(): Promise<void> {
    await disconnect(this.client);
  }

  async createIndexes(connector: CompiledConnector): Promise<void> {
    for (const { schema, table, columns } of connector.indexes(this.placement)) {
      const list = columns.map(quoteIdentifier).join(', ');
      await this.client.query(`CREATE INDEX ON ${quoteRelation(schema, table)} (${list})`);
    }
  }

  async truncateAll(): Promise<void> {
    const names = this.catalog.map(({ schema, table }) => quoteRelation(schema, table));
    await this.client.query(`TRUNCATE ${names.join(', ')}`);
  }

  async insert(table: string, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    const relation = quoteRelation('public', table);
    const sql = `INSERT INTO ${relation} SELECT * FROM json_populate_recordset(NULL::${relation}, $1)`;
    await this.client.query(sql, [JSON.stringify(rows)]);
  }

  /** Replaces everything in one round trip: tests do this for every example of random rows. */
  async fill(rows: Rows): Promise<void> {
    const names = this.catalog.map(({ schema, table }) => quoteRelation(schema, table));
    const inserts = this.catalog.map(
      ({ table }, index) =>
        `i${index} AS (INSERT INTO ${names[index]} SELECT * FROM json_populate_recordset(NULL::${names[index]}, $1::json->'${table}'))`,
    );
    await this.client.query(names.map((name) => `DELETE FROM ${name}`).join('; '));
    await this.client.query(`WITH ${inserts.join(', ')} SELECT`, [JSON.stringify(rows)]);
  }

  /** All rows of some tables (default: of all) as PostgreSQL text. */
  async read(tables: Catalog = this.catalog): Promise<Rows> {
    const entries: [string, Row[]][] = [];
    for (const { schema, table } of tables) {
      const { rows } = await this.client.query<Row>(`SELECT * FROM ${quoteRelation(schema, table)}`);
      entries.push([table, rows]);
    }
    return Object.fromEntries(entries);
  }

  async project(connector: CompiledConnector, ids: readonly string[]): Promise<Projected[]> {
    const sql = connector.projection(this.placement, '(SELECT unnest($1::text[]) AS id)');
    const { rows } = await this.client.query<{ id: string; body: string | null; problems: string | null }>(
      `SELECT id, body, to_json(problems)::text AS problems FROM (${sql}) AS p ORDER BY id COLLATE "C"`,
      [ids],
    );
    return rows.map((row) => ({
      ...row,
      problems: row.problems === null ? null : (JSON.parse(row.problems) as string[]),
    }));
  }

  /** The tables that the plan of a SELECT reads from start to end. */
  async tablesReadWhole(sql: string): Promise<string[]> {
    const { rows } = await this.client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
    return rows.flatMap((row) => /Seq Scan on (\w+)/.exec(row['QUERY PLAN'])?.[1] ?? []);
  }

  async allRoots(connector: CompiledConnector): Promise<string[]> {
    const { rows } = await this.client.query<{ id: string }>(connector.allRoots(this.placement));
    return rows.map(({ id }) => id);
  }

  /** Roots that show the touched rows now, as the consumer asks: by key, and by the rows themselves where there is none. */
  async affected(connector: CompiledConnector, table: TableRef, touched: readonly Row[]): Promise<string[]> {
    const { key } = this.placement(table);
    const query = connector.affectedRoots(table, this.placement, key.length > 0 ? 'keys' : 'rows');
    if (query === null) return [];
    const arrays = query.parameters.map((column) => touched.map((row) => row[column] ?? null));
    const { rows } = await this.client.query<{ id: string }>(query.sql, arrays);
    return rows.map(({ id }) => id);
  }
}

export function siiraysSchema(): string {
  return readFileSync(new URL('../../embedded/siirays/schema.sql', import.meta.url), 'utf8');
}
