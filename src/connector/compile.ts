import { compileAffectedRoots, compileAllRoots } from './compile-affected-roots.ts';
import { compileDocumentSchema } from './compile-document-schema.ts';
import { compileProjection } from './compile-projection.ts';
import { compileSourceRows } from './compile-source-rows.ts';
import { compileIndexes, compileTables } from './compile-tables.ts';
import type { CompiledConnector } from './compiled.ts';
import type { Definition } from './definition.ts';
import { occurrences } from './walk.ts';

/** Turns a connector's definition into everything that the processes need of it. */
export function compileConnector(definition: Definition): CompiledConnector {
  const { name, target, root } = definition;
  const all = occurrences(definition);
  return {
    name,
    target,
    tables: compileTables(all),
    root: { ...root.table, idColumn: root.idColumn, idType: root.idType },
    documentSchema: compileDocumentSchema(definition),
    definition,
    affectedRoots: (table, placement, touched) => compileAffectedRoots(definition, all, table, placement, touched),
    indexes: (placement) => compileIndexes(all, placement),
    allRoots: (placement) => compileAllRoots(definition, placement),
    projection: (placement, marks) => compileProjection(definition, placement, marks),
    sourceRows: (path, placement) => compileSourceRows(definition, path, placement),
  };
}
