import type pg from 'pg';
import { UNCHANGED, type Value } from '../../src/kafka/change-event.ts';
import type { Unit } from '../support/producer.ts';

/**
 * The rows of a table (id first, which is its key) as a reader rebuilds them from units, sorted, one text each.
 */
export function rebuilt(units: Unit[], table: string): string[] {
  const rows = new Map<Value, Value[]>();
  for (const { events } of units) {
    for (const { op, before, after, shape } of events) {
      if (shape.table !== table) continue;
      if (op === 't') rows.clear();
      const held = rows.get((before ?? after)?.[0] ?? null);
      if (before) rows.delete(before[0]!);
      if (after) {
        const whole = after.map((value, i) => (value === UNCHANGED ? (held?.[i] ?? value) : value));
        rows.set(after[0]!, whole);
      }
    }
  }
  return [...rows.values()].map((row) => row.map(String).join('|')).sort();
}

/** The same rows in SIIRAyS. */
export async function present(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<string[]>({
    text: `SELECT * FROM ${table}`,
    rowMode: 'array',
    types: { getTypeParser: () => (value: string | Buffer) => value },
  });
  return rows.map((row) => row.map(String).join('|')).sort();
}
