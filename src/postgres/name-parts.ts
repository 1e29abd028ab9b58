import { quoteIdentifier } from './identifier.ts';

/**
 * Names in connector files, in the transaction topic's data collections and in the console: a part stands as it is, or
 * in quotation marks as in SQL (PostgreSQL manual, 4.1.1) where it holds a dot or begins with a quotation mark itself,
 * so that no two tables have one name.
 */
const PART = '(?:"(?:[^"]|"")+"|[^."][^.]*)';

/** A column. */
export const ONE_PART = new RegExp(`^${PART}$`);
/** table or schema.table, column or lookup.column. */
export const ONE_OR_TWO_PARTS = new RegExp(`^${PART}(\\.${PART})?$`);

/** The names that a valid reference is made of. */
export function nameParts(text: string): [string] | [string, string] {
  const [first = text, second] = text.match(new RegExp(PART, 'g')) ?? [];
  return second === undefined ? [unquoted(first)] : [unquoted(first), unquoted(second)];
}

/** The name that a valid part stands for. */
export function unquoted(part: string): string {
  return part.startsWith('"') && part.length > 1 ? part.slice(1, -1).replaceAll('""', '"') : part;
}

/** A part for a name. */
export function namePart(name: string): string {
  return /^"|\./.test(name) ? quoteIdentifier(name) : name;
}

/** `schema.table`. */
export function collectionName({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${namePart(schema)}.${namePart(table)}`;
}
