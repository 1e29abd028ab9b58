import type pg from 'pg';
import { type Tuple, tupleOf } from '../kafka/tuple.ts';
import { quoteIdentifier, quoteRelation } from '../postgres/identifier.ts';
import { isLooselyEqual } from '../postgres/loose-equality.ts';
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
  // ORDER BY takes a type's own order, > the operator that search_path finds: text's for a citext whose own is not on it.
  if (table.operatorSchemas.length > 0) {
    await client.query(`SET LOCAL search_path = ${['pg_catalog', ...table.operatorSchemas].join(', ')}`);
  }
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

/** What SIIRAyS holds of some keys. */
export interface KeyedRows {
  rows: Tuple[];
  /** Keys that no row has: deletions, as they were asked for. */
  absent: string[][];
  /** How many keys are none that this table can have ever held in its shape of now: nothing can be said of them. */
  unfit: number;
}

/**
 * The rows that have one of these keys, and the keys that no row has. Which those are is for PostgreSQL to say: `1` and
 * `1.0` are one key of a numeric column, and a key that is held to be absent wrongly would delete its row. Where texts
 * tell values apart, the text counts as well: a citext row `a` is none of key `A`, which the replica keeps as text.
 */
export async function readKeys(
  client: pg.Client,
  table: CatalogTable,
  key: number[],
  keys: string[][],
  bytes: number,
): Promise<KeyedRows> {
  await client.query('SAVEPOINT keys_asked');
  try {
    return await readReadable(client, table, key, keys, bytes);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await client.query('ROLLBACK TO keys_asked');
  }
  const readable: string[][] = [];
  const unreadable: string[][] = [];
  await partKeys(client, table, key, keys, readable, unreadable);
  const read = await readReadable(client, table, key, readable, bytes);
  // A value that SIIRAyS's type refuses stands in no replica either, but for types that a replica keeps as text.
  const textual = key.map((place) => table.columns[place]!.textual);
  const isKept = (parts: string[]): boolean => parts.every((text, i) => textual[i] && !text.includes('\0'));
  const absent = unreadable.filter(isKept);
  return {
    rows: read.rows,
    absent: [...read.absent, ...absent],
    unfit: read.unfit + unreadable.length - absent.length,
  };
}

async function readReadable(
  client: pg.Client,
  table: CatalogTable,
  key: number[],
  keys: string[][],
  bytes: number,
): Promise<KeyedRows> {
  const names = key.map((place) => quoteIdentifier(table.columns[place]!.name));
  const from = askedKeys(table, key);
  const values = key.map((_, i) => keys.map((parts) => parts[i]!));
  const rows: Tuple[] = [];
  const sql = `${select(table)} WHERE (${names.join(', ')}) IN (SELECT ${key.map((_, i) => `k${i}`).join(', ')} FROM ${from})`;
  await fetchAll(client, sql, values, bytes, false, (tuple) => rows.push(tuple));
  // concat() calls the output function, as the stream does; a cast writes true for t, and 10.0.0.1/32 for 10.0.0.1.
  const exact = key.flatMap((place, i) => (isLooselyEqual(typeOf(table, place)) ? [] : [i]));
  const held = [
    ...names.map((name, i) => `held.${name} = asked.k${i}`),
    ...exact.map((i) => `concat(held.${names[i]}) = asked.t${i}`),
  ].join(' AND ');
  const { rows: absent } = await client.query<string[]>({
    text: `SELECT DISTINCT ${exact.length > 0 ? exact.map((i) => `concat(asked.k${i}) = asked.t${i}`).join(' AND ') : 'true'} AS fit,
      ${key.map((_, i) => `asked.t${i}`).join(', ')} FROM ${from}
      WHERE NOT EXISTS (SELECT FROM ${relation(table)} AS held WHERE ${held})`,
    values,
    rowMode: 'array',
    types: TEXT_VALUES,
  });
  // A text that was cut to fit its column, for one, would delete the row of what is left.
  const fitting = absent.filter(([fit]) => fit === 't').map(([, ...parts]) => parts);
  return { rows, absent: fitting, unfit: absent.length - fitting.length };
}

/** FROM item `asked`: the texts that were asked for as t0 …, and as values of their columns' types as k0 …. */
function askedKeys(table: CatalogTable, key: number[]): string {
  const asked = key.map((place, i) => `a.t${i}, a.t${i}::${typeOf(table, place)} AS k${i}`).join(', ');
  const arrays = key.map((_, i) => `$${i + 1}::text[]`).join(', ');
  return `(SELECT ${asked} FROM unnest(${arrays}) AS a (${key.map((_, i) => `t${i}`).join(', ')})) AS asked`;
}

/** Parts keys into those that SIIRAyS can read and those that it cannot: halves them until each error has its key. */
async function partKeys(
  client: pg.Client,
  table: CatalogTable,
  key: number[],
  keys: string[][],
  readable: string[][],
  unreadable: string[][],
): Promise<void> {
  if (keys.length === 0) return;
  try {
    await client.query(
      `SELECT ${key.map((_, i) => `count(k${i})`).join(', ')} FROM ${askedKeys(table, key)}`,
      key.map((_, i) => keys.map((parts) => parts[i]!)),
    );
    readable.push(...keys);
    return;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await client.query('ROLLBACK TO keys_asked');
  }
  if (keys.length === 1) {
    unreadable.push(keys[0]!);
    return;
  }
  const half = keys.length >> 1;
  await partKeys(client, table, key, keys.slice(0, half), readable, unreadable);
  await partKeys(client, table, key, keys.slice(half), readable, unreadable);
}

/** Class 22, data exception; and what a domain's check refuses. */
function isUnreadable(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code?.startsWith('22') === true || code === '23514';
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
