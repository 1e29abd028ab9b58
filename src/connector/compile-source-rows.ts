import { quoteLiteral } from '../postgres/identifier.ts';
import { rowOrder } from './compile-section.ts';
import type { Placement, SourceRows, TableRef } from './compiled.ts';
import type { Definition, JoinColumn, Lookup, RowContent, Section } from './definition.ts';
import { columnOf, typeOf } from './placed.ts';

/** What of a row a path asks for: its look-ups, and sections of its own with what is left of the path. */
interface Wanted {
  lookups: readonly Lookup[];
  sections: readonly { section: Section; place: number | null; rest: string }[];
}

interface Branch {
  table: TableRef;
  key: readonly string[];
  alias: string;
  from: string;
}

/**
 * The rows that a document, or the part of it that a path names, is made of: outward rows, the rows of the section, those
 * of their look-ups. `tuberias[2].localidad` is one row of tuberias, counted as the projection counts, with the look-up
 * that the field is taken from.
 * @param path as a dead letter has it; null, or one that the connector does not know: the whole document
 */
export function compileSourceRows(definition: Definition, path: string | null, placement: Placement): SourceRows {
  const { root } = definition;
  const branches: Branch[] = [];
  const id = columnOf('t', root.idColumn);
  const rows = `(SELECT t.* FROM ${placement(root.table).relation} AS t WHERE ${id} = $1::text::${typeOf(placement, root.table, root.idColumn)}) AS t0`;
  addRow(branches, placement, { table: root.table, key: [root.idColumn], from: rows, depth: 0 }, root, path ?? '');
  const tables = branches.map(({ table }) => table);
  const selects = branches.map((branch, place) => select(branch, place, placement));
  return { sql: selects.join('\nUNION ALL\n'), tables };
}

function select({ table, key, alias, from }: Branch, place: number, placement: Placement): string {
  const own = placement(table).key;
  const columns = own.length > 0 ? own : key;
  const pairs = columns.map((column) => `${quoteLiteral(column)}, ${columnOf(alias, column)}::text`);
  return `(SELECT DISTINCT ${place} AS place, jsonb_build_object(${pairs.join(', ')}) AS key FROM ${from} ORDER BY 2 LIMIT $2)`;
}

/** A row that is joined already, as t<depth>. */
interface JoinedRow {
  table: TableRef;
  /** What tells its rows apart where the table has no key. */
  key: readonly string[];
  from: string;
  depth: number;
}

function addRow(branches: Branch[], placement: Placement, row: JoinedRow, content: RowContent, path: string): void {
  const alias = `t${row.depth}`;
  const { lookups, sections } = wanted(content, path);
  branches.push({ ...row, alias });
  const places = new Map<string | null, string>([[null, alias]]);
  let from = row.from;
  for (const [index, lookup] of lookups.entries()) {
    const inner = `l${row.depth}_${index}`;
    const outer = places.get(lookup.from)!;
    from += ` LEFT JOIN ${placement(lookup.table).relation} AS ${inner} ON ${equal(inner, lookup.by, outer)}`;
    places.set(lookup.name, inner);
    const to = lookup.by.map((pair) => pair.to);
    const there = to.map((column) => `${columnOf(inner, column)} IS NOT NULL`).join(' AND ');
    branches.push({ table: lookup.table, key: to, alias: inner, from: `${from} WHERE ${there}` });
  }
  for (const { section, place, rest } of sections) {
    const depth = row.depth + 1;
    const rows = `SELECT t.* FROM ${placement(section.rows).relation} AS t WHERE ${equal('t', section.by, alias)}`;
    const joined = `${row.from} CROSS JOIN LATERAL (${rows}${shown(section, place, placement)}) AS t${depth}`;
    const key = [...new Set([...section.by.map(({ to }) => to), ...section.key])];
    addRow(branches, placement, { table: section.rows, key, from: joined, depth }, section, rest);
  }
}

/** Which of its rows a section shows: the one at a place of the list, the highest of several, or all. */
function shown(section: Section, place: number | null, placement: Placement): string {
  const list = section.shape === 'list' || section.shape === 'list of text';
  if (list && place === null) return '';
  const order = rowOrder(section, placement, list ? 'ASC' : 'DESC');
  return ` ORDER BY ${order.join(', ')} LIMIT 1${list ? ` OFFSET ${place}` : ''}`;
}

function equal(alias: string, by: readonly JoinColumn[], outer: string): string {
  return by.map(({ from, to }) => `${columnOf(alias, to)} = ${columnOf(outer, from)}`).join(' AND ');
}

/** Follows a path by one name. Names may hold dots, so that the longest known one counts. */
function wanted(content: RowContent, path: string): Wanted {
  const all = {
    lookups: content.lookups,
    sections: content.sections.map((section) => ({ section, place: null, rest: '' })),
  };
  if (path === '') return all;
  const named = [...content.sections, ...content.fields]
    .filter(({ name }) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (named === undefined) return all;
  if (!('shape' in named)) return { lookups: leadingTo(content.lookups, named.lookup), sections: [] };
  const [, place, rest] = /^(?:\[(\d{1,9})\])?\.?(.*)$/s.exec(path.slice(named.name.length))!;
  return {
    lookups: [],
    sections: [{ section: named, place: place === undefined ? null : Number(place), rest: rest! }],
  };
}

/** A look-up with those that it hangs on, outer ones first. */
function leadingTo(lookups: readonly Lookup[], name: string | null): Lookup[] {
  const found = lookups.find((lookup) => lookup.name === name);
  return found ? [...leadingTo(lookups, found.from), found] : [];
}
