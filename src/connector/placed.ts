import { quoteIdentifier } from '../postgres/identifier.ts';
import type { Placement, TableRef } from './compiled.ts';

/** The type of a column where its table stands now. Throws where the table has no such column (any more). */
export function typeOf(placement: Placement, table: TableRef, column: string): string {
  const { types } = placement(table);
  if (!Object.hasOwn(types, column)) {
    throw new Error(`table ${table.schema}.${table.table} has no column ${column}`);
  }
  return types[column]!;
}

/** `alias."column"`. */
export function columnOf(alias: string, column: string): string {
  return `${alias}.${quoteIdentifier(column)}`;
}

const CHARACTER_TYPE = /^(text|character|character varying|"char"|name|citext)(\(\d+\))?$/;

/** Whether values of the type are character strings. */
export function isCharacterType(type: string): boolean {
  return CHARACTER_TYPE.test(type);
}

/** Types of PostgreSQL with one order in every database. */
const OWN_ORDER =
  /^(smallint|integer|bigint|oid|numeric|real|double precision|boolean|date|uuid|bytea|pg_lsn|(time|timestamp) with(out)? time zone)$/;
/** Types that can be collated. */
const COLLATED = /^(text|character|character varying|name)$/;

/**
 * What follows a column of the type in ORDER BY, so that SIIRAyS and a replica order alike: text by its bytes, and what
 * a replica keeps as text (enums, domains, composites, types of extensions) by the bytes of its text.
 */
export function ordering(type: string): string {
  const plain = type.replace(/\(\d+(,-?\d+)?\)/, '');
  if (OWN_ORDER.test(plain)) return '';
  return COLLATED.test(plain) ? ' COLLATE "C"' : '::text COLLATE "C"';
}
