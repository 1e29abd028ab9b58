/** A table whose sides cannot be held against each other: it lacks something, may not be read, or stays locked. */
export class NotComparable extends Error {
  /** `schema.table` */
  readonly table: string;

  constructor(table: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.table = table;
  }
}

/** What PostgreSQL's error codes say of the table, and what to do. Only codes whose messages name no value of a row. */
const REASONS: Readonly<Record<string, (table: string) => string>> = {
  '42P01': (table) =>
    `SIIRAyS or the replica has no table ${table} (any more): make it again, or take it out of the connector`,
  '42703': (table) =>
    `${table} has lost a column that the replica still has: once the change has come through the stream it can be compared; a column that the connector uses must be made again or taken out of the connector`,
  '42501': (table) =>
    `the reconciler's role may not read ${table}: GRANT SELECT on it (and, where it has row level security, BYPASSRLS)`,
  '42883': (table) =>
    `the key of ${table} has another type than in the replica: once the change has come through the stream it can be compared`,
  '42804': (table) =>
    `the key of ${table} has another type than in the replica: once the change has come through the stream it can be compared`,
  '55P03': (table) => `${table} stayed locked: compare it again when the work on it is done`,
};

/**
 * The error as what it means for a table; itself where it means nothing for it (a lost connection, a mistake of ours).
 * The messages of PostgreSQL that are told name tables, columns and types, never values.
 */
export function explained(error: unknown, table: string): unknown {
  const { code, message } = error as { code?: unknown; message?: string };
  const reason = typeof code === 'string' ? REASONS[code]?.(table) : undefined;
  return reason === undefined ? error : new NotComparable(table, `${reason} (${message})`, { cause: error });
}
