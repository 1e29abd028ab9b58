import type pg from 'pg';
import { type Tuple, tupleOf } from '../kafka/tuple.ts';
import { quoteIdentifier, quoteRelation } from '../postgres/identifier.ts';
import { TEXT_VALUES } from '../postgres/session.ts';
import type { CatalogTable } from './table-catalog.ts';

/** Rows that one fetch of the cursor brings at most. */
const FETCH_MOST = 500;

type Texts = (string | null)[];

/**
 * The rows whose key follows `after` (null: from the first), up to the limits, in the order of the key's index.
 * @param key places of the key's columns; `after` and `lastKey` are in this order
 */
export async function readFollowing(
  client: pg.Client,
  table: CatalogTable,
  key: number[],
  after: string[] | null,
  limit: { rows: number; bytes: number },
): Promise<{ rows: Tuple[]; lastKey: string[] | null; complete: boolean }> {
  // The order of the columns in the index, not in the table: else every chunk would sort the whole rest of the table.
  const names = table.scan.map(quoteIdentifier).join(', ');
  const places = table.scan.map((name) => table.key.indexOf(name));
  const bounds = places.map((place, i) => `$${i + 1}::text::${typeOf(table, key[place]!)}`);
  const where = after ? `WHERE (${names}) > (${bounds.join(', ')})` : '';
  const sql = `${select(table)} ${where} ORDER BY ${names} LIMIT ${limit.rows}`;
  const rows: Tuple[] = [];
  let last: Texts | null = null;
  const values = after ? places.map((place) => after[place]!) : [];
  const ended = await fetchAll(client, sql, values, limit.bytes, true, (tuple, texts) => {
    rows.push(tuple);
    last = texts;
  });
  return {
    rows,
    lastKey: last && key.map((place) => last![place]!),
    complete: ended && rows.length < limit.rows,
  };
}

/** All rows: what a table without a key is read as. */
export async function readWhole(client: pg.Client, table: CatalogTable, bytes: number): Promise<Tuple[]> {
  const rows: Tuple[] = [];
  await fetchAll(client, select(table), [], bytes, false, (tuple) => rows.push(tuple));
  return rows;
}

/**
 * The rows that have one of these keys, and the keys that no row has. Which those are is for PostgreSQL to say: `1` and
 * `1.0` are one key of a numeric column, and a key that is held to be absent wrongly would delete its row.
 */
export async function readKeys(
  client: pg.Client,
  table: CatalogTable,
  key: number[],
  keys: string[][],
  bytes: number,
): Promise<{ rows: Tuple[]; absent: string[][] }> {
  const names = key.map((place) => quoteIdentifier(table.columns[place]!.name));
  const asked = key.map((place, i) => `a.k${i}::${typeOf(table, place)} AS k${i}`).join(', ');
  const arrays = key.map((_, i) => `$${i + 1}::text[]`).join(', ');
  const columns = key.map((_, i) => `k${i}`).join(', ');
  const from = `(SELECT ${asked} FROM unnest(${arrays}) AS a (${columns})) AS asked`;
  const values = key.map((_, i) => keys.map((parts) => parts[i]!));
  const rows: Tuple[] = [];
  const sql = `${select(table)} WHERE (${names.join(', ')}) IN (SELECT ${columns} FROM ${from})`;
  await fetchAll(client, sql, values, bytes, false, (tuple) => rows.push(tuple));
  const { rows: absent } = await client.query<string[]>({
    text: `SELECT DISTINCT ${key.map((_, i) => `asked.k${i}::text`).join(', ')} FROM ${from}
      WHERE NOT EXISTS (SELECT FROM ${relation(table)} AS held WHERE ${names.map((name, i) => `held.${name} = asked.k${i}`).join(' AND ')})`,
    values,
    rowMode: 'array',
    types: TEXT_VALUES,
  });
  return { rows, absent };
}

function typeOf(table: CatalogTable, place: number): string {
  return table.columns[place]!.type;
}

/** A partitioned table's rows lie in its partitions; a table that others inherit from has rows of its own only. */
function relation(table: CatalogTable): string {
  return `${table.partitioned ? '' : 'ONLY '}${quoteRelation(table.schema, table.table)}`;
}

function select(table: CatalogTable): string {
  const columns = table.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  return `SELECT ${columns} FROM ${relation(table)}`;
}

/**
 * Reads a statement's rows by a cursor, so few at a time that a fetch of rows as large as the largest so far stays below
 * `bytes`. Returns whether the end was reached; where `bounded`, it stops once it has read `bytes`. An SQL cursor, since
 * one of pg-cursor waits for ever once its connection has broken between two fetches.
 */
async function fetchAll(
  client: pg.Client,
  sql: string,
  values: unknown[],
  bytes: number,
  bounded: boolean,
  onRow: (tuple: Tuple, texts: Texts) => void,
): Promise<boolean> {
  await client.query(`DECLARE rows_read NO SCROLL CURSOR FOR ${sql}`, values);
  let total = 0;
  let largest = 1;
  for (let fetch = 1; ; ) {
    const { rows } = await client.query<Texts>({
      text: `FETCH ${fetch} FROM rows_read`,
      rowMode: 'array',
      types: TEXT_VALUES,
    });
    for (const texts of rows) {
      const tuple = tupleOf(texts);
      total += tuple.length;
      if (tuple.length > largest) largest = tuple.length;
      onRow(tuple, texts);
    }
    const ended = rows.length < fetch;
    if (ended || (bounded && total >= bytes)) {
      await client.query('CLOSE rows_read');
      return ended;
    }
    const room = Math.floor((bounded ? bytes - total : bytes) / largest);
    fetch = Math.max(1, Math.min(FETCH_MOST, fetch * 8, room));
  }
}
