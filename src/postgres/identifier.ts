/**
 * Quotes a name so that PostgreSQL takes it as it is: capitals, spaces, dots, reserved words and quotes included.
 * PostgreSQL manual, 4.1.1 "Identifiers and Key Words".
 */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes schema and table as `"schema"."table"`. */
export function quoteRelation(schema: string, table: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/**
 * Quotes a text as an SQL literal, for the few statements that take no parameters (replication commands, SET LOCAL, DDL).
 * The escape form is used where a backslash occurs, so that standard_conforming_strings makes no difference
 * (PostgreSQL manual, 4.1.2.2).
 */
export function quoteLiteral(text: string): string {
  const doubled = text.replaceAll("'", "''");
  return doubled.includes('\\') ? ` E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
}
