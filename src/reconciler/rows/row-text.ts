import { quoteIdentifier } from '../../postgres/identifier.ts';

/** PostgreSQL's functions take 100 arguments at most (FUNC_MAX_ARGS); the format is one of them. */
const COLUMNS_AT_ONCE = 99;

/**
 * SQL for the text of a row `t`: two rows have the same exactly where the output functions' texts of all columns are the
 * same, NULL apart from ''. format's %L calls the output function, as pgoutput does (a cast to text would strip the blanks
 * of bpchar and write true for t), and asks neither locale nor encoding (ROW(…)::text asks isspace()).
 */
export function rowTextSql(columns: readonly string[]): string {
  const parts: string[] = [];
  for (let from = 0; from < columns.length; from += COLUMNS_AT_ONCE) {
    const some = columns.slice(from, from + COLUMNS_AT_ONCE);
    const values = some.map((column) => `t.${quoteIdentifier(column)}`);
    parts.push(`format('${some.map(() => '%L').join()}', ${values.join(', ')})`);
  }
  return parts.length === 0 ? `''` : parts.join(` || ',' || `);
}

/** SQL for the sha256 of the row's text in UTF-8, in hexadecimal. */
export function rowHashSql(columns: readonly string[]): string {
  return `encode(sha256(convert_to(${rowTextSql(columns)}, 'UTF8')), 'hex')`;
}

/** SQL for the half of that hash that is kept of a single row. */
export function shortHashSql(columns: readonly string[]): string {
  return `left(${rowHashSql(columns)}, 32)`;
}
