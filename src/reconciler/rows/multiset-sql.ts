import { textArray } from '../../consumer/text-array.ts';
import type { ComparedTable, Side } from './compared-table.ts';
import type { Query } from './range-sql.ts';
import { rowHashSql } from './row-text.ts';

/** Hexadecimal digits of the hash that name a bucket: 4,096 of them. */
const DIGITS = 3;

/**
 * For each bucket of hashes, its name, the count of its rows, and the sums of two 64-bit pieces of their hashes, weighted
 * by how often a row counts.
 */
export function bucketsQuery(table: ComparedTable, side: Side): Query {
  return {
    text: `SELECT bucket, sum(n)::text, sum(h::bit(64)::bigint::numeric * n), sum((h << 64)::bit(64)::bigint::numeric * n) FROM (
  SELECT left(hex, ${DIGITS}) AS bucket, ('x' || hex)::bit(128) AS h, n FROM (${hashed(table, side)} OFFSET 0) AS hashed OFFSET 0) AS parted
GROUP BY bucket`,
    values: [],
  };
}

/**
 * Hash, count and version of the rows of some buckets. The sum of all xmin is a version: a row that comes is younger than
 * any that goes.
 */
export function bucketRowsQuery(table: ComparedTable, side: Side, buckets: readonly string[]): Query {
  return {
    text: counted(table, side, `left(hex, ${DIGITS}) = ANY ($1::text[])`),
    values: [textArray(buckets)],
  };
}

/** The same of rows with these hashes. */
export function hashRowsQuery(table: ComparedTable, side: Side, hashes: readonly string[]): Query {
  return { text: counted(table, side, `hex = ANY ($1::text[])`), values: [textArray(hashes)] };
}

/** One row of each of these hashes: the hash, then `columns` (SQL over `t`). */
export function hashContentQuery(
  table: ComparedTable,
  side: Side,
  hashes: readonly string[],
  columns: readonly string[],
): Query {
  const content = columns.map((sql) => `, ${sql}`).join('');
  return {
    text: `SELECT DISTINCT ON (h.hex) h.hex${content} FROM ${side.relation} AS t
CROSS JOIN LATERAL (SELECT ${rowHashSql(table.columns)} AS hex OFFSET 0) AS h WHERE h.hex = ANY ($1::text[]) ORDER BY h.hex`,
    values: [textArray(hashes)],
  };
}

function counted(table: ComparedTable, side: Side, where: string): string {
  return `SELECT hex, sum(n)::text, sum(xid)::text FROM (${hashed(table, side)} OFFSET 0) AS hashed
WHERE ${where} GROUP BY hex`;
}

/** OFFSET 0 after it keeps the planner from making the hash at each use. */
function hashed(table: ComparedTable, side: Side): string {
  return `SELECT ${rowHashSql(table.columns)} AS hex, ${side.count} AS n, t.xmin::text::bigint AS xid FROM ${side.relation} AS t`;
}
