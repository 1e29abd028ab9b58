import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import type { Reason } from './answer.ts';

/** What the service knows of the documents of one collection. */
export interface CollectionModel {
  /** The collection's path, with or without the leading slash: /registro */
  path: string;
  /** JSON Schema, draft 2020-12. */
  schema: Record<string, unknown>;
  /** Where a document states its own id; empty where it does not. */
  idPath: readonly string[];
}

/** Finds what is wrong with a document; empty where nothing is. `loc` is the path inside the document. */
export type DocumentCheck = (document: unknown) => Reason[];

export interface CompiledModel extends CollectionModel {
  check: DocumentCheck;
}

/** The models of the connectors' targets. Connectors that share a path must agree on the schema: the first counts. */
export function modelsOf(connectors: readonly CompiledConnector[]): CollectionModel[] {
  return connectors.map((connector) => ({
    path: connector.target.path,
    schema: connector.documentSchema,
    idPath: idPathOf(connector),
  }));
}

/** The field that shows the root's id column: of the document itself, or of a section that shows the root's row. */
function idPathOf({ definition: { root } }: CompiledConnector): string[] {
  const showsId = (field: { lookup: string | null; column: string }): boolean =>
    field.lookup === null && field.column === root.idColumn;
  const own = root.fields.find(showsId);
  if (own) return [own.name];
  for (const section of root.sections) {
    const isRoot = section.rows.schema === root.table.schema && section.rows.table === root.table.table;
    const field = isRoot && section.shape === 'object' ? section.fields.find(showsId) : undefined;
    if (field) return [section.name, field.name];
  }
  return [];
}

/** Compiles the schemas; gives the model of a collection, or undefined where none is known (any object is taken). */
export function compileModels(models: readonly CollectionModel[]): (collection: string) => CompiledModel | undefined {
  const compiled = new Map<string, CompiledModel>();
  for (const model of models) {
    const collection = model.path.replace(/^\/|\/$/g, '');
    if (!compiled.has(collection)) compiled.set(collection, { ...model, check: compileCheck(model.schema) });
  }
  return (collection) => compiled.get(collection);
}

function compileCheck(schema: Record<string, unknown>): DocumentCheck {
  // A number beyond a double's range is parsed as infinite in the copy that is checked; it is stored as it came.
  const ajv = new Ajv2020({ strict: false, strictNumbers: false, allErrors: true, validateFormats: false });
  const validate: ValidateFunction = ajv.compile(schema);
  return (document) => (validate(document) ? [] : (validate.errors ?? []).map(reasonOf));
}

function reasonOf(error: ErrorObject): Reason {
  const loc = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^(0|[1-9][0-9]*)$/.test(part) ? Number(part) : part));
  if (error.keyword === 'required') {
    return { loc: [...loc, String(error.params.missingProperty)], msg: 'Field required', type: 'missing' };
  }
  return { loc, msg: error.message ?? 'does not fit the schema', type: error.keyword };
}
