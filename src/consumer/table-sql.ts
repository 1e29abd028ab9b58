import { quoteIdentifier } from '../postgres/identifier.ts';
import type { MarkSql } from './marking.ts';
import type { ReplicaTable } from './replica-tables.ts';
import { keyEquals, type Statement, statement, unnested, value } from './statement.ts';

/** The parts that one statement of a keyed table's change is made of. */
export interface KeyedParts {
  mark: MarkSql | null;
  deletes: boolean;
  /** Places of the columns that are written; null where nothing is. The key's are always among them. */
  writes: readonly number[] | null;
}

/**
 * One statement for all parts: the marks are taken in the state before (all parts of a statement see the same snapshot;
 * PostgreSQL manual, 7.8.4), then rows are deleted and written. No row is touched by two parts: keys occur once.
 * Parameters: those of the mark, one text[] per key column of the deletes, one per written column.
 */
export function keyedStatement(table: ReplicaTable, { mark, deletes, writes }: KeyedParts): Statement {
  const ctes: string[] = [];
  let from = 1;
  if (mark) {
    ctes.push(`marked AS (${mark.sql})`);
    from += mark.columns.length;
  }
  const deleting = deleteSql(table, from);
  if (deletes) from += table.shape.key.length;
  if (writes === null) return statement(withCtes(ctes, deletes ? deleting : 'SELECT 1'));
  if (deletes) ctes.push(`deleted AS (${deleting})`);
  return statement(withCtes(ctes, upsertSql(table, writes, from)));
}

function withCtes(ctes: readonly string[], main: string): string {
  return ctes.length > 0 ? `WITH ${ctes.join(',\n')}\n${main}` : main;
}

function deleteSql(table: ReplicaTable, from: number): string {
  const key = keyColumns(table);
  return `DELETE FROM ${table.relation} AS t USING ${unnested(from, key.length)} WHERE ${keyEquals(key)}`;
}

/**
 * Columns that are not written keep their value in a row that exists, and are NULL in one that does not. A key that may
 * be equal in another text is written too, so that the row has SIIRAyS's.
 */
function upsertSql(table: ReplicaTable, writes: readonly number[], from: number): string {
  const { shape, relation, types, looseKey } = table;
  const name = (place: number) => quoteIdentifier(shape.columns[place]!.name);
  const set = writes
    .filter((place) => looseKey || !shape.key.includes(place))
    .map((place) => `${name(place)} = EXCLUDED.${name(place)}`);
  return `INSERT INTO ${relation} AS t (${writes.map(name).join(', ')})
SELECT ${writes.map((place, i) => value(i, types[place]!)).join(', ')} FROM ${unnested(from, writes.length)}
ON CONFLICT (${shape.key.map(name).join(', ')}) DO ${set.length > 0 ? `UPDATE SET ${set.join(', ')}` : 'NOTHING'}`;
}

/** Which of the keys (one text[] per key column) have no row; gives their number in the arrays, from 1. */
export function absentStatement(table: ReplicaTable): Statement {
  const key = keyColumns(table);
  return statement(
    `SELECT k.n::int AS n FROM ROWS FROM (${arrays(1, key.length)}) WITH ORDINALITY AS k(${numbered(key.length)}, n)
WHERE NOT EXISTS (SELECT FROM ${table.relation} AS t WHERE ${keyEquals(key)})`,
  );
}

/** The values of some columns in the rows of the keys: n (from 1), then the columns as c1, c2, … */
export function readStatement(table: ReplicaTable, places: readonly number[]): Statement {
  const key = keyColumns(table);
  const columns = places.map((place, i) => `t.${quoteIdentifier(table.shape.columns[place]!.name)} AS c${i + 1}`);
  return statement(
    `SELECT k.n, ${columns.join(', ')}
FROM ROWS FROM (${arrays(1, key.length)}) WITH ORDINALITY AS k(${numbered(key.length)}, n)
JOIN ${table.relation} AS t ON ${keyEquals(key)}`,
  );
}

/**
 * Adds to the counts of rows of a table without a key. Parameters: those of the mark, hashes in hexadecimal, counts, one
 * text[] per column. Gives one row: how many counts are now negative, how many 0.
 */
export function countedStatement(table: ReplicaTable, mark: MarkSql | null): Statement {
  const { shape, relation, types } = table;
  const { hash, count } = quotedCounted(table);
  const columns = shape.columns.map((column) => quoteIdentifier(column.name));
  const from = 1 + (mark?.columns.length ?? 0);
  const values = types.map((type, i) => value(i + 2, type));
  return statement(`WITH ${mark ? `marked AS (${mark.sql}),\n` : ''}changed AS (
INSERT INTO ${relation} AS t (${[hash, count, ...columns].join(', ')})
SELECT ${[`decode(k.v1, 'hex')`, 'k.v2::bigint', ...values].join(', ')} FROM ${unnested(from, columns.length + 2)}
ON CONFLICT (${hash}) DO UPDATE SET ${count} = t.${count} + EXCLUDED.${count} RETURNING t.${count} AS n)
SELECT count(*) FILTER (WHERE n < 0)::int AS negative, count(*) FILTER (WHERE n = 0)::int AS gone FROM changed`);
}

/** Removes those of the rows (hashes in hexadecimal) whose count is 0. */
export function goneStatement(table: ReplicaTable): Statement {
  const { hash, count } = quotedCounted(table);
  return statement(
    `DELETE FROM ${table.relation} AS t USING ${unnested(1, 1)} WHERE t.${hash} = decode(k.v1, 'hex') AND t.${count} = 0`,
  );
}

function quotedCounted({ counted }: ReplicaTable): { hash: string; count: string } {
  return { hash: quoteIdentifier(counted!.hash), count: quoteIdentifier(counted!.count) };
}

function keyColumns({ shape, types }: ReplicaTable): { name: string; type: string }[] {
  return shape.key.map((place) => ({ name: shape.columns[place]!.name, type: types[place]! }));
}

function arrays(from: number, columns: number): string {
  return Array.from({ length: columns }, (_, i) => `unnest($${from + i}::text[])`).join(', ');
}

function numbered(columns: number): string {
  return Array.from({ length: columns }, (_, i) => `v${i + 1}`).join(', ');
}
