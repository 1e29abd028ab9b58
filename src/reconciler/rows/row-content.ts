import { quoteIdentifier } from '../../postgres/identifier.ts';

/** Characters of a value that are told. */
const TOLD = 1_000;
const HEAD = 900;

/**
 * SQL for the output function's text of a column of `t`. One that is longer than is told is cut, with its length and hash,
 * which tell apart texts that differ further on.
 */
export function toldSql(column: string): string {
  const value = `t.${quoteIdentifier(column)}`;
  const text = `concat(${value})`;
  const hash = `left(encode(sha256(convert_to(${text}, 'UTF8')), 'hex'), 16)`;
  return `CASE WHEN ${value} IS NOT DISTINCT FROM NULL THEN NULL WHEN length(${text}) <= ${TOLD} THEN ${text}
  ELSE concat(left(${text}, ${HEAD}), '... (', length(${text}), ' characters, sha256 ', ${hash}, ')') END`;
}

/** The row as a JSON object of texts, cut. */
export function toldRow(columns: readonly string[], cells: readonly (string | null)[]): string {
  return cut(JSON.stringify(Object.fromEntries(columns.map((column, place) => [column, cells[place]!]))));
}

/** What is left of a pair of UTF-16 halves that was cut could not be stored. */
function cut(text: string): string {
  return text.length <= TOLD ? text : `${text.slice(0, TOLD - 3).replace(/[\ud800-\udbff]$/, '')}...`;
}
