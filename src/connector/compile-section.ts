import { quoteLiteral } from '../postgres/identifier.ts';
import type { Placement } from './compiled.ts';
import type { Section } from './definition.ts';
import { columnOf, ordering, typeOf } from './placed.ts';
import { joinRow, NEWLINE, valueText } from './row-content.ts';

/** The columns of the outer row that a section's rows are found by; k1, k2, … in its SQL. */
export function sectionColumns({ by }: Section): string[] {
  return by.map(({ from }) => from);
}

/**
 * SELECT of a section for all outer rows at once: k1…kn (the outer row's columns), body (JSON text, NULL where the
 * section is left out), missing (paths of missing required fields, one a line, NULL where none).
 * @param outer FROM item with the distinct k1…kn of the outer rows
 */
export function section(part: Section, outer: string, placement: Placement): string {
  const keys = part.by.map((_, index) => `o.k${index + 1}`);
  const equal = part.by.map(({ to }, index) => `${columnOf('t', to)} = ${keys[index]}`);
  const rows = `${outer} AS o JOIN ${placement(part.rows).relation} AS t ON ${equal.join(' AND ')}`;
  const row = joinRow('t', part.rows, part, placement, (nested) => {
    const list = sectionColumns(nested).map((column, index) => `${columnOf('t', column)} AS k${index + 1}`);
    return section(nested, `(SELECT DISTINCT ${list.join(', ')} FROM ${rows})`, placement);
  });
  const from = `FROM ${rows}${row.joins}`;
  const value = part.column === null ? row.object : valueText(row.at(part.column), 'text');
  switch (part.shape) {
    case 'object':
    case 'text': {
      const missing =
        row.missing === null ? 'NULL::text' : prefixed(row.missing, `${quoteLiteral(`${part.name}.`)}::text`);
      return `SELECT DISTINCT ON (${keys.join(', ')}) ${keys.join(', ')}, ${value} AS body, ${missing} AS missing
${from}
ORDER BY ${[...keys, ...rowOrder(part, placement, 'DESC')].join(', ')}`;
    }
    case 'list':
    case 'list of text':
      return row.missing === null
        ? plainList(keys, value, rowOrder(part, placement, 'ASC'), from)
        : countedList(part.name, keys, value, row.missing, rowOrder(part, placement, 'ASC'), from);
  }
}

function plainList(keys: readonly string[], value: string, order: readonly string[], from: string): string {
  return `SELECT ${keys.join(', ')}, '[' || string_agg(${value}, ',' ORDER BY ${order.join(', ')}) || ']' AS body, NULL::text AS missing
${from}
GROUP BY ${keys.join(', ')}`;
}

/** A list whose rows have required fields: they are counted, so that what is missing can be told by its place. */
function countedList(
  name: string,
  keys: readonly string[],
  value: string,
  missing: string,
  order: readonly string[],
  from: string,
): string {
  const names = keys.map((_, index) => `k${index + 1}`).join(', ');
  const path = prefixed('missing', `${quoteLiteral(`${name}[`)} || place - 1 || '].'`);
  return `SELECT ${names}, '[' || string_agg(body, ',' ORDER BY place) || ']' AS body, string_agg(${path}, ${NEWLINE} ORDER BY place) AS missing
FROM (SELECT ${keys.join(', ')}, row_number() OVER (PARTITION BY ${keys.join(', ')} ORDER BY ${order.join(', ')}) AS place, ${value} AS body, ${missing} AS missing
${from}) AS placed
GROUP BY ${names}`;
}

/** Puts a prefix before each line. */
function prefixed(lines: string, prefix: string): string {
  return `${prefix} || replace(${lines}, ${NEWLINE}, ${NEWLINE} || ${prefix})`;
}

/**
 * Order of a section's rows. Text is ordered by its bytes, not by a collation, which differs between servers. Where
 * the columns do not hold the table's key, rows can be alike in them: then the texts of all its used columns decide, so
 * that the same rows always make the same document.
 */
export function rowOrder(part: Section, placement: Placement, direction: 'ASC' | 'DESC'): string[] {
  const { key } = placement(part.rows);
  const order = part.key.map((column) => {
    return `${columnOf('t', column)}${ordering(typeOf(placement, part.rows, column))} ${direction} NULLS LAST`;
  });
  const unique = key.length > 0 && key.every((column) => part.key.includes(column));
  if (unique) return order;
  const used = new Set([
    ...part.fields.filter(({ lookup }) => lookup === null).map(({ column }) => column),
    ...(part.column?.lookup === null ? [part.column.column] : []),
    ...part.lookups.filter(({ from }) => from === null).flatMap(({ by }) => by.map(({ from }) => from)),
    ...part.sections.flatMap(sectionColumns),
  ]);
  const decisive = [...used].map((column) => `${columnOf('t', column)}::text COLLATE "C" ${direction} NULLS LAST`);
  return [...order, ...decisive];
}
