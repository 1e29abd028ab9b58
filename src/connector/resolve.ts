import type { TableRef } from './compiled.ts';
import type { ColumnRef, Definition, Field, JoinColumn, Lookup, RowContent, Section } from './definition.ts';
import type { ConnectorFile, FieldKeys, JoinKeys, LookupKeys, RowsSectionKeys, SectionKeys } from './schema.ts';

/** Fills in the defaults of a valid connector file and resolves its names; `name` is the file's name without .yaml. */
export function resolveConnector(name: string, file: ConnectorFile): Definition {
  const { schema } = file.source;
  const { root } = file;
  const content = { lookups: root.lookups, fields: root.fields, sections: file.sections };
  return {
    name,
    source: file.source,
    target: file.target,
    root: {
      table: tableRef(root.table, schema),
      idColumn: root.id,
      idType: root.id_type,
      ...resolveContent(content, schema, [root.id]),
    },
    description: file.description ?? null,
  };
}

/** `table`, or `schema.table`. */
export function tableRef(name: string, defaultSchema: string): TableRef {
  const dot = name.indexOf('.');
  return dot < 0 ? { schema: defaultSchema, table: name } : { schema: name.slice(0, dot), table: name.slice(dot + 1) };
}

/** `column`, or `lookup.column`. */
export function columnRef(text: string): ColumnRef {
  const dot = text.indexOf('.');
  return dot < 0 ? { lookup: null, column: text } : { lookup: text.slice(0, dot), column: text.slice(dot + 1) };
}

/** SIIRAyS names the primary key of a table after it. */
export function defaultKey(table: TableRef): string {
  return `id_${table.table}`;
}

/** The name that column references call a look-up by. */
export function lookupName(keys: LookupKeys): string {
  if (typeof keys !== 'string') return keys.as ?? lookupName(keys.table);
  return keys.slice(keys.indexOf('.') + 1);
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
  const key = list(keys.key ?? defaultKey(rows));
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
    return Object.entries(keys).map(([from, to]) => ({ from, to }));
  }
  return (keys === undefined ? defaults : list(keys)).map((column) => ({ from: column, to: column }));
}

function list(names: string | string[]): string[] {
  return typeof names === 'string' ? [names] : names;
}
