import type pg from 'pg';
import { quoteIdentifier } from '../../src/postgres/identifier.ts';
import { type SampleOptions, type SampleRow, sampleRows } from './sample-rows.ts';
import type { TableModel } from './sample-table.ts';
import type { Cell } from './sample-values.ts';

export { brokenEpsas, FIRST_ID, type SampleOptions } from './sample-rows.ts';

/** Rows per INSERT. */
const BATCH_ROWS = 2_000;

/**
 * Fills the tables of schema.sql with a deterministic sample in one transaction: about 3,000 EPSAs and 135,000 rows
 * for `epsas: 3000`. The tables must be there and empty.
 * @returns the number of rows, in all and per table
 */
export async function loadSample(
  client: pg.ClientBase,
  options: SampleOptions,
): Promise<{ rows: number; tables: Record<string, number> }> {
  const tables: Record<string, number> = {};
  await client.query('BEGIN');
  try {
    for (const { table, rows } of batches(sampleRows(options), BATCH_ROWS)) {
      tables[table.name] = (tables[table.name] ?? 0) + (await insertRows(client, table, rows));
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
  return { rows: Object.values(tables).reduce((sum, count) => sum + count, 0), tables };
}

/** Gathers rows per table; a table's batch is given out when it is full, the rest at the end. */
export function* batches(rows: Iterable<SampleRow>, size: number): Generator<{ table: TableModel; rows: Cell[][] }> {
  const waiting = new Map<TableModel, Cell[][]>();
  for (const { table, cells } of rows) {
    const batch = waiting.get(table) ?? [];
    batch.push(cells);
    waiting.set(table, batch);
    if (batch.length < size) continue;
    waiting.delete(table);
    yield { table, rows: batch };
  }
  for (const [table, batch] of waiting) yield { table, rows: batch };
}

/** One INSERT of many rows: a text[] per column, cast to the column's type. Rows whose key is there are left out. */
export async function insertRows(client: pg.ClientBase, table: TableModel, rows: Cell[][]): Promise<number> {
  const columns = Object.entries(table.columns);
  const names = columns.map(([name]) => quoteIdentifier(name)).join(', ');
  const values = columns.map(([, type], index) => `c${index}::${type}`).join(', ');
  const arrays = columns.map((_, index) => `$${index + 1}::text[]`).join(', ');
  const aliases = columns.map((_, index) => `c${index}`).join(', ');
  const { rowCount } = await client.query(
    `INSERT INTO ${quoteIdentifier(table.name)} (${names})
     SELECT ${values} FROM unnest(${arrays}) AS given (${aliases})
     ON CONFLICT DO NOTHING`,
    columns.map((_, index) => rows.map((cells) => cells[index]!)),
  );
  return rowCount ?? 0;
}
