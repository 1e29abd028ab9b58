import { nameParts, unquoted } from '../postgres/name-parts.ts';
import type { TableRef } from './compiled.ts';
import type { ColumnRef, Definition, Field, JoinColumn, Lookup, RowContent, Section } from './definition.ts';
import type { ConnectorFile, FieldKeys, JoinKeys, LookupKeys, RowsSectionKeys, SectionKeys } from './schema.ts';

/** Fills in the defaults of a valid connector file and resolves its names; `name` is the file's name without .yaml. */
export function resolveConnector(name: string, file: ConnectorFile): Definition {
  const schema = unquoted(file.source.schema);
  const { root } = file;
  const content = { lookups: root.lookups, fields: root.fields, sections: file.sections };
  return {
    name,
    source: { ...file.source, schema },
    target: file.target,
    root: {
      table: tableRef(root.table, schema),
      idColumn: unquoted(root.id),
      idType: root.id_type,
      ...resolveContent(content, schema, [unquoted(root.id)]),
    },
    description: file.description ?? null,
  };
}

/** `table`, or `schema.table`. */
export function tableRef(name: string, defaultSchema: string): TableRef {
  const [first, second] = nameParts(name);
  return second === undefined ? { schema: defaultSchema, table: first } : { schema: first, table: second };
}

/** `column`, or `lookup.column`. */
export function columnRef(text: string): ColumnRef {
  const [first, second] = nameParts(text);
  return second === undefined ? { lookup: null, column: first } : { lookup: first, column: second };
}

/** SIIRAyS names the primary key of a table after it. */
export function defaultKey(table: TableRef): string {
  return `id_${table.table}`;
}

/** The name that column references call a look-up by. */
export function lookupName(keys: LookupKeys): string {
  if (typeof keys !== 'string') return keys.as ?? lookupName(keys.table);
  return nameParts(keys).at(-1)!;
}

type ContentKeys = Pick<RowsSectionKeys, 'lookups' | 'fields' | 'sections'>;

function resolveContent(keys: ContentKeys, schema: string, outerKey: readonly string[]): RowContent {
  return {
    lookups: (keys.lookups ?? []).map((lookup) => resolveLookup(lookup, schema)),
    fields: Object.entries(keys.fields ?? {}).map(([name, field]) => resolveField(name, field)),
    sections: Object.entries(keys.sections ?? {}).map(([name, section]) =>
      resolveSection(name, section, schema, outerKey),
    ),
  };
}

function resolveSection(name: string, keys: SectionKeys, schema: string, outerKey: readonly string[]): Section {
  const rows = tableRef(keys.rows, schema);
  const key = keys.key === undefined ? [defaultKey(rows)] : list(keys.key);
  const isText = keys.shape === 'text' || keys.shape === 'list of text';
  return {
    name,
    shape: keys.shape,
    rows,
    by: joinColumns(keys.by, outerKey),
    key,
    column: isText ? columnRef(keys.column) : null,
    required: keys.required,
    description: keys.description ?? null,
    ...resolveContent(isText ? { lookups: keys.lookups } : keys, schema, key),
  };
}

function resolveLookup(keys: LookupKeys, schema: string): Lookup {
  const long = typeof keys === 'string' ? { table: keys } : keys;
  const table = tableRef(long.table, schema);
  return {
    name: lookupName(keys),
    table,
    from: long.from ?? null,
    by: joinColumns(long.by, [defaultKey(table)]),
  };
}

function resolveField(name: string, keys: FieldKeys): Field {
  const long = keys === null || typeof keys === 'string' ? { column: keys ?? undefined } : keys;
  return {
    name,
    ...columnRef(long.column ?? name),
    type: 'text',
    required: false,
    description: null,
    ...('type' in long && { type: long.type, required: long.required, description: long.description ?? null }),
  };
}

function joinColumns(keys: JoinKeys | undefined, defaults: readonly string[]): JoinColumn[] {
  if (keys !== undefined && typeof keys !== 'string' && !Array.isArray(keys)) {
    return Object.entries(keys).map(([from, to]) => ({ from: unquoted(from), to: unquoted(to) }));
  }
  return (keys === undefined ? defaults : list(keys)).map((column) => ({ from: column, to: column }));
}

function list(names: string | string[]): string[] {
  return (typeof names === 'string' ? [names] : names).map(unquoted);
}
