import type pg from 'pg';
import type { TableRef } from '../connector/compiled.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { collectionName } from './replica-names.ts';
import { unnested } from './statement.ts';
import { columnArrays } from './text-array.ts';

/** Rows asked for in one signal at most. */
const KEYS_PER_REQUEST = 1_000;

/**
 * The rows of one side that came with a placeholder for which no value was there. They hold NULL for it until they come
 * again, whole. Which tables have any is remembered here, so that the ordinary case costs no statement.
 */
export class IncompleteRows {
  readonly #table: string;
  readonly #staging: boolean;
  #tables = new Set<string>();

  constructor(syncSchema: string, staging: boolean) {
    this.#table = `${quoteIdentifier(syncSchema)}.incomplete`;
    this.#staging = staging;
  }

  async load(client: pg.ClientBase): Promise<void> {
    const { rows } = await client.query<TableRef>(
      `SELECT DISTINCT table_schema AS schema, table_name AS table FROM ${this.#table} WHERE staging = $1`,
      [this.#staging],
    );
    this.#tables = new Set(rows.map(collectionName));
  }

  /** Whether there may be any. */
  get suspected(): boolean {
    return this.#tables.size > 0;
  }

  has(table: TableRef): boolean {
    return this.#tables.has(collectionName(table));
  }

  async add(client: pg.ClientBase, table: TableRef, keys: readonly string[][]): Promise<void> {
    if (keys.length === 0) return;
    const columns = keys[0]!.length;
    await client.query(
      `INSERT INTO ${this.#table} (staging, table_schema, table_name, key)
       SELECT $1, $2, $3, ${keyArray(columns)} FROM ${unnested(4, columns)} ON CONFLICT DO NOTHING`,
      [this.#staging, table.schema, table.table, ...columnArrays(keys, columns)],
    );
    this.#tables.add(collectionName(table));
  }

  /** The rows of these keys (null: all rows of the table) have come whole or are gone. */
  async clear(client: pg.ClientBase, table: TableRef, keys: readonly string[][] | null): Promise<void> {
    if (!this.has(table) || keys?.length === 0) return;
    const where = `staging = $1 AND table_schema = $2 AND table_name = $3`;
    const parameters = [this.#staging, table.schema, table.table];
    if (keys === null) {
      await client.query(`DELETE FROM ${this.#table} WHERE ${where}`, parameters);
      return;
    }
    const columns = keys[0]!.length;
    await client.query(
      `DELETE FROM ${this.#table} USING ${unnested(4, columns)} WHERE ${where} AND key = ${keyArray(columns)}`,
      [...parameters, ...columnArrays(keys, columns)],
    );
  }

  /** How many there are now. */
  async count(client: pg.ClientBase): Promise<number> {
    if (!this.suspected) return 0;
    const { rows } = await client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM ${this.#table} WHERE staging = $1`,
      [this.#staging],
    );
    return rows[0]!.count;
  }

  /** Keys by table, of all of them. */
  async keys(client: pg.ClientBase): Promise<{ table: TableRef; keys: string[][] }[]> {
    const { rows } = await client.query<TableRef & { keys: string[][] }>(
      `SELECT table_schema AS schema, table_name AS table, array_agg(key) AS keys
       FROM ${this.#table} WHERE staging = $1 GROUP BY 1, 2`,
      [this.#staging],
    );
    return rows.map(({ schema, table, keys }) => ({ table: { schema, table }, keys }));
  }

  /** Takes keys that were not asked for in the last `afterMs`, and notes that they are asked for now. */
  async due(client: pg.ClientBase, afterMs: number): Promise<{ table: TableRef; keys: string[][] }[]> {
    const { rows } = await client.query<TableRef & { key: string[] }>(
      `UPDATE ${this.#table} SET asked_at = clock_timestamp() WHERE ctid IN (
         SELECT ctid FROM ${this.#table}
         WHERE staging = $1 AND (asked_at IS NULL OR asked_at < clock_timestamp() - make_interval(secs => $2 / 1000.0))
         LIMIT ${KEYS_PER_REQUEST})
       RETURNING table_schema AS schema, table_name AS table, key`,
      [this.#staging, afterMs],
    );
    const byTable = new Map<string, { table: TableRef; keys: string[][] }>();
    for (const { schema, table, key } of rows) {
      const entry = byTable.get(collectionName({ schema, table })) ?? { table: { schema, table }, keys: [] };
      entry.keys.push(key);
      byTable.set(collectionName({ schema, table }), entry);
    }
    return [...byTable.values()];
  }
}

function keyArray(columns: number): string {
  return `ARRAY[${Array.from({ length: columns }, (_, i) => `k.v${i + 1}`).join(', ')}]`;
}
