import type { ConnectorTable, Placement, TableIndex } from './compiled.ts';
import { type Occurrence, sameTable } from './walk.ts';

/** Every table once, in the order of first use, with all its used columns. */
export function compileTables(all: readonly Occurrence[]): ConnectorTable[] {
  const tables = new Map<string, { schema: string; table: string; columns: Set<string> }>();
  for (const { table, columns } of all) {
    const name = JSON.stringify([table.schema, table.table]);
    const known = tables.get(name) ?? { ...table, columns: new Set<string>() };
    for (const column of columns) known.columns.add(column);
    tables.set(name, known);
  }
  return [...tables.values()].map(({ schema, table, columns }) => ({ schema, table, columns: [...columns] }));
}

/**
 * Both directions of every join: from the outer row to its rows (projection), and from a touched row back (marking).
 * An index is left out where the table's key or another index begins with the same columns, or where the columns hold
 * the whole key (which finds one row already).
 */
export function compileIndexes(all: readonly Occurrence[], placement: Placement): TableIndex[] {
  const indexes: TableIndex[] = [];
  for (const { table, outer, by } of all) {
    if (outer === null) continue;
    indexes.push({ ...table, columns: by.map(({ to }) => to) });
    indexes.push({ ...outer.table, columns: by.map(({ from }) => from) });
  }
  const longestFirst = indexes
    .filter(({ columns, ...table }) => !holds(columns, placement(table).key))
    .sort((a, b) => b.columns.length - a.columns.length);
  return longestFirst.filter((index, place) => {
    const earlier = longestFirst.slice(0, place).filter((other) => sameTable(other, index));
    return ![placement(index).key, ...earlier.map(({ columns }) => columns)].some((other) =>
      beginsWith(other, index.columns),
    );
  });
}

function holds(columns: readonly string[], key: readonly string[]): boolean {
  return key.length > 0 && key.every((column) => columns.includes(column));
}

function beginsWith(columns: readonly string[], first: readonly string[]): boolean {
  return first.every((column, place) => columns[place] === column);
}
