import { quoteLiteral } from '../postgres/identifier.ts';
import type { Placement, TableRef } from './compiled.ts';
import type { ColumnRef, FieldType, RowContent, Section } from './definition.ts';
import { columnOf, isCharacterType, typeOf } from './placed.ts';

/** A line feed in SQL: what separates paths. No name of a document holds one. */
export const NEWLINE = "E'\\n'";

/** A column as it stands in a FROM clause, and its PostgreSQL type. */
export interface TypedColumn {
  readonly sql: string;
  readonly type: string;
}

export interface JoinedRow {
  /** LEFT JOINs of look-ups and nested sections, each on a line of its own. */
  readonly joins: string;
  /** The row as JSON text, what is NULL left out. */
  readonly object: string;
  /** Text: paths of missing required fields and sections, one a line, NULL where none; null where none is required. */
  readonly missing: string | null;
  at(column: ColumnRef): TypedColumn;
}

/**
 * Joins what a row shows: its look-ups as l1…, its sections as s1…
 * @param alias the row's own alias
 * @param sectionSql gives a nested section's SELECT (columns k1…, body, missing)
 */
export function joinRow(
  alias: string,
  table: TableRef,
  content: RowContent,
  placement: Placement,
  sectionSql: (section: Section) => string,
): JoinedRow {
  const places = new Map<string | null, { alias: string; table: TableRef }>([[null, { alias, table }]]);
  const joins: string[] = [];
  for (const [index, lookup] of content.lookups.entries()) {
    const place = { alias: `l${index + 1}`, table: lookup.table };
    const outer = places.get(lookup.from)!;
    const equal = lookup.by.map(({ from, to }) => `${columnOf(place.alias, to)} = ${columnOf(outer.alias, from)}`);
    joins.push(`\nLEFT JOIN ${placement(lookup.table).relation} AS ${place.alias} ON ${equal.join(' AND ')}`);
    places.set(lookup.name, place);
  }
  for (const [index, nested] of content.sections.entries()) {
    const equal = nested.by.map(({ from }, k) => `s${index + 1}.k${k + 1} = ${columnOf(alias, from)}`);
    joins.push(`\nLEFT JOIN (${sectionSql(nested)}) AS s${index + 1} ON ${equal.join(' AND ')}`);
  }
  const at = ({ lookup, column }: ColumnRef): TypedColumn => {
    const place = places.get(lookup)!;
    return { sql: columnOf(place.alias, column), type: typeOf(placement, place.table, column) };
  };
  const members = [
    ...content.fields.map((field) => ({ name: field.name, json: valueText(at(field), field.type) })),
    ...content.sections.map(({ name }, index) => ({ name, json: `s${index + 1}.body` })),
  ];
  const missing = [
    ...content.fields.filter(({ required }) => required).map((field) => whereNull(at(field).sql, field.name)),
    ...content.sections.flatMap((nested, index) => [
      ...(nested.required ? [whereNull(`s${index + 1}.body`, nested.name)] : []),
      ...(mayMiss(nested) ? [`s${index + 1}.missing`] : []),
    ]),
  ];
  return {
    joins: joins.join(''),
    object: `'{' || ${joinTexts(
      members.map(({ name, json }) => `${quoteLiteral(`${JSON.stringify(name)}:`)} || ${json}`),
      `','`,
    )} || '}'`,
    missing: missing.length === 0 ? null : `NULLIF(${joinTexts(missing, NEWLINE)}, '')`,
    at,
  };
}

/** Whether anything in the section is required, so that something can be missing. */
function mayMiss({ fields, sections }: RowContent): boolean {
  return fields.some(({ required }) => required) || sections.some((nested) => nested.required || mayMiss(nested));
}

function whereNull(sql: string, path: string): string {
  return `CASE WHEN ${sql} IS NULL THEN ${quoteLiteral(path)} END`;
}

/**
 * A value as JSON text; NULL stays NULL. to_json writes PostgreSQL's own digits, and NaN and infinities, which JSON
 * lacks, as text (PostgreSQL manual, 9.16.3); dates and timestamps as ISO 8601 whatever DateStyle is. Character types
 * are not cast: that would cut off the blanks of character(n).
 */
export function valueText({ sql, type }: TypedColumn, as: FieldType): string {
  const cast = as === 'text' && !isCharacterType(type) ? '::text' : '';
  return `to_json(${sql}${cast})::text`;
}

/** PostgreSQL functions take at most 100 arguments. */
const TEXTS_A_CALL = 90;

/** concat_ws, which passes over NULL; '' where all are NULL. */
function joinTexts(texts: readonly string[], separator: string): string {
  if (texts.length <= TEXTS_A_CALL) return `concat_ws(${[separator, ...texts].join(', ')})`;
  const groups = [];
  for (let start = 0; start < texts.length; start += TEXTS_A_CALL) {
    groups.push(`NULLIF(${joinTexts(texts.slice(start, start + TEXTS_A_CALL), separator)}, '')`);
  }
  return joinTexts(groups, separator);
}
