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
