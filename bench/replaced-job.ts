/**
 * An equivalent of the job that siirays-sync replaces, written anew for comparisons: it reads every table whole and builds
 * every document in memory, as that one does every 80 seconds. Not part of the program.
 */
import type { ClientBase } from 'pg';
import type { ColumnRef, Definition, Field, RowContent, Section } from '../src/connector/definition.ts';
import { quoteIdentifier, quoteRelation } from '../src/postgres/identifier.ts';

type Row = Record<string, unknown>;
type Tables = Map<string, Row[]>;

/** All documents by id, as JSON text. */
export async function buildAllDocuments(client: ClientBase, definition: Definition): Promise<Map<string, string>> {
  const rows = await readTables(client, definition);
  const index = new Index(rows);
  const documents = new Map<string, string>();
  for (const root of rows.get(definition.root.table.table) ?? []) {
    documents.set(String(root[definition.root.idColumn]), JSON.stringify(content(root, definition.root, index)));
  }
  return documents;
}

async function readTables(client: ClientBase, definition: Definition): Promise<Tables> {
  const names = new Set([definition.root.table.table]);
  const visit = ({ lookups, sections }: RowContent): void => {
    for (const { table } of lookups) names.add(table.table);
    for (const section of sections) {
      names.add(section.rows.table);
      visit(section);
    }
  };
  visit(definition.root);
  const tables: Tables = new Map();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  for (const name of names) {
    const { rows } = await client.query<Row>(`SELECT * FROM ${quoteRelation(definition.source.schema, name)}`);
    tables.set(name, rows);
  }
  await client.query('COMMIT');
  return tables;
}

/** Rows of a table by the values of some columns; made at the first question. */
class Index {
  readonly #tables: Tables;
  readonly #indexes = new Map<string, Map<string, Row[]>>();

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  find(table: string, columns: readonly string[], values: readonly unknown[]): readonly Row[] {
    const name = [table, ...columns].map(quoteIdentifier).join();
    let index = this.#indexes.get(name);
    if (!index) {
      index = new Map();
      for (const row of this.#tables.get(table) ?? []) {
        const key = columns.map((column) => row[column]).join('\0');
        const rows = index.get(key);
        if (rows) rows.push(row);
        else index.set(key, [row]);
      }
      this.#indexes.set(name, index);
    }
    return index.get(values.join('\0')) ?? [];
  }
}

function content(row: Row, { lookups, fields, sections }: RowContent, index: Index): Row {
  const joined = new Map<string | null, Row>([[null, row]]);
  for (const { name, table, from, by } of lookups) {
    const outer = joined.get(from) ?? {};
    const columns = by.map(({ to }) => to);
    const values = by.map((pair) => outer[pair.from]);
    joined.set(name, index.find(table.table, columns, values)[0] ?? {});
  }
  const document: Row = {};
  for (const field of fields) put(document, field, value(joined, field));
  for (const section of sections) {
    const shown = sectionOf(row, section, index);
    if (shown !== undefined) document[section.name] = shown;
  }
  return document;
}

function put(document: Row, { name }: Field, found: unknown): void {
  if (found !== null && found !== undefined) document[name] = found;
}

function value(joined: ReadonlyMap<string | null, Row>, { lookup, column }: ColumnRef): unknown {
  return joined.get(lookup)?.[column];
}

function sectionOf(outer: Row, section: Section, index: Index): unknown {
  const columns = section.by.map(({ to }) => to);
  const values = section.by.map(({ from }) => outer[from]);
  const rows = [...index.find(section.rows.table, columns, values)].sort((a, b) => order(a, b, section.key));
  if (rows.length === 0) return undefined;
  if (section.shape === 'object') return content(rows.at(-1)!, section, index);
  if (section.shape === 'list') return rows.map((row) => content(row, section, index));
  const column = { ...section.column!, name: '', type: 'text', required: false, description: null } as const;
  const texts = (section.shape === 'text' ? [rows.at(-1)!] : rows)
    .map((row) => content(row, { ...section, fields: [{ ...column, name: 'text' }], sections: [] }, index).text)
    .filter((text) => text !== undefined);
  return section.shape === 'text' ? texts[0] : texts.length > 0 ? texts : undefined;
}

function order(a: Row, b: Row, key: readonly string[]): number {
  for (const column of key) {
    const [x, y] = [a[column] as number | string, b[column] as number | string];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
