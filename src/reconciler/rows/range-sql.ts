import type { ComparedTable, Side } from './compared-table.ts';
import { boundSql, boundValue, keyTextSql, orderSql, reference } from './key-order.ts';
import { rowHashSql, shortHashSql } from './row-text.ts';

/** The texts of a key, in the order of the table's identity. */
export type Key = readonly string[];

/** The rows of a table whose key is above `after` and not above `end`; null: from the first, to the last. */
export interface Bounds {
  readonly after: Key | null;
  readonly end: Key | null;
}

export interface Query {
  readonly text: string;
  readonly values: unknown[];
}

/** The key of the n-th row after `after`; no row where there are fewer. */
export function nthKeyQuery(table: ComparedTable, side: Side, after: Key | null, n: number): Query {
  const { where, values } = within(table, { after, end: null });
  const order = table.scan.map((place) => orderSql(table.key[place]!)).join(', ');
  const columns = table.key.map(reference).join(', ');
  // The texts of all the rows that are passed over would be made where the SELECT was not parted.
  return {
    text: `SELECT ${table.key.map(keyTextSql).join(', ')} FROM (
  SELECT ${columns} FROM ${side.relation} AS t ${where} ORDER BY ${order} OFFSET ${n - 1} LIMIT 1) AS t`,
    values,
  };
}

/**
 * One row: count, and the sums of two 64-bit pieces of the rows' hashes. A sum, since equal rows would cancel out in an
 * XOR. Looks at no more than `limit` rows: where the count is the limit, the rest is worth nothing.
 */
export function sumsQuery(table: ComparedTable, side: Side, bounds: Bounds, limit: number): Query {
  const { where, values } = within(table, bounds);
  // LIMIT also keeps the planner from making the hash twice.
  return {
    text: `SELECT count(*), sum(h::bit(64)::bigint), sum((h << 64)::bit(64)::bigint) FROM (
  SELECT ('x' || ${rowHashSql(table.columns)})::bit(128) AS h FROM ${side.relation} AS t ${where} LIMIT ${limit}) AS hashed`,
    values,
  };
}

/** Key, hash and version of each row, at most `limit` of them. */
export function rowsQuery(table: ComparedTable, side: Side, bounds: Bounds, limit: number): Query {
  const { where, values } = within(table, bounds);
  const columns = [...table.key.map(keyTextSql), shortHashSql(table.columns), side.version];
  return { text: `SELECT ${columns.join(', ')} FROM ${side.relation} AS t ${where} LIMIT ${limit}`, values };
}

function within({ key, scan }: ComparedTable, { after, end }: Bounds): { where: string; values: unknown[] } {
  const ordered = scan.map((place) => key[place]!);
  const rows = `(${ordered.map(orderSql).join(', ')})`;
  const values: unknown[] = [];
  const compare = (operator: string, bound: Key): string => {
    const parameters = ordered.map((column, i) => {
      values.push(boundValue(column, bound[scan[i]!]!));
      return boundSql(column, values.length);
    });
    return `${rows} ${operator} (${parameters.join(', ')})`;
  };
  const conditions = [...(after ? [compare('>', after)] : []), ...(end ? [compare('<=', end)] : [])];
  return { where: conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '', values };
}
