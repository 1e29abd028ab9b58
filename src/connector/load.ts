import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import type { Catalog } from './catalog.ts';
import { checkDefinition } from './check.ts';
import { checkAgainstCatalog } from './check-catalog.ts';
import { compileConnector } from './compile.ts';
import type { CompiledConnector } from './compiled.ts';
import type { Definition } from './definition.ts';
import { ConnectorError, type Mistake, type PlacedMistake } from './mistake.ts';
import { placeMistakes, syntaxMistakes } from './place-mistakes.ts';
import { withoutMistakes } from './prune.ts';
import { resolveConnector } from './resolve.ts';
import { connectorSchema } from './schema.ts';
import { schemaMistakes } from './schema-mistakes.ts';

/**
 * Reads and compiles every .yaml file of a folder, in the order of their names.
 * @param catalog tables of SIIRAyS, where they can be asked; the connectors are then held against them
 * @throws ConnectorError with every mistake of every file
 */
export function loadConnectors(folder: string, catalog?: Catalog): CompiledConnector[] {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => join(folder, name));
  const read = files.map((file) => readConnector(file, readFileSync(file, 'utf8'), catalog));
  const mistakes = [
    ...read.flatMap((one) => one.mistakes),
    ...sameTargets(
      files,
      read.map((one) => one.definition),
    ),
  ];
  if (files.length === 0) mistakes.push({ file: folder, line: 1, column: 1, message: 'there is no .yaml file here' });
  if (mistakes.length > 0) throw new ConnectorError(mistakes);
  return read.map(({ definition }) => compileConnector(definition!));
}

/** Reads one connector's text; `definition` is null where there is any mistake. */
export function readConnector(
  file: string,
  text: string,
  catalog?: Catalog,
): { definition: Definition | null; mistakes: PlacedMistake[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = syntaxMistakes(file, document, lines, text);
  const duplicates = document.errors.filter(({ code }) => code === 'DUPLICATE_KEY');
  if (syntax.length > duplicates.length) return { definition: null, mistakes: syntax };
  const raw: unknown = document.toJS();
  const name = basename(file, '.yaml');
  const found = allMistakes(name, raw, catalog);
  const mistakes = [...syntax, ...placeMistakes(file, document, lines, found)];
  mistakes.sort((a, b) => a.line - b.line || a.column - b.column);
  return { definition: mistakes.length === 0 ? resolveConnector(name, connectorSchema.parse(raw)) : null, mistakes };
}

/** Names are checked too in what is left of a file without the parts that are wrong already. */
function allMistakes(name: string, raw: unknown, catalog: Catalog | undefined): Mistake[] {
  const schema = schemaMistakes(raw);
  const rest = schema.length === 0 ? connectorSchema.parse(raw) : withoutMistakes(raw);
  if (rest === null) return schema;
  const definition = resolveConnector(name, rest);
  const names = checkDefinition(definition);
  const inCatalog = catalog === undefined ? [] : checkAgainstCatalog(definition, catalog);
  return [...schema, ...names, ...inCatalog];
}

/** Two connectors that filled one set of documents would each delete the other's. */
function sameTargets(files: readonly string[], definitions: readonly (Definition | null)[]): PlacedMistake[] {
  const first = new Map<string, string>();
  const mistakes: PlacedMistake[] = [];
  for (const [index, definition] of definitions.entries()) {
    if (definition === null) continue;
    const { path, tag } = definition.target;
    const other = first.get(`${path} ${tag}`);
    if (other === undefined) first.set(`${path} ${tag}`, files[index]!);
    else {
      const message = `target: ${other} fills ${path} with tag ${tag} already: expected another path or tag`;
      mistakes.push({ file: files[index]!, line: 1, column: 1, message });
    }
  }
  return mistakes;
}
