import { checkAgainstCatalog } from '../connector/check-catalog.ts';
import type { CompiledConnector } from '../connector/compiled.ts';
import type { ReplicaTables } from './replica-tables.ts';

/**
 * Why documents cannot be made of one side's tables: tables or columns that the connector reads and that are not there, or
 * that are of a type that gives no such field. Empty where they can.
 */
export function unfitness(connector: CompiledConnector, tables: ReplicaTables): string[] {
  const catalog = tables.all().map(({ shape }) => ({
    schema: shape.schema,
    table: shape.table,
    types: Object.fromEntries(shape.columns.map(({ name, type }) => [name, type])),
    key: shape.key.map((place) => shape.columns[place]!.name),
  }));
  // The replica's key is the replica identity, which may be another unique index than the primary key's.
  return checkAgainstCatalog(connector.definition, catalog, { keys: false }).map(({ message }) => message);
}
