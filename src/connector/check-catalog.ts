import type { Catalog, CatalogTable } from './catalog.ts';
import type { TableRef } from './compiled.ts';
import type { ColumnRef, Definition, FieldType, JoinColumn, RowContent, Section } from './definition.ts';
import { type Mistake, type Path, pathText, unknownName } from './mistake.ts';
import { isCharacterType } from './placed.ts';

/**
 * What is wrong in a definition when it is held against a database: tables and columns that are not there, fields whose
 * type the column cannot give, joins of unlike columns, look-ups and document ids that are not unique.
 * @param options.keys whether the catalogue's keys are the primary keys, so that they tell what is unique
 */
export function checkAgainstCatalog(
  definition: Definition,
  catalog: Catalog,
  { keys = true }: { keys?: boolean } = {},
): Mistake[] {
  const { root } = definition;
  const check = new CatalogCheck(catalog, definition.source.schema, keys);
  const table = check.table(root.table, ['root', 'table']);
  check.column(table, root.idColumn, ['root', 'id']);
  if (keys && table && Object.hasOwn(table.types, root.idColumn) && table.key.join() !== root.idColumn) {
    check.add(
      ['root', 'id'],
      `${nameOf(table)} may hold several rows of one ${root.idColumn}: expected its primary key`,
    );
  }
  check.content(root, table, ['root']);
  for (const section of root.sections) check.section(section, table, []);
  return check.mistakes;
}

class CatalogCheck {
  readonly mistakes: Mistake[] = [];
  readonly #catalog: Catalog;
  readonly #schema: string;
  readonly #keys: boolean;

  constructor(catalog: Catalog, schema: string, keys: boolean) {
    this.#catalog = catalog;
    this.#schema = schema;
    this.#keys = keys;
  }

  add(path: Path, message: string): void {
    this.mistakes.push({ path, on: 'value', message: `${pathText(path)}: ${message}` });
  }

  table(ref: TableRef, path: Path): CatalogTable | undefined {
    const found = this.#catalog.find(({ schema, table }) => schema === ref.schema && table === ref.table);
    if (!found) {
      const name = (known: TableRef) => (known.schema === this.#schema ? known.table : nameOf(known));
      this.add(path, unknownName('unknown table', name(ref), this.#catalog.map(name)));
    }
    return found;
  }

  /** The type of a column; undefined where it (or its table) is not there, which is told once. */
  column(table: CatalogTable | undefined, column: string, path: Path): string | undefined {
    if (!table) return undefined;
    if (Object.hasOwn(table.types, column)) return table.types[column];
    this.add(path, unknownName(`${nameOf(table)} has no column`, column, Object.keys(table.types)));
    return undefined;
  }

  section(section: Section, outer: CatalogTable | undefined, outerPath: Path): void {
    const path = [...outerPath, 'sections', section.name];
    const rows = this.table(section.rows, [...path, 'rows']);
    this.#join(section.by, outer, rows, [...path, 'by']);
    for (const column of section.key) this.column(rows, column, [...path, 'key']);
    this.content(section, rows, path, section.column);
    for (const nested of section.sections) this.section(nested, rows, path);
  }

  content(content: RowContent, row: CatalogTable | undefined, path: Path, shown: ColumnRef | null = null): void {
    const tables = new Map<string | null, CatalogTable | undefined>([[null, row]]);
    for (const [index, lookup] of content.lookups.entries()) {
      const at = [...path, 'lookups', index];
      const table = this.table(lookup.table, at);
      this.#join(lookup.by, tables.get(lookup.from), table, at);
      const joined = lookup.by.map(({ to }) => to);
      if (this.#keys && table && !(table.key.length > 0 && table.key.every((column) => joined.includes(column)))) {
        this.add(at, `several rows of ${nameOf(table)} may have one ${joined.join(', ')}: expected its primary key`);
      }
      tables.set(lookup.name, table);
    }
    for (const field of content.fields) this.#shown(tables, field, field.type, [...path, 'fields', field.name]);
    if (shown) this.#shown(tables, shown, 'text', [...path, 'column']);
  }

  #shown(
    tables: Map<string | null, CatalogTable | undefined>,
    { lookup, column }: ColumnRef,
    as: FieldType,
    path: Path,
  ) {
    const table = tables.get(lookup);
    const type = this.column(table, column, path);
    if (type === undefined || FITTING[as](type)) return;
    this.add(path, `the column ${column} of ${nameOf(table!)} is ${type}: that is no ${as}`);
  }

  #join(by: readonly JoinColumn[], outer: CatalogTable | undefined, inner: CatalogTable | undefined, path: Path): void {
    for (const { from, to } of by) {
      const [left, right] = [this.column(outer, from, path), this.column(inner, to, path)];
      if (left === undefined || right === undefined || family(left) === family(right)) continue;
      this.add(
        path,
        `${from} of ${nameOf(outer!)} is ${left}, ${to} of ${nameOf(inner!)} is ${right}: expected like columns`,
      );
    }
  }
}

function nameOf({ schema, table }: TableRef): string {
  return `${schema}.${table}`;
}

const INTEGER = /^(smallint|integer|bigint)$/;
const NUMBER = /^(smallint|integer|bigint|real|double precision|numeric(\(.*\))?)$/;

const FITTING: Record<FieldType, (type: string) => boolean> = {
  text: () => true,
  integer: (type) => INTEGER.test(type),
  number: (type) => NUMBER.test(type),
  boolean: (type) => type === 'boolean',
  date: (type) => type === 'date',
  timestamp: (type) => type.startsWith('timestamp'),
  json: (type) => type === 'json' || type === 'jsonb',
};

/** Types of one family can be compared with = as they are. */
function family(type: string): string {
  if (NUMBER.test(type)) return 'number';
  return isCharacterType(type) ? 'text' : type;
}
