import { quoteIdentifier } from '../postgres/identifier.ts';
import { section, sectionColumns } from './compile-section.ts';
import type { Placement } from './compiled.ts';
import type { Definition } from './definition.ts';
import { columnOf, typeOf } from './placed.ts';
import { joinRow, NEWLINE } from './row-content.ts';

/** Column of the CTE `document` with the id as it was marked; no column of SIIRAyS is called so. */
const MARK = quoteIdentifier('id as marked');

/**
 * The projection (see CompiledConnector.projection). The marked roots are read once, into the CTE `document`; every
 * section is one subquery over all of them at once, whatever their number, joined to them at the end.
 */
export function compileProjection(definition: Definition, placement: Placement, marks: string): string {
  const { root } = definition;
  const id = columnOf('document', root.idColumn);
  const columns = [...new Set([root.idColumn, ...rootColumns(definition)])];
  const row = joinRow('document', root.table, root, placement, (nested) => {
    const keys = sectionColumns(nested);
    // The ids are distinct already; other columns may repeat.
    const distinct = keys.length === 1 && keys[0] === root.idColumn ? '' : 'DISTINCT ';
    const list = keys.map((column, index) => `${quoteIdentifier(column)} AS k${index + 1}`).join(', ');
    return section(nested, `(SELECT ${distinct}${list} FROM document)`, placement);
  });
  return `WITH document AS MATERIALIZED (
SELECT m.id AS ${MARK}, ${columns.map((column) => columnOf('r', column)).join(', ')}
FROM ${marks} AS m LEFT JOIN ${placement(root.table).relation} AS r
ON ${columnOf('r', root.idColumn)} = m.id::${typeOf(placement, root.table, root.idColumn)})
SELECT document.${MARK} AS id,
CASE WHEN ${id} IS NOT NULL THEN ${row.object} END AS body,
CASE WHEN ${id} IS NOT NULL THEN string_to_array(${row.missing ?? 'NULL'}, ${NEWLINE}) END AS problems
FROM document${row.joins}`;
}

/** Root columns that the document's own fields, look-ups and sections start from. */
function rootColumns({ root }: Definition): string[] {
  return [
    ...root.fields.filter(({ lookup }) => lookup === null).map(({ column }) => column),
    ...root.lookups.filter(({ from }) => from === null).flatMap(({ by }) => by.map(({ from }) => from)),
    ...root.sections.flatMap(sectionColumns),
  ];
}
