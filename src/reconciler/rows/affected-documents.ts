import type { CompiledConnector } from '../../connector/compiled.ts';
import type { ReplicaTables } from '../../consumer/replica-tables.ts';
import { columnArrays } from '../../consumer/text-array.ts';
import type { ComparedTable } from './compared-table.ts';
import type { ReplicaReader } from './replica-reader.ts';

/** Ids that are told of one difference. */
const TOLD = 100;

/** A row on either side: the difference that it belongs to, and its cells in the order of the table's columns. */
export interface DifferingRow {
  readonly difference: number;
  readonly cells: readonly (string | null)[];
}

/**
 * Ids of the documents that show a row, or should, by difference: found by the values that lead to the root, of both
 * sides' rows, since a row may have gone from one document to another.
 */
export async function affectedDocuments(
  reader: ReplicaReader,
  connector: CompiledConnector,
  tables: ReplicaTables,
  table: ComparedTable,
  rows: readonly DifferingRow[],
): Promise<Map<number, string[]>> {
  const found = new Map<number, string[]>();
  if (rows.length === 0 || connector.tables.some((ref) => !tables.get(ref))) return found;
  const affected = connector.affectedRoots(table.ref, tables.placement, 'rows');
  const places = affected?.parameters.map((name) => table.columns.indexOf(name)) ?? [];
  if (affected === null || places.length === 0 || places.includes(-1)) return found;
  // The compiled query takes arrays of rows; here it is asked for one row at a time.
  const ofOneRow = affected.sql.replace(/\$(\d+)::text\[\]/g, 'ARRAY[asked.v$1]');
  const arrays = places.map((_, i) => `unnest($${i + 1}::text[])`).join(', ');
  const names = places.map((_, i) => `v${i + 1}`).join(', ');
  const ids = await reader.snapshot(null, (client) =>
    client.query<[string, string]>({
      text: `SELECT asked.n, document.id FROM ROWS FROM (${arrays}) WITH ORDINALITY AS asked(${names}, n)
CROSS JOIN LATERAL (SELECT id FROM (${ofOneRow}) AS affected LIMIT ${TOLD}) AS document`,
      values: columnArrays(
        rows.map(({ cells }) => places.map((place) => cells[place]!)),
        places.length,
      ),
      rowMode: 'array',
    }),
  );
  for (const [n, id] of ids.rows) {
    const { difference } = rows[Number(n) - 1]!;
    const list = found.get(difference) ?? [];
    if (list.length < TOLD && !list.includes(id)) list.push(id);
    found.set(difference, list);
  }
  return found;
}
