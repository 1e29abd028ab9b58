import { quoteIdentifier } from '../postgres/identifier.ts';
import type { AffectedRoots, Placement, TableRef, Touched } from './compiled.ts';
import type { Definition } from './definition.ts';
import { columnOf, typeOf } from './placed.ts';
import { type Occurrence, sameTable } from './walk.ts';

/**
 * For each place where the table stands in the join tree: the touched rows, joined outward to the root. The union of
 * all places, since a catalogue such as localidad stands in several.
 */
export function compileAffectedRoots(
  definition: Definition,
  all: readonly Occurrence[],
  table: TableRef,
  placement: Placement,
  touched: Touched,
): AffectedRoots | null {
  const places = all.filter((occurrence) => sameTable(occurrence.table, table));
  if (places.length === 0) return null;
  const parameters =
    touched === 'all' ? [] : touched === 'keys' ? [...placement(table).key] : waysOut(definition, places);
  if (touched === 'keys' && parameters.length === 0) {
    throw new Error(`table ${table.schema}.${table.table} has no key: its touched rows are told by 'rows'`);
  }
  const source = touchedRows(table, placement, touched, parameters);
  return { sql: places.map((place) => pathToRoot(definition, place, placement, source)).join('\nUNION\n'), parameters };
}

/** Every root's id as text. */
export function compileAllRoots(definition: Definition, placement: Placement): string {
  const { table, idColumn } = definition.root;
  const id = columnOf('t0', idColumn);
  return `SELECT ${id}::text AS id FROM ${placement(table).relation} AS t0 WHERE ${id} IS NOT NULL`;
}

/** The columns that lead outward from the table's places; for the root its id. */
function waysOut(definition: Definition, places: readonly Occurrence[]): string[] {
  const columns = places.flatMap(({ outer, by }) => (outer ? by.map(({ to }) => to) : [definition.root.idColumn]));
  return [...new Set(columns)];
}

/** FROM items that give the touched rows as t0. Parameters are cast to the columns' types, so that indexes serve. */
function touchedRows(table: TableRef, placement: Placement, touched: Touched, parameters: readonly string[]): string {
  const { relation } = placement(table);
  if (touched === 'all') return `${relation} AS t0`;
  const arrays = parameters.map((_, index) => `$${index + 1}::text[]`).join(', ');
  const names = parameters.map((_, index) => `k${index + 1}`);
  const values = parameters.map((column, index) => `${names[index]}::${typeOf(placement, table, column)}`);
  const unnested = `unnest(${arrays}) AS k(${names.join(', ')})`;
  if (touched === 'rows') {
    const columns = values.map((value, index) => `${value} AS ${quoteIdentifier(parameters[index]!)}`);
    return `(SELECT ${columns.join(', ')} FROM ${unnested}) AS t0`;
  }
  const equal = parameters.map((column, index) => `${columnOf('t0', column)} = ${values[index]}`);
  return `${unnested} JOIN ${relation} AS t0 ON ${equal.join(' AND ')}`;
}

function pathToRoot(definition: Definition, place: Occurrence, placement: Placement, source: string): string {
  const lines = [`FROM ${source}`];
  let step = 0;
  for (let inner = place; inner.outer !== null; inner = inner.outer) {
    const equal = inner.by.map(({ from, to }) => `${columnOf(`t${step + 1}`, from)} = ${columnOf(`t${step}`, to)}`);
    lines.push(`JOIN ${placement(inner.outer.table).relation} AS t${step + 1} ON ${equal.join(' AND ')}`);
    step += 1;
  }
  const id = columnOf(`t${step}`, definition.root.idColumn);
  return `SELECT DISTINCT ${id}::text AS id\n${lines.join('\n')}\nWHERE ${id} IS NOT NULL`;
}
