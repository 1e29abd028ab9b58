import { createHash } from 'node:crypto';
import type { ColumnShape, TableShape } from './change-event.ts';
import { escapeName } from './names.ts';

/** How a column's values are written in Avro: natively where nothing is lost, else as PostgreSQL's text. */
export type AvroKind = 'int' | 'long' | 'float' | 'double' | 'boolean' | 'string';

const NATIVE: Readonly<Record<string, AvroKind>> = {
  smallint: 'int',
  integer: 'int',
  bigint: 'long',
  oid: 'long',
  real: 'float',
  'double precision': 'double',
  boolean: 'boolean',
};

/** The Avro kind of a PostgreSQL type as format_type() writes it. */
export function avroKind(type: string): AvroKind {
  return NATIVE[type] ?? 'string';
}

/** `numeric(12,2)` -> {name: 'numeric', length: 12, scale: 2}, for readers that do not parse PostgreSQL's notation. */
function typeParts(type: string): { name: string; length?: number; scale?: number } {
  const match = /^([^(]+)\((\d+)(?:,(-?\d+))?\)(.*)$/.exec(type);
  if (!match) return { name: type };
  const [, name, length, scale, rest] = match;
  return { name: `${name}${rest}`, length: Number(length), ...(scale === undefined ? {} : { scale: Number(scale) }) };
}

function field(column: ColumnShape): object {
  return {
    name: escapeName(column.name),
    type: ['null', avroKind(column.type)],
    default: null,
    postgresql: { column: column.name, type: column.type, ...prefixed(typeParts(column.type)) },
  };
}

function prefixed(parts: ReturnType<typeof typeParts>): object {
  return { typeName: parts.name, length: parts.length, scale: parts.scale };
}

/** The schema property by which a shape is read back from the registry, see `shapeOf`. */
interface ShapeProperty {
  schema: string;
  table: string;
  key: string[];
  fingerprint: string;
}

export interface TableSchemas {
  /** Avro schemas as JSON text, ready to be registered. */
  key: string;
  value: string;
}

/**
 * A shape's fingerprint: SHA-256 over all of it, the first 16 hexadecimal digits.
 * @param era counts how often the table's rows may have changed without events: then what was held of them is over
 */
export function fingerprintOf(shape: Omit<TableShape, 'fingerprint'>, era = 0): string {
  const content = [shape.schema, shape.table, shape.columns.map((c) => [c.name, c.type]), shape.key];
  if (era > 0) content.push([era]);
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
}

/**
 * The key and envelope schemas of a table's topic. Field names and nesting are Debezium's. `fingerprint` in the schema
 * and in each message's header tie the two together, since a registry that was lost gives its ids anew.
 */
export function tableSchemas(topic: string, shape: TableShape): TableSchemas {
  // A prefix may hold what Avro's names cannot (specification, "Names"): hyphens, a digit in front.
  const namespace = [topic.slice(0, topic.indexOf('.')), shape.schema, shape.table].map(escapeName).join('.');
  const keyColumns = shape.key.length > 0 ? shape.key.map((i) => shape.columns[i]!) : shape.columns;
  const property: ShapeProperty = {
    schema: shape.schema,
    table: shape.table,
    key: shape.key.map((i) => shape.columns[i]!.name),
    fingerprint: shape.fingerprint,
  };
  const value = {
    type: 'record',
    name: 'Envelope',
    namespace,
    postgresql: property,
    fields: [
      {
        name: 'before',
        type: ['null', { type: 'record', name: 'Value', fields: shape.columns.map(field) }],
        default: null,
      },
      { name: 'after', type: ['null', 'Value'], default: null },
      { name: 'source', type: SOURCE },
      { name: 'op', type: 'string' },
      { name: 'ts_ms', type: ['null', 'long'], default: null },
      { name: 'transaction', type: ['null', TRANSACTION], default: null },
    ],
  };
  const key = { type: 'record', name: 'Key', namespace, fields: keyColumns.map(field) };
  return { key: JSON.stringify(key), value: JSON.stringify(value) };
}

const SOURCE = {
  type: 'record',
  name: 'Source',
  namespace: 'io.siirays.sync',
  fields: [
    { name: 'version', type: 'string' },
    { name: 'connector', type: 'string' },
    { name: 'name', type: 'string' },
    { name: 'ts_ms', type: 'long' },
    { name: 'snapshot', type: 'string' },
    { name: 'db', type: 'string' },
    { name: 'schema', type: 'string' },
    { name: 'table', type: 'string' },
    { name: 'txId', type: ['null', 'long'], default: null },
    { name: 'lsn', type: 'long' },
    { name: 'commit_lsn', type: 'long' },
  ],
};

const TRANSACTION = {
  type: 'record',
  name: 'Transaction',
  namespace: 'io.siirays.sync',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'total_order', type: 'long' },
    { name: 'data_collection_order', type: 'long' },
  ],
};

/**
 * The table shape that a registered envelope schema describes.
 * @throws where the schema is not one that this program wrote
 */
export function shapeOf(schemaText: string): TableShape {
  const schema = JSON.parse(schemaText) as {
    postgresql?: ShapeProperty;
    fields?: { name: string; type: [string, { fields: { postgresql: { column: string; type: string } }[] }] }[];
  };
  const property = schema.postgresql;
  const before = schema.fields?.find((f) => f.name === 'before');
  if (!property || !before)
    throw new Error('the schema is not an envelope of this service: property "postgresql" is missing');
  const columns = before.type[1].fields.map((f) => ({ name: f.postgresql.column, type: f.postgresql.type }));
  const key = property.key.map((name) => columns.findIndex((c) => c.name === name));
  return { schema: property.schema, table: property.table, columns, key, fingerprint: property.fingerprint };
}
