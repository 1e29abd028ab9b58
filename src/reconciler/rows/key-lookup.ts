import type pg from 'pg';
import { textArray } from '../../consumer/text-array.ts';
import type { ComparedTable, Side } from './compared-table.ts';
import { bytesSql, type KeyColumn, reference } from './key-order.ts';
import type { Key } from './range-sql.ts';

/**
 * Reads rows by their keys: for each row that there is, its key's place in `keys`, then `columns` (SQL over `t`).
 * Keys are told apart by their bytes, also where SIIRAyS's collation takes two of them for one.
 */
export async function readByKeys(
  client: pg.ClientBase,
  table: ComparedTable,
  side: Side,
  keys: readonly Key[],
  columns: readonly string[],
): Promise<Map<number, (string | null)[]>> {
  const arrays = table.key.map((_, i) => keys.map((key) => key[i]!));
  const found = new Map<number, (string | null)[]>();
  const read = async (query: { text: string; values: unknown[] }): Promise<void> => {
    const { rows } = await client.query<(string | null)[]>({ ...query, rowMode: 'array' });
    for (const [n, ...values] of rows) found.set(Number(n) - 1, values);
  };
  await client.query('SAVEPOINT by_keys');
  try {
    await read({ text: indexedSql(table, side, columns), values: arrays.map(textArray) });
  } catch (error) {
    if (!String((error as { code?: unknown }).code).startsWith('22')) throw error;
    // A key of a surplus row that is no value here: a letter that the encoding does not have, an enum's lost label.
    await client.query('ROLLBACK TO SAVEPOINT by_keys');
    const values = arrays.map((texts) => textArray(texts.map((text) => Buffer.from(text, 'utf8').toString('hex'))));
    await read({ text: bytesOnlySql(table, side, columns), values });
  }
  return found;
}

/** The index of the key serves. */
function indexedSql(table: ComparedTable, side: Side, columns: readonly string[]): string {
  const on = table.key.map((column, i) => {
    const equal = `${reference(column)} = k.v${i + 1}::${column.ordered ?? side.keyTypes[i]}`;
    return column.ordered === null ? `${equal} AND ${bytesSql(column)} = convert_to(k.v${i + 1}, 'UTF8')` : equal;
  });
  return select(table, side, columns, on);
}

/** Works for any key, by going through the whole table. */
function bytesOnlySql(table: ComparedTable, side: Side, columns: readonly string[]): string {
  const on = table.key.map((column, i) => keyBytes(column, `decode(k.v${i + 1}, 'hex')`));
  return select(table, side, columns, on);
}

function keyBytes(column: KeyColumn, bytes: string): string {
  return column.ordered === null
    ? `${bytesSql(column)} = ${bytes}`
    : `${reference(column)} = convert_from(${bytes}, 'UTF8')::${column.ordered}`;
}

function select(table: ComparedTable, side: Side, columns: readonly string[], on: readonly string[]): string {
  const arrays = table.key.map((_, i) => `unnest($${i + 1}::text[])`).join(', ');
  const names = table.key.map((_, i) => `v${i + 1}`).join(', ');
  return `SELECT k.n, ${columns.join(', ')} FROM ROWS FROM (${arrays}) WITH ORDINALITY AS k(${names}, n)
JOIN ${side.relation} AS t ON ${on.join(' AND ')}`;
}
