/** Random SIIRAyS rows: few ids, so that rows meet; every oddity that a column can hold. */
import fc from 'fast-check';
import type { Catalog, CatalogTable } from '../../src/connector/catalog.ts';
import type { Row, Rows } from './reference-projection.ts';

const TEXTS = [
  '',
  ' ',
  '  a ',
  'Ñandú',
  'x',
  '"',
  '\\',
  '\t',
  'a\nb',
  '🚰',
  '\u0001',
  "'",
  '</',
  '{}',
  'null',
  '0',
  'é',
];
const LONG = 'agua potable y saneamiento básico '.repeat(100);

/** Ids 1 to 4; EPSA 5 and 6 are in no `epsa` table, catalogue rows are missing as it comes. */
const id = fc.integer({ min: 1, max: 4 }).map(String);
const rowId = fc.integer({ min: 1, max: 9 }).map(String);
const foreignId = fc.oneof(
  { weight: 6, arbitrary: id },
  { weight: 1, arbitrary: fc.constantFrom('5', '6') },
  { weight: 1, arbitrary: fc.constant(null) },
);

function value(type: string): fc.Arbitrary<string> {
  const [, limit] = /^character varying\((\d+)\)$/.exec(type) ?? [];
  if (limit !== undefined) return fc.constantFrom(...TEXTS.filter((one) => [...one].length <= Number(limit)));
  if (type === 'text') return fc.constantFrom(...TEXTS, LONG);
  if (type === 'integer') return fc.constantFrom('0', '1', '-7', '2147483647');
  if (type === 'date') return fc.constantFrom('2010-02-24', '1999-12-31', 'infinity', '-infinity', '0044-03-15 BC');
  if (type === 'double precision') {
    return fc.constantFrom(
      '0',
      '-0',
      '0.1',
      '-16.5',
      '1e+20',
      '1e-07',
      '0.30000000000000004',
      'NaN',
      'Infinity',
      '-Infinity',
    );
  }
  if (type.startsWith('numeric')) return fc.constantFrom('0', '0.00', '2.5', '-1.10', '100', '9999.99', 'NaN');
  throw new Error(`no random values for ${type}`);
}

/** A random row; its key columns are ids. */
export function randomRow({ types, key }: CatalogTable): fc.Arbitrary<Row> {
  const isSection = 'id_epsa' in types && !key.includes('id_epsa');
  const columns = Object.entries(types).map(([column, type]): [string, fc.Arbitrary<string | null>] => {
    if (key.includes(column)) return [column, isSection && key.length === 1 ? rowId : id];
    // Rows of a table without a key are to be alike in their ids.
    if (column.startsWith('id_')) return [column, key.length === 0 ? fc.constantFrom('1', '2', null) : foreignId];
    return [column, fc.option(value(type), { nil: null, freq: 4 })];
  });
  return fc.record(Object.fromEntries(columns));
}

export function keyOf({ key }: CatalogTable, row: Row): string {
  return JSON.stringify(key.length === 0 ? row : key.map((column) => row[column]));
}

function randomTable(table: CatalogTable): fc.Arbitrary<Row[]> {
  const row = randomRow(table);
  const size = 'max';
  if (table.key.length === 0) return fc.array(row, { maxLength: 20, size });
  const minLength = table.table === 'epsa' ? 2 : 0;
  return fc.uniqueArray(row, { minLength, maxLength: 8, size, selector: (one) => keyOf(table, one) });
}

export function randomRows(catalog: Catalog): fc.Arbitrary<Rows> {
  return fc.record(Object.fromEntries(catalog.map((table) => [table.table, randomTable(table)])));
}

/** One statement on one table. `at` picks rows among those that are there. */
export type Change =
  | { kind: 'insert'; table: CatalogTable; row: Row }
  | { kind: 'update'; table: CatalogTable; at: number; row: Row; columns: readonly string[] }
  | { kind: 'delete'; table: CatalogTable; at: number };

export function randomChange(catalog: Catalog): fc.Arbitrary<Change> {
  return fc.constantFrom(...catalog).chain((table) => {
    const at = fc.nat({ max: 20 });
    const row = randomRow(table);
    const columns = fc.subarray(Object.keys(table.types), { minLength: 1 });
    return fc.oneof(
      fc.record({ kind: fc.constant('insert' as const), table: fc.constant(table), row }),
      fc.record({ kind: fc.constant('update' as const), table: fc.constant(table), at, row, columns }),
      fc.record({ kind: fc.constant('delete' as const), table: fc.constant(table), at }),
    );
  });
}

/** What a change does to the rows of its table: those that it takes away and those that it puts in; null: nothing. */
export function effectOf(change: Change, rows: readonly Row[]): { removed: Row[]; added: Row[] } | null {
  const { table } = change;
  const occupied = (row: Row, except?: Row) =>
    table.key.length > 0 && rows.some((other) => other !== except && keyOf(table, other) === keyOf(table, row));
  if (change.kind === 'insert') return occupied(change.row) ? null : { removed: [], added: [change.row] };
  const old = rows[change.at % Math.max(rows.length, 1)];
  if (old === undefined) return null;
  if (change.kind === 'delete') return { removed: [old], added: [] };
  const row = { ...old, ...Object.fromEntries(change.columns.map((column) => [column, change.row[column]!])) };
  return occupied(row, old) ? null : { removed: [old], added: [row] };
}
