import type pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';

/** Class 22, "data exception": a text that is none of the type (PostgreSQL manual, appendix A). */
const DATA_EXCEPTION = /^22/;

/**
 * Of some texts those that can be ids of roots, whether or not there is such a root: the texts that PostgreSQL itself
 * writes for a value of the id column's type. 01601 and a-1 are none for an integer: to mark them would stop the
 * projection, or fill two documents from one root. Runs in the open transaction; nothing is read but the parameters.
 */
export async function rootIds(
  client: pg.ClientBase,
  { root }: CompiledConnector,
  placement: Placement,
  ids: readonly string[],
): Promise<string[]> {
  const type = placement(root).types[root.idColumn];
  if (type === undefined) throw new Error(`${root.table} has no column ${root.idColumn}`);
  const written = async (some: readonly string[]): Promise<string[]> => {
    if (some.length === 0) return [];
    await client.query('SAVEPOINT root_ids');
    try {
      const { rows } = await client.query<{ id: string }>(
        `SELECT id FROM unnest($1::text[]) AS t(id) WHERE id::${type}::text = id`,
        [textArray(some)],
      );
      return rows.map(({ id }) => id);
    } catch (error) {
      if (!DATA_EXCEPTION.test((error as pg.DatabaseError).code ?? '')) throw error;
      await client.query('ROLLBACK TO SAVEPOINT root_ids');
    }
    if (some.length === 1) return [];
    const half = some.length >> 1;
    return [...(await written(some.slice(0, half))), ...(await written(some.slice(half)))];
  };
  return written(ids);
}
