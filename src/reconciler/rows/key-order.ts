import { quoteIdentifier } from '../../postgres/identifier.ts';

/**
 * Types that have the same order, and no two texts for equal values but those of numeric, on every server: they are
 * compared as themselves, so that the index of the key serves. Not floats (-0 = 0), intervals (30 days = 1 mon) and bpchar
 * ('a' = 'a ').
 */
const ORDERED = new Set([
  'smallint',
  'integer',
  'bigint',
  'numeric',
  'oid',
  'boolean',
  'date',
  'time without time zone',
  'timestamp without time zone',
  'timestamp with time zone',
  'uuid',
  'bytea',
  'pg_lsn',
  'inet',
  'cidr',
  'macaddr',
]);

/** A column of a key. Rows stand as `t` in every SQL text. */
export interface KeyColumn {
  readonly name: string;
  /** The type to compare by, without length or scale; null: by the bytes of the text. */
  readonly ordered: string | null;
}

/** @param type the replica's type of the column */
export function keyColumn(name: string, type: string): KeyColumn {
  const plain = type.replace(/\(\d+(,-?\d+)?\)/, '');
  return { name, ordered: ORDERED.has(plain) ? plain : null };
}

/**
 * What rows are ordered and compared by. Text is taken as UTF-8 bytes: the one order that databases with other
 * collations and encodings share. No index serves it.
 */
export function orderSql(column: KeyColumn): string {
  return column.ordered === null ? bytesSql(column) : reference(column);
}

/** The output function's text as UTF-8 bytes. */
export function bytesSql(column: KeyColumn): string {
  return `convert_to(concat(${reference(column)}), 'UTF8')`;
}

/** The parameter `$place` as `orderSql` takes it; its value is `boundValue`. */
export function boundSql({ ordered }: KeyColumn, place: number): string {
  return ordered === null ? `$${place}::bytea` : `$${place}::text::${ordered}`;
}

/** Bytes, since a text that SIIRAyS's encoding does not have could not be sent there. */
export function boundValue({ ordered }: KeyColumn, text: string): string | Buffer {
  return ordered === null ? Buffer.from(text, 'utf8') : text;
}

/** The one text of a key that equal values share. */
export function keyTextSql(column: KeyColumn): string {
  return column.ordered === 'numeric' ? `trim_scale(${reference(column)})::text` : `concat(${reference(column)})`;
}

export function reference({ name }: { name: string }): string {
  return `t.${quoteIdentifier(name)}`;
}
