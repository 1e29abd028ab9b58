import type { TableRef } from './compiled.ts';
import type { Definition, JoinColumn, RowContent } from './definition.ts';

/** One place where a table stands in a document's join tree. */
export interface Occurrence {
  readonly table: TableRef;
  /** Columns that the connector uses of it here, in the order of first use; may repeat. */
  readonly columns: readonly string[];
  /** The occurrence that it hangs on, and the columns that join both (`from` of the outer one); null for the root. */
  readonly outer: Occurrence | null;
  readonly by: readonly JoinColumn[];
}

/** Every occurrence of every table of the connector, outer ones first: a section's rows, then its look-ups. */
export function occurrences(definition: Definition): Occurrence[] {
  const { root } = definition;
  const found: Occurrence[] = [];
  addRow(found, root.table, [root.idColumn], null, [], root, { lookup: null, column: null });
  return found;
}

function addRow(
  found: Occurrence[],
  table: TableRef,
  ownColumns: readonly string[],
  outer: Occurrence | null,
  by: readonly JoinColumn[],
  content: RowContent,
  shown: { lookup: string | null; column: string | null },
): void {
  const columnsOf = (lookup: string | null) => [
    ...content.fields.filter((field) => field.lookup === lookup).map((field) => field.column),
    ...(shown.column !== null && shown.lookup === lookup ? [shown.column] : []),
    ...content.lookups.filter((other) => other.from === lookup).flatMap((other) => other.by.map(({ from }) => from)),
  ];
  const row: Occurrence = {
    table,
    columns: [...ownColumns, ...columnsOf(null), ...content.sections.flatMap(({ by }) => by.map(({ from }) => from))],
    outer,
    by,
  };
  found.push(row);
  const byName = new Map<string | null, Occurrence>([[null, row]]);
  for (const lookup of content.lookups) {
    const occurrence: Occurrence = {
      table: lookup.table,
      columns: [...lookup.by.map(({ to }) => to), ...columnsOf(lookup.name)],
      outer: byName.get(lookup.from)!,
      by: lookup.by,
    };
    found.push(occurrence);
    byName.set(lookup.name, occurrence);
  }
  for (const section of content.sections) {
    const own = [...section.by.map(({ to }) => to), ...section.key];
    const column = section.column ?? { lookup: null, column: null };
    addRow(found, section.rows, own, row, section.by, section, column);
  }
}

export function sameTable(a: TableRef, b: TableRef): boolean {
  return a.schema === b.schema && a.table === b.table;
}
