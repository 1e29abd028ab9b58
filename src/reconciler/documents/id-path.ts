import type { CompiledConnector } from '../../connector/compiled.ts';

/** Where a document states its own id, e.g. [informacion_general, id_siirays]; null where no field shows it. */
export function idPathOf({ definition: { root } }: CompiledConnector): string[] | null {
  const showsId = (field: { lookup: string | null; column: string }): boolean =>
    field.lookup === null && field.column === root.idColumn;
  const own = root.fields.find(showsId);
  if (own) return [own.name];
  for (const section of root.sections) {
    // Only the root's own row: another row's column of that name may hold another id.
    const { schema, table } = section.rows;
    const ofRoot = schema === root.table.schema && table === root.table.table;
    const byId =
      section.by.length === 1 && section.by[0]!.from === root.idColumn && section.by[0]!.to === root.idColumn;
    if (!ofRoot || !byId || section.shape !== 'object') continue;
    const field = section.fields.find(showsId);
    if (field) return [section.name, field.name];
  }
  return null;
}
